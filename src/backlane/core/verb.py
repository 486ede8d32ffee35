"""What people may do to a job: one table, computed for the caller. Pure; the lifecycle table says what it leads to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from backlane.core.job import Job, Phase, Status
from backlane.core.lifecycle import OPEN, STATUSES, TABLE, TERMINAL, Command

CANCELLABLE = frozenset(source for source in TABLE[Command.REQUEST_CANCEL].moves if source is not None)

# How much a person may say to a job at once, characters.
MESSAGE_AT_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Verb:
    """A control verb of the public contract: who may use it, from where. `lane`: the one an open job must be in."""

    statuses: frozenset[Status]
    who: frozenset[str]
    phases: frozenset[Phase] | None = None
    not_phases: frozenset[Phase] = frozenset()
    mark: str | None = None  # a key of _MARKS: what stands beside the status
    lane: str | None = None  # the one an open job must be in


# What stands beside a job's status, in words.
_MARKS: Mapping[str, Callable[[Job], bool]] = MappingProxyType(
    {
        "archived": lambda job: job.archived_at is not None,
        "not archived": lambda job: job.archived_at is None,
        "held": lambda job: job.held,
        "not held": lambda job: not job.held,
    }
)
_DECIDED_IN = frozenset({Phase.OUTPUT, Phase.ACTION, Phase.SENSITIVE, Phase.SAMPLED})
_DECISION = Verb(frozenset({Status.NEEDS_REVIEW}), frozenset({"reviewer"}), phases=_DECIDED_IN)
_OWNERS = frozenset({"requester", "operator"})
_OPERATOR = frozenset({"operator"})
_END_USERS = _OWNERS | {"end user"}
# Who: "requester" is the job's own submitter, "operator" includes admins, "reviewer" is whoever may
# decide the open review: its role, duties separated; "onlooker" is a reviewer who has the job in sight
# because it is or was under review for their role; "end user" is whom a service's job is for, with its token.
VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "cancel": Verb(
            CANCELLABLE,
            _END_USERS,
            not_phases=frozenset({Phase.EFFECT_UNKNOWN}),
        ),
        "approve": _DECISION,
        "request_changes": _DECISION,
        "reject": _DECISION,
        "retry": Verb(TERMINAL, _END_USERS),
        "resolve": Verb(
            frozenset({Status.NEEDS_REVIEW}),
            _OPERATOR,
            phases=frozenset({Phase.SUBMISSION_UNKNOWN}),
        ),
        "message": Verb(
            TERMINAL | {Status.QUEUED, Status.RUNNING},
            frozenset({"requester"}),
            not_phases=frozenset({Phase.CANCELING, Phase.CHECK, Phase.ACTION}),
            lane="interactive",
        ),
        "escalate": Verb(OPEN | {Status.FAILED, Status.EXPIRED}, _OWNERS | {"onlooker"}),
        "archive": Verb(TERMINAL, _OWNERS, mark="not archived"),
        "unarchive": Verb(TERMINAL, _OWNERS, mark="archived"),
        "hold": Verb(frozenset(STATUSES), _OPERATOR, mark="not held"),
        "release": Verb(frozenset(STATUSES), _OPERATOR, mark="held"),
    }
)


def allows(verb: str, status: Status, phase: Phase | None, lane: str = "background") -> bool:
    """Whether a job in this status, phase and lane allows the verb, whoever asks."""
    rule = VERBS[verb]
    if status not in rule.statuses or phase in rule.not_phases:
        return False
    if rule.lane is not None and status not in TERMINAL and lane != rule.lane:
        return False
    return rule.phases is None or phase in rule.phases


def open_to(verb: str, job: Job) -> bool:
    """Whether this very job, with what stands beside its status, allows the verb, whoever asks."""
    mark = VERBS[verb].mark
    return allows(verb, job.status, job.phase, job.lane) and (mark is None or _MARKS[mark](job))


def allowed(
    job: Job, who: frozenset[str], who_may_cancel: str = "requester", *, in_doubt: bool = False
) -> list[str]:
    """The verbs this caller may use on this job now, in the table's order.

    `who` holds what the caller is to the job, in the words of the table's "who".
    A type whose `who_may_cancel` is "operator" takes cancel from its requesters. While an action is
    `in_doubt` (dispatching, or its effect unknown) nothing is canceled.
    """
    found: list[str] = []
    for verb, rule in VERBS.items():
        may = rule.who & who
        if verb == "cancel" and who_may_cancel == "operator":
            may = may & {"operator"}
        if verb == "cancel" and in_doubt:
            continue
        if may and open_to(verb, job):
            found.append(verb)
    return found
