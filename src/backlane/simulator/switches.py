"""What is not known of the real provider, and what differs between accounts. Each is a choice, none a fault."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError


@dataclass(slots=True)
class Switches:
    """The defaults follow the provider's public contract; see `GET /_sim/profile`."""

    __pydantic_config__ = ConfigDict(strict=False)

    speed: float = 1.0
    queued_seconds: tuple[float, float] = (0.1, 0.5)
    running_seconds: tuple[float, float] = (0.5, 3.0)
    # The part of its completion window that a run takes, and of its wait in the queue if it continues another one.
    window_share: tuple[float, float] = (0.1, 0.6)
    continuation_share: float = 0.25
    # Seconds after its end that any run is kept; None keeps it for good.
    retention_seconds: float | None = None
    # Seconds after its end that a run with store=false can still be read.
    ephemeral_seconds: float = 600.0
    # A zero-retention account: every run counts as store=false.
    zdr: bool = False
    # The older rule: background with store=false is refused.
    strict_store: bool = False
    # Whether there is a background mode; some servers that speak the protocol have none.
    background: bool = True
    cancel_ended: Literal["refuse", "accept", "conflict"] = "refuse"
    # A cancel of a run that its caller waits for: 404 while it goes on and 400 after, or as of any other run.
    cancel_foreground: Literal["refuse", "accept"] = "refuse"
    cancel_keeps_output: bool = False
    usage_on_failed: bool = False
    usage_on_cancelled: bool = False
    delete_in_flight: bool = False
    strict_schemas: bool = True
    requests_per_minute: int = 10_000
    tokens_per_minute: int = 2_000_000
    # Refuse creates beyond requests_per_minute instead of only reporting the limit.
    enforce_limits: bool = False
    # Tokens of all keys of the project together.
    project_tokens_per_minute: int = 20_000_000
    # What the account may do: a revoked key, a forbidden region and a stop for quota or billing refuse.
    account: Literal["open", "revoked", "forbidden", "quota", "billing"] = "open"
    poll_after_ms: int | None = None
    retired_models: tuple[str, ...] = ()
    # A webhook is given up on after so long. Its first retry waits so long, each further one twice as long,
    # at most four hours.
    webhook_retry_seconds: float = 5.0
    webhook_give_up_seconds: float = 72 * 3600.0
    webhook_timeout_seconds: float = 5.0
    # Whether a retry is stamped and signed anew, or keeps what its first attempt had.
    retry_timestamp: Literal["fresh", "kept"] = "fresh"
    # Webhooks may leave this machine.
    webhooks_anywhere: bool = False
    # Seconds after its creation that a run's stream can be taken up again; None is always.
    stream_seconds: float | None = 300.0
    # About how many characters a delta of a stream holds.
    delta_characters: int = 24
    # The number of a stream's first event.
    first_number: Literal[0, 1] = 0
    # A stream taken up after its last event: there is nothing to send, or it is refused.
    beyond_the_end: Literal["empty", "refuse"] = "empty"
    # The last event of a cancelled run's stream; "nothing" is an end without a word.
    cancelled_stream: Literal["failed", "cancelled", "nothing"] = "failed"
    # How a streaming create tells of a limit or an error of the server: by its status, or by a lone `error` event.
    early_errors: Literal["status", "flat", "nested"] = "status"
    # The most bytes of one upload, and of all files that one request brings.
    file_bytes: int = 512 * 1024 * 1024
    input_file_bytes: int = 50 * 1024 * 1024
    # A file nobody can read: the create is refused, or the run fails.
    unreadable_files: Literal["refuse", "fail"] = "refuse"
    # Whether files uploaded as input may be downloaded again.
    download_inputs: bool = True
    # Whether a citation's `end_index` is the place after its last character, or that of the last one.
    end_index: Literal["exclusive", "inclusive"] = "exclusive"
    # Minutes without use after which a container and its files are lost, and whether a look at it is a use.
    container_minutes: float = 20.0
    container_looks_count: bool = True
    # Whether a follow-up may name a run that has not ended.
    continue_unfinished: bool = False
    # A follow-up of a run that was deleted or has expired: refused, or accepted with its history.
    deleted_parent: Literal["refuse", "accept"] = "refuse"


# What sets the scene or is an account's own: nothing of it is hearsay about the provider. Every other switch is, and
# stands in `doctor --live`.
SCENERY = frozenset(
    [
        "speed",
        "queued_seconds",
        "running_seconds",
        "window_share",
        "continuation_share",
        "retention_seconds",
        "zdr",
        "background",
        "strict_schemas",
        "requests_per_minute",
        "tokens_per_minute",
        "enforce_limits",
        "project_tokens_per_minute",
        "account",
        "retired_models",
        "webhook_give_up_seconds",
        "webhook_timeout_seconds",
        "webhooks_anywhere",
        "delta_characters",
        "file_bytes",
        "input_file_bytes",
        "container_minutes",
    ]
)
_ADAPTER = TypeAdapter(Switches)


def changed(switches: Switches, given: dict[str, Any]) -> Switches:
    """The switches with some changed. Raises ValueError naming what is wrong."""
    current = dataclasses.asdict(switches)
    unknown = sorted(set(given) - set(current))
    if unknown:
        raise ValueError(f"unknown switch {unknown[0]!r}; known: {', '.join(current)}")
    try:
        return _ADAPTER.validate_python(current | given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"switch {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
