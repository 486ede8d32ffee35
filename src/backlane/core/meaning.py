"""What a failure code means to people: its cause, one sentence, what can be done; and those of actions. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """The one cause of a failure."""

    INPUT = "input"
    PROVIDER = "provider"
    TOOL = "tool"
    POLICY = "policy"
    TIMEOUT = "timeout"
    BUDGET = "budget"
    REVIEW = "review"
    DESIGN = "design"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code means to people."""

    cause: Cause
    sentence: str
    retryable: bool
    human_needed: bool
    next_steps: tuple[str, ...]


def mean(cause: Cause, sentence: str, steps: tuple[str, ...], *, again: bool, human: bool) -> Meaning:
    """A meaning, in the order it reads."""
    return Meaning(cause, sentence, again, human, steps)


_AGAIN = ("retry",)
_ASK_DEVELOPER = ("ask the developer of the job type",)

# How jobs end by their actions.
ACTION_MEANINGS: dict[str, Meaning] = {
    "action_failed": mean(
        Cause.TOOL,
        "An approved action was refused by the outside: it surely did not happen.",
        ("read the action", "retry"),
        again=True,
        human=True,
    ),
    "action_did_not_happen": mean(
        Cause.TOOL,
        "An approved action did not happen; it is not carried out again without a new approval.",
        ("retry",),
        again=True,
        human=True,
    ),
    "action_unreadable": mean(
        Cause.TOOL,
        "What a proposed action points at could not be read, so nobody could be asked to approve it.",
        ("retry", *_ASK_DEVELOPER),
        again=True,
        human=True,
    ),
    "undone": mean(
        Cause.REVIEW,
        "An approved action was taken back before it was carried out.",
        _AGAIN,
        again=True,
        human=False,
    ),
    "proposals_broke": mean(
        Cause.INTERNAL,
        "The job type could not say which actions follow from the result.",
        _ASK_DEVELOPER,
        again=True,
        human=True,
    ),
}
