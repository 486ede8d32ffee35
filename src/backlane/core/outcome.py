"""What a provider step answered: a closed set of values, never an exception for something it said."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class When(StrEnum):
    """What a refusal means for the next try."""

    LATER = "later"  # a rate limit or overload: by schedule
    INCIDENT = "incident"  # key, permission or quota: a person must mend it; jobs keep their place
    NEVER = "never"  # the request itself is wrong


# The provider's words for a run that goes on. One in any other word goes on too, and the word is kept.
GOING_ON = frozenset({"queued", "in_progress"})
# The code of an answer of a form that nobody can read.
INVALID_OUTPUT = "invalid_output"


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a span of the answer's text comes from. Offsets are characters of that text."""

    start: int
    end: int
    kind: str
    source: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function the model wants called. `arguments` is JSON as the model wrote it, good or bad."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Approval:
    """A remote (MCP) tool that the provider will call only once somebody allows it."""

    id: str
    server: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class CitedFile:
    """A file in one of the provider's containers that the answer cites; `name` is a label, never a path."""

    container_id: str
    file_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Container:
    """Where a run's code ran, at the provider.

    `since` is when the run was made, `shared` whether the request named the container: others may use it too.
    """

    id: str
    since: int | None = None  # seconds since 1970, by the provider's clock
    shared: bool = False


@dataclass(frozen=True, slots=True)
class ContainerFile:
    """A file that a container lists; `given` is one that the request put there. `created_at` as `since` above."""

    file: CitedFile
    given: bool
    created_at: int | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes that lie in the artifact store already; `sha256` in hex, `size` in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What we keep of a provider run that has ended.

    `status` is ours: completed, failed, incomplete or canceled. `usage` is None where the provider
    reported none; that is unpriced, never zero. `calls` and `approvals` wait for an answer of ours, `hosted`
    holds what the provider's own tools did, in its words, `files` what must be copied before it is lost, as must
    what the code left in `containers`.
    `items` are the run's own words for the next turn, should the provider forget them. `unpriced` names what
    the provider charges for beside tokens and web searches, of which nobody knows the price. `raw` is what was
    read of a reply that is larger than is read.
    """

    response_id: str
    status: str
    text: str = ""
    refusal: str | None = None
    citations: tuple[Citation, ...] = ()
    usage: dict[str, Any] | None = None
    web_searches: int = 0
    model: str | None = None
    service_tier: str | None = None
    code: str | None = None
    message: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    calls: tuple[ToolCall, ...] = ()
    approvals: tuple[Approval, ...] = ()
    hosted: tuple[dict[str, Any], ...] = ()
    files: tuple[CitedFile, ...] = ()
    containers: tuple[Container, ...] = ()
    items: tuple[dict[str, Any], ...] = ()
    unpriced: tuple[str, ...] = ()
    raw: Stored | None = None

    @property
    def waits(self) -> bool:
        """Whether the run is complete only in the provider's words: it waits for answers to its calls."""
        return self.status == "completed" and self.code is None and bool(self.calls or self.approvals)


@dataclass(frozen=True, slots=True)
class FileBytes:
    """A file's bytes as the provider holds them."""

    content: bytes


@dataclass(frozen=True, slots=True)
class FileLost:
    """A file that cannot be had (any more): `container_gone`, `file_too_large` or `not_copied`."""

    code: str


@dataclass(frozen=True, slots=True)
class FileList:
    """What a container holds; `whole` unless it lists more than is read."""

    files: tuple[ContainerFile, ...]
    whole: bool = True


@dataclass(frozen=True, slots=True)
class NoList:
    """A container whose files nobody is told of (any more): `container_gone` or `not_listed`."""

    code: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The run exists at the provider."""

    response_id: str
    status: str
    look_after: int | None = None  # milliseconds the provider asked us to wait
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """The run goes on."""

    status: str
    look_after: int | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Finished:
    """The run ended completed, incomplete or canceled."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Failed:
    """The run ended failed (at OpenAI: HTTP 200 with status failed)."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider said no before anything ran; nothing was bought."""

    when: When
    code: str
    message: str
    retry_after: int | None = None  # milliseconds


@dataclass(frozen=True, slots=True)
class NotSent:
    """The request provably never reached the provider."""

    message: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows: a create may have been bought; a look or cancel taught us nothing."""

    code: str
    message: str
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """The provider does not know this run (any more)."""

    message: str


CreateOutcome = Accepted | Refused | NotSent | Unknown
LookOutcome = Pending | Finished | Failed | Refused | NotSent | Unknown | Gone
FileOutcome = FileBytes | FileLost | NotSent | Unknown
FileListOutcome = FileList | NoList | NotSent | Unknown
EndedOutcome = Finished | Failed | Gone
