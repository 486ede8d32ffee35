"""What a decision rests on, and every step it can lead to: frozen values. They decide nothing."""

from dataclasses import dataclass

from backlane.core.action import Action
from backlane.core.job import Attempt, AttemptReason, Job, Phase
from backlane.core.schedule import Timings


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a decision rests on.

    `attempt` is the newest; `strays` are older ones the provider may still be working on.
    `accepted` counts accepted attempts of this turn, `rebought` whether an unknown one was run again,
    `stream_room` whether this worker can stream one more run, `stream_held` whether it holds the newest run's
    stream. `messages` is how much people said that no turn has taken up, `overtaken`
    whether the newest answer was put aside for that. `calls` is how many calls the newest run
    waits to have answered, `calls_open` how many still are not. `actions` are all of the job's, in proposed order.
    """

    job: Job
    attempt: Attempt | None
    timings: Timings
    strays: tuple[Attempt, ...] = ()
    accepted: int = 0
    max_attempts: int = 4
    rebuy: bool = False
    rebought: bool = False
    over_budget: bool = False
    type_loaded: bool = True
    sender_gone: bool = False
    answer_kept: bool = False
    calls: int = 0
    calls_open: int = 0
    incident_until: int | None = None
    stream_room: bool = False
    stream_held: bool = False
    messages: int = 0
    overtaken: bool = False
    respond_by: int | None = None  # of the open review
    actions: tuple[Action, ...] = ()
    actions_stopped: bool = False  # the workspace's kill switch
    effect_sender_gone: bool = False
    can_look_up: bool = False
    spent: bool = False  # the newest run carries approvals of remote calls; it is not bought again
    proposes: bool = False  # the type's hook has still to say which actions follow from the result
    finishes: bool = False  # the last action's success ends the job without another turn


@dataclass(frozen=True, slots=True)
class Plan:
    """Write down the intent to buy a run."""

    reason: AttemptReason


@dataclass(frozen=True, slots=True)
class Send:
    """Commit `sending`, then call create."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class MarkUnknown:
    """Nobody will bring this create's reply any more."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Look:
    """Retrieve the run."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Follow:
    """Read the run's live stream."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Recover:
    """See what became of an interactive run whose stream is lost."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Steer:
    """Stop the turn that a person's words overtook."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class CancelRun:
    """Cancel the run at the provider and see what became of it."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Settle:
    """Turn the kept answer into outputs and go on."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Check:
    """Run the type's checks over the result."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class RunTools:
    """Answer the calls that the run waits for, and let the next turn be bought."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Adopt:
    """A lost run was found: follow it."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class AskPerson:
    """Nobody can know whether the create took effect; a person decides."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class HandOn:
    """Nobody decided the review in time: the next in the chain is asked, or it ends. Silence approves nothing."""


@dataclass(frozen=True, slots=True)
class Fail:
    """End the job as failed."""

    code: str


@dataclass(frozen=True, slots=True)
class BeginExpiry:
    """The useful window ended while the provider works: stop it there first."""


@dataclass(frozen=True, slots=True)
class End:
    """End the job as canceled or expired, whichever was asked first."""

    ends_as: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until then (None: until somebody wakes the job). A phase says why, if it changes."""

    until: int | None
    phase: Phase | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Propose:
    """Ask the job type which actions follow from its result."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class AskAction:
    """Ask for approval of exactly this action."""

    action: Action


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Commit `dispatching` with every condition checked again, then carry the action out, once."""

    action: Action


@dataclass(frozen=True, slots=True)
class LoseEffect:
    """Nobody will bring this action's receipt any more."""

    action: Action


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask the outside whether the action's key took effect."""

    action: Action


@dataclass(frozen=True, slots=True)
class AskEffect:
    """Nobody can know whether the action took effect; a person finds out."""

    action: Action


@dataclass(frozen=True, slots=True)
class GoOn:
    """What was asked about an action is known now: the job goes on."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Every action succeeded, and the type asks for nothing more: release the job."""

    attempt: Attempt


ActStep = Propose | AskAction | Dispatch | LoseEffect | LookUp | AskEffect | GoOn | Finish
Step = (
    Plan | Send | MarkUnknown | Look | Follow | Recover | Steer | CancelRun | Settle | Check | RunTools | Adopt
    | AskPerson | HandOn | Fail | BeginExpiry | End | Wait | ActStep
)  # fmt: skip
