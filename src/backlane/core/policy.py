"""What a policy is asked and what it may answer: frozen values. They decide nothing.

A policy is the developer's code; nothing that a model writes can change which one is asked, or its answer's form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

# What stands in a payload that no policy had a say about.
NO_POLICY = "1"
REASON_AT_MOST = 500


class Over(StrEnum):
    """What a policy has a say about."""

    ACTION = "action"
    OUTPUT = "output"


class Answer(StrEnum):
    """What a policy may say; the later ones are stricter."""

    ALLOW = "allow"
    REVIEW = "review"
    REFUSE = "refuse"


_ORDER = (Answer.ALLOW, Answer.REVIEW, Answer.REFUSE)


@dataclass(frozen=True, slots=True)
class Allow:
    """It may go on without a person, where the job's authority lets a policy say so."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """A person is to look. `quorum` and `role` may only ask for more than the type does."""

    reason: str
    quorum: int | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """It does not happen, whoever would approve it."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyJob:
    """The job that a policy is asked about. None of this was written by a model.

    A rule of one workspace goes by `workspace_name`, as `backlane keys create --workspace` has it.
    """

    id: str
    workspace: str
    workspace_name: str
    type: str
    authority: str
    submitted_by: str
    user: str | None
    account: str | None
    inputs: Any
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a policy is asked about: an action's validated arguments, or a result.

    `arguments` is the action's model (a dict for a remote tool's call), `output` the result's model or text.
    """

    over: Over
    job: PolicyJob
    action: str | None = None
    target: str | None = None
    arguments: Any = None
    output: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What all policies that have a say answered together, the strictest first. `version` names their content.

    `sensitive` is the word of the type's hook over the output. `policy` names whose answer it is.
    """

    answer: Answer
    version: str
    reason: str = ""
    policy: str = ""
    quorum: int | None = None
    role: str | None = None
    sensitive: bool = False


class TypeRules(Protocol):
    """The policies and hooks of one job type, its own and those of all types."""

    def version(self, over: Over) -> str | None:
        """A hash of the content of all that has a say about this; None where nothing has."""
        ...

    def names(self, over: Over) -> Sequence[str]:
        """The names of the policies that have a say about this."""
        ...

    def releases(self) -> bool:
        """Whether a policy has a say about the output."""
        ...

    def hooked(self) -> bool:
        """Whether a hook is asked if the output is sensitive."""
        ...

    async def judge(self, asked: Asked) -> Verdict | None:
        """What they answer together; None where nothing has a say. Whatever breaks in them is a review."""
        ...


class RuledType(Protocol):
    """The part of a job type that is about what may go on without a person."""

    @property
    def rules(self) -> TypeRules: ...
    @property
    def sampled(self) -> float | None:
        """Which part of its jobs is drawn for review, above 0 and at most 1; None where none is drawn."""
        ...

    @property
    def unreviewed_because(self) -> str | None:
        """Why less is reviewed than the authority asks for."""
        ...

    def why_sensitive(self, inputs: Any) -> str | None:
        """What makes these inputs sensitive: a field that is marked, or the type's hook."""
        ...


def strictest(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The answer that stands where several were given; reviews ask for the most that any of them does."""
    if not verdicts:
        return None
    found = max(verdicts, key=lambda one: (_ORDER.index(one.answer), one.quorum or 0, one.role == "admin"))
    if found.answer is not Answer.REVIEW:
        return found
    quorum, role = most_asked([one for one in verdicts if one.answer is Answer.REVIEW])
    return replace(found, quorum=quorum, role=role)


def most_asked(reviews: Sequence[Review | Verdict]) -> tuple[int | None, str | None]:
    """The quorum and the role that satisfy each of these: what one asks for is not lost beside another."""
    quorum = max((one.quorum for one in reviews if one.quorum is not None), default=None)
    roles = [one.role for one in reviews if one.role is not None]
    return quorum, "admin" if "admin" in roles else next(iter(roles), None)


def version_for(rules: TypeRules | None, over: Over) -> str:
    """The policy version that a payload is bound to."""
    known = None if rules is None else rules.version(over)
    return known or NO_POLICY
