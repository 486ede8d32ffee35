"""What Backlane and its simulator take for granted of the real provider where nobody could read it up.

Each is compared by a trial with what an account really does. Backlane works either way; the simulator's
switch says which way it plays.
"""

from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Assumption:
    """One thing taken for granted: what is asked, the value that is assumed, the simulator's switch for it."""

    name: str
    asks: str
    assumed: str
    switch: str | None = None


ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption("accepted_as", "the status of a background run that was just made", "queued"),
    Assumption("poll_after", "whether replies say when to look again", "no", "poll_after_ms"),
    Assumption("rate_limits", "whether replies carry rate-limit headers", "yes"),
    Assumption("unknown_run", "a look at a run that is not there", "404 invalid_request_error"),
    Assumption("cancel_ended", "a cancel of a completed run", "400", "cancel_ended"),
    Assumption("stream_unstreamed", "a stream of a run that was not made to be streamed", "400"),
    Assumption("read_deleted", "a look at a run that was deleted", "404"),
    Assumption("first_number", "the number of a stream's first event", "0"),
    Assumption("first_event", "a stream's first event", "response.created"),
    Assumption("last_word", "what ends a stream", "response.completed"),
    Assumption("resumes_at", "a stream taken up after event n goes on at", "n+1"),
    Assumption("beyond_the_end", "a stream taken up after its last event", "200, empty"),
    Assumption("joined_text", "whether the deltas join to the final text", "yes"),
    Assumption("delete_in_flight", "a delete of a run that goes on", "400", "delete_in_flight"),
    Assumption("cancel_running", "a cancel of a run that goes on", "200 cancelled"),
    Assumption("cancel_output", "what a canceled run keeps of its output", "nothing", "cancel_keeps_output"),
    Assumption("cancel_usage", "whether a canceled run tells its usage", "no", "usage_on_cancelled"),
    Assumption("cancel_twice", "a second cancel", "200"),
    Assumption("store_false", "a background run with store=false", "accepted", "strict_store"),
    Assumption("window_2h", "a background run with a window of 2h", "accepted"),
    Assumption("file_read_back", "reading back a file that was uploaded as input", "200", "download_inputs"),
    Assumption("webhook_endpoints", "listing webhook endpoints by API", "200"),
    Assumption("webhook_event", "what a webhook calls the end of a run", "response.completed"),
    Assumption(
        "webhook_signature", "a webhook's signature by the secret its endpoint was made with", "genuine"
    ),
)
# What no trial of a few minutes can see.
NOT_TRIED: tuple[tuple[str, str], ...] = (
    ("batch", "not available yet"),
    ("stream_after_5_minutes", "not waited for: whether a stream older than five minutes can be taken up"),
    ("retention", "not waited for: how long a result is kept"),
    ("late_window", "not waited for: what becomes of a run that misses its window"),
    (
        "deleted_parent",
        "a provider that does not refuse such a run has sold one more; assumed: 400 previous_response_not_found",
    ),
    (
        "cancel_foreground",
        "a trial makes background runs only, and no other can be canceled by id; assumed: 400",
    ),
    (
        "foreground_in_flight",
        "a trial makes background runs only; assumed: any other is not found until its end",
    ),
    (
        "canceled_stream",
        "needs one more run, canceled while its stream is read; any last event, or none, is taken",
    ),
    (
        "no_tool_output",
        'a model may or may not call a function; assumed: 400 "No tool output found", and none is left out',
    ),
    (
        "end_index",
        "needs a search by the model, and a source that is sure to be cited; whether it is inclusive is left open",
    ),
    (
        "webhook_timestamp",
        "needs an endpoint that refuses an event and waits; assumed: each retry has a fresh timestamp",
    ),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a trial: ok, failed or skipped, and why."""

    name: str
    outcome: str
    note: str = ""


@dataclass(slots=True)
class Found:
    """What a trial saw."""

    steps: list[Step] = field(default_factory=list[Step])
    observed: dict[str, str] = field(default_factory=dict[str, str])
    spent: Decimal = Decimal(0)

    @property
    def ok(self) -> bool:
        """Whether no step failed."""
        return all(step.outcome != "failed" for step in self.steps)

    def differences(self) -> list[str]:
        """The assumptions that did not hold, by name."""
        return [one.name for one in ASSUMPTIONS if self.observed.get(one.name, one.assumed) != one.assumed]
