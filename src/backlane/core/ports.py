"""What the core asks of the outside, as Protocols. Time, ids, chance and every I/O come in through these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from backlane.core.action import ActingType
from backlane.core.media import FileInput
from backlane.core.outcome import CitedFile, CreateOutcome, FileListOutcome, FileOutcome, LookOutcome
from backlane.core.policy import RuledType
from backlane.core.provider_file import FileProvider
from backlane.core.stream import Streaming, TakenUp


class Clock(Protocol):
    """The time: milliseconds since 1970 UTC, and a sleep that a virtual clock can shorten."""

    def now(self) -> int: ...

    async def sleep(self, milliseconds: int) -> None: ...


class Ids(Protocol):
    """New ids, ordered by time, carrying their kind: `new("job")` gives `job_…`."""

    def new(self, kind: str) -> str: ...


class Chance(Protocol):
    """A number in [0, 1)."""

    def __call__(self) -> float: ...


@dataclass(frozen=True, slots=True)
class CreateCall:
    """One purchase: the provider's own create parameters, with our metadata already in them.

    `params` hold what a job type's Request asked for in the provider's words (model, input, …,
    `text` for an output model); the adapter adds only what its lane needs. `window` is the completion
    window to buy, `continuation` an opaque word that related runs share in the provider's queue. Without
    `background` the run lives as long as the connection that its stream comes by.
    """

    attempt_id: str
    account: str
    params: Mapping[str, Any]
    window: str = "soonest"
    continuation: str | None = None
    background: bool = True


class Provider(FileProvider, Protocol):
    """One provider's wire. Answers are values; it raises only when it is itself broken."""

    async def create(self, call: CreateCall) -> CreateOutcome: ...

    async def open_stream(self, call: CreateCall) -> CreateOutcome | Streaming:
        """Buy a run and stream it. One without a stream is answered as by `create`."""
        ...

    def resume_stream(self, account: str, response_id: str, after: int | None) -> TakenUp:
        """A run's events after this number, all of them without one."""
        ...

    async def look(self, account: str, response_id: str) -> LookOutcome: ...

    async def cancel(self, account: str, response_id: str) -> LookOutcome:
        """Ask for the run to be stopped, then say what became of it (re-reading it where needed)."""
        ...

    async def delete(self, account: str, response_id: str) -> None: ...

    async def container_file(self, account: str, file: CitedFile) -> FileOutcome:
        """The bytes of a file in one of the provider's containers, as long as it is there."""
        ...

    async def container_files(self, account: str, container_id: str) -> FileListOutcome:
        """What one of the provider's containers holds, as long as it is there."""
        ...

    def create_wait(self, account: str, model: str | None) -> int:
        """How many milliseconds a create should wait for the account's rate limits; 0 for now."""
        ...

    def look_wait(self, account: str) -> int:
        """How many milliseconds a look should wait for the shared look budget; 0 takes a place in it."""
        ...


class JobView(Protocol):
    """What a check is given beside the result."""

    @property
    def id(self) -> str: ...

    @property
    def type(self) -> str: ...

    @property
    def inputs(self) -> Any: ...

    @property
    def metadata(self) -> Mapping[str, str]: ...

    @property
    def text(self) -> str:
        """The answer's text as the provider gave it."""
        ...


class TypeCheck(Protocol):
    """One check of a job type. Raises CheckFailed if the result must not pass; returns its report."""

    @property
    def name(self) -> str: ...

    async def run(self, result: Any, job: JobView) -> Any: ...


class ToolView(Protocol):
    """What a tool may be given beside its arguments: the job it works for."""

    @property
    def id(self) -> str: ...

    @property
    def type(self) -> str: ...

    @property
    def submitted_by(self) -> str: ...

    @property
    def user(self) -> str | None: ...

    @property
    def account(self) -> str | None: ...

    @property
    def inputs(self) -> Any: ...

    @property
    def metadata(self) -> Mapping[str, str]: ...


class TypeTool(Protocol):
    """A function of a job type that the model may call. `timeout` is milliseconds, `output_at_most` bytes."""

    @property
    def name(self) -> str: ...
    @property
    def timeout(self) -> int: ...
    @property
    def output_at_most(self) -> int: ...

    def read(self, arguments: str) -> Mapping[str, Any]:
        """The validated arguments. Raises ValueError saying what is wrong with them."""
        ...

    async def run(self, arguments: Mapping[str, Any], job: ToolView) -> Any:
        """What the function answers, as JSON. Raises whatever the function raises."""
        ...


class JobType(ActingType, RuledType, Protocol):
    """A declared job type, as the services use it. Durations are milliseconds."""

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def authority(self) -> str: ...
    @property
    def lanes(self) -> Sequence[str]: ...
    @property
    def live(self) -> bool: ...
    @property
    def window(self) -> str: ...
    @property
    def continuation(self) -> str | None: ...
    @property
    def useful_for(self) -> int: ...
    @property
    def latency_budget(self) -> int | None: ...
    @property
    def max_cost(self) -> str | None: ...
    @property
    def max_attempts(self) -> int: ...
    @property
    def max_turns(self) -> int: ...
    @property
    def max_tool_calls(self) -> int: ...
    @property
    def if_unknown(self) -> str: ...
    @property
    def if_invalid(self) -> str: ...
    @property
    def who_may_cancel(self) -> str: ...
    @property
    def review_role(self) -> str: ...
    @property
    def review_quorum(self) -> int: ...
    @property
    def respond_within(self) -> int | None: ...
    @property
    def review_separate(self) -> bool: ...
    @property
    def escalation(self) -> Sequence[str]:
        """The roles a review is handed on to, one after the other, when nobody answers."""
        ...

    @property
    def cases(self) -> Mapping[str, bool]:
        """Which ends open a case by themselves, where the type says otherwise than the default."""
        ...

    @property
    def reviewed(self) -> bool:
        """Whether the declaration itself asks for a review."""
        ...

    @property
    def checks(self) -> Sequence[TypeCheck]: ...
    @property
    def takes_files(self) -> bool: ...
    def files(self, inputs: Any) -> Sequence[FileInput]:
        """Each uploaded file that validated inputs name."""
        ...

    def tool(self, name: str) -> TypeTool | None:
        """The declared tool by this name."""
        ...

    def input_schema(self) -> dict[str, Any]: ...

    def output_schema(self) -> dict[str, Any] | None: ...

    def read_inputs(self, raw: Any) -> Any:
        """The validated inputs. Raises InvalidRequest with pointers below `/inputs`."""
        ...

    def summarize(self, inputs: Any, *, sensitive: bool = False) -> str:
        """What support may see of the inputs; of `sensitive` ones names, counts and sizes only, never text."""
        ...

    def build(self, inputs: Any) -> dict[str, Any]:
        """The provider's create parameters for these inputs. May raise whatever the type's code raises."""
        ...

    def read_output(self, inputs: Any, text: str) -> Any:
        """The validated output, or the text itself where the request asked for no output model.

        `inputs` are the job's validated inputs: they decide which model the request asked for.
        Raises ValueError on a mismatch.
        """
        ...


class Types(Protocol):
    """The job types that are loaded."""

    def get(self, name: str) -> JobType | None: ...

    def names(self) -> Sequence[str]: ...


class Due(NamedTuple):
    """All an engine ever sees of a job; no payload, no result."""

    job_id: str
    lease_no: int


class Worker(Protocol):
    """Who this process is: attempts remember their sender."""

    @property
    def boot_id(self) -> str: ...

    def is_gone(self, sender: str | None) -> bool:
        """Whether the process that sent something is known to be dead (only an exclusive store can tell)."""
        ...
