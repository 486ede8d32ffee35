"""The faults that only a stream of events can meet. They are listed here and met in `stream.py`."""

from backlane.simulator.fault_kind import Kind

_HOW = {"how": "close (default) or reset"}
_REFUSE_TEXT = {"message": "the error's message"}
# A create with `stream`, and a GET that takes the stream up.
_CREATE, _STREAMS, _FOLLOW = frozenset({"create"}), frozenset({"create", "stream"}), frozenset({"stream"})
_AFTER = {"after": "the last event's number (default 0; -1: none at all)"}
_AT = {"at": "the first such event's number (default 3)", "count": "how many (default 1)"}
# The slots that only a stream can meet.
STREAM_SLOTS = ("stream_start", "stream_events", "stream_pause", "stream_end")

STREAM_FAULTS: dict[str, Kind] = {
    "drop_stream": Kind(
        "the connection of a stream closes after an event", _STREAMS, "stream_end", {**_AFTER, **_HOW}
    ),
    "end_stream_early": Kind(
        "a stream ends cleanly after an event, without a last word", _STREAMS, "stream_end", _AFTER
    ),
    "half_frame": Kind(
        "the frame after an event is half-written, then the connection closes",
        _STREAMS,
        "stream_end",
        _AFTER,
    ),
    "stream_error": Kind(
        "an `error` event follows an event, and the stream ends; the run goes on in the background",
        _STREAMS,
        "stream_end",
        {
            **_AFTER,
            "shape": "flat (default) or nested",
            "code": "default server_error",
            "accept": "false: nothing is accepted, and the error stands alone (default true)",
            **_REFUSE_TEXT,
        },
    ),
    "duplicate_events": Kind(
        "some events come once more after the last of them", _STREAMS, "stream_events", _AT
    ),
    "gap_in_events": Kind("some events never come on this connection", _STREAMS, "stream_events", _AT),
    "garble_frame": Kind("some events hold broken JSON", _STREAMS, "stream_events", _AT),
    "silent_stream": Kind(
        "no byte comes for a while after an event",
        _STREAMS,
        "stream_pause",
        {**_AFTER, "seconds": "default 30"},
    ),
    "restart_at_zero": Kind(
        "a stream that is taken up again begins at its first event",
        _FOLLOW,
        "stream_start",
        needs_cursor=True,
    ),
    "refuse_stream": Kind(
        "400: the stream cannot be taken up (any more)",
        _FOLLOW,
        "reply",
        {"status": "default 400", "code": "the error's code", **_REFUSE_TEXT},
    ),
    "expired_cursor": Kind(
        "400 for a `starting_after`",
        _FOLLOW,
        "reply",
        {"code": "the error's code", **_REFUSE_TEXT},
        needs_cursor=True,
    ),
    "unknown_event": Kind(
        "the run's stream has an event of a type nobody knows, numbered as any other",
        _CREATE,
        "novelty",
        {
            "after": "the number of the event before it (default 2)",
            "type": "default response.mood.changed",
            "fields": "what it says beside its type (default nothing)",
        },
    ),
}
