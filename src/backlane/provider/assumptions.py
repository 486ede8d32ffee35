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


@dataclass(frozen=True, slots=True)
class Untried:
    """One thing that no trial compares, why, and the simulator's switch for it."""

    name: str
    why: str
    switch: str | None = None


ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption("accepted_as", "the status of a background run that was just made", "queued"),
    Assumption("poll_after", "whether replies say when to look again", "no", "poll_after_ms"),
    Assumption("rate_limits", "whether replies carry rate-limit headers", "yes"),
    Assumption("unknown_run", "a look at a run that is not there", "404 invalid_request_error"),
    Assumption("cancel_ended", "a cancel of a completed run", "400", "cancel_ended"),
    Assumption("stream_unstreamed", "a stream of a run that was not made to be streamed", "400"),
    Assumption("read_deleted", "a look at a run that was deleted", "404"),
    Assumption("first_number", "the number of a stream's first event", "0", "first_number"),
    Assumption("first_event", "a stream's first event", "response.created"),
    Assumption("opening", "a stream's first three events", "created, queued, in_progress"),
    Assumption("last_word", "what ends a stream", "response.completed"),
    Assumption("resumes_at", "a stream taken up after event n goes on at", "n+1"),
    Assumption("beyond_the_end", "a stream taken up after its last event", "200, empty", "beyond_the_end"),
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
NOT_TRIED: tuple[Untried, ...] = (
    Untried("batch", "not available yet"),
    Untried(
        "stream_after_5_minutes",
        "not waited for: whether a stream older than five minutes can be taken up",
        "stream_seconds",
    ),
    Untried("retention", "not waited for: how long a result is kept", "ephemeral_seconds"),
    Untried("late_window", "not waited for: what becomes of a run that misses its window"),
    Untried(
        "long_queue",
        "not waited for: a run may wait in the queue for an hour; it is looked at until its useful window ends",
    ),
    Untried(
        "deleted_parent",
        "a provider that does not refuse such a run has sold one more; assumed: 400 previous_response_not_found",
        "deleted_parent",
    ),
    Untried(
        "unfinished_parent",
        "a provider that does not refuse such a run has sold one more; assumed: 400",
        "continue_unfinished",
    ),
    Untried(
        "missing_model",
        "a provider with a model of its own choice would sell a run of unknown price; assumed: refused",
    ),
    Untried(
        "cancel_foreground",
        "a trial makes background runs only, and no other can be canceled by id; assumed: 400",
        "cancel_foreground",
    ),
    Untried(
        "foreground_in_flight",
        "a trial makes background runs only; assumed: any other is not found until its end",
    ),
    Untried(
        "foreground_left",
        "a trial makes background runs only; assumed: any other is stopped when its caller hangs up",
    ),
    Untried(
        "canceled_stream",
        "needs one more run, canceled while its stream is read; any last event, or none, is taken",
        "cancelled_stream",
    ),
    Untried(
        "cancel_delay",
        "needs one more run, canceled while its stream is read; a job waits up to a minute for the confirmation",
    ),
    Untried(
        "canceled_then_completed",
        "cannot be brought about: seen elsewhere; the job stays canceled, and the result is kept as late",
    ),
    Untried("canceled_billing", "shows on the bill only; a canceled run without usage is booked as unpriced"),
    Untried(
        "usage_on_failed",
        "no run can be made to fail on purpose; assumed: it tells no usage",
        "usage_on_failed",
    ),
    Untried(
        "early_errors",
        "no server error can be brought about; taken as a status or as a lone event before all others",
        "early_errors",
    ),
    Untried(
        "error_after_created",
        "no error of the server can be brought about; assumed: response.failed ends the stream",
    ),
    Untried(
        "retry_after_ms",
        "needs a limit to be passed; retry-after-ms is read before retry-after, and neither is needed",
    ),
    Untried(
        "refused_calls_count",
        "needs a limit to be nearly passed; the limits that replies tell are taken as they are",
    ),
    Untried("concurrent_runs", "needs many runs at once: how many may be out; a refusal is waited out"),
    Untried("tier_downgrade", "needs a ramp of costly runs; a run is priced by the tier that it reports"),
    Untried("tier_prices", "shows on the bill only; what a priority run costs is that of the price list"),
    Untried(
        "container_billing", "shows on the bill only, and needs a container; it is no part of a job's cost"
    ),
    Untried(
        "container_use", "not waited for: whether a look at a container keeps it", "container_looks_count"
    ),
    Untried(
        "unreadable_files",
        "needs a broken file; a refusal and a failed run are both taken",
        "unreadable_files",
    ),
    Untried("research_approvals", "needs a research model; assumed: remote calls without approval only"),
    Untried(
        "no_tool_output",
        'a model may or may not call a function; assumed: 400 "No tool output found", and none is left out',
    ),
    Untried(
        "end_index",
        "needs a search by the model, and a source that is sure to be cited; whether it is inclusive is left open",
        "end_index",
    ),
    Untried(
        "webhook_timestamp",
        "needs an endpoint that refuses an event and waits; assumed: each retry has a fresh timestamp",
        "retry_timestamp",
    ),
    Untried(
        "webhook_schedule",
        "needs an endpoint that refuses an event for days; looks find every end",
        "webhook_retry_seconds",
    ),
    Untried(
        "webhook_order",
        "needs many runs at once; an event only makes its job be looked at, so no order is needed",
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
