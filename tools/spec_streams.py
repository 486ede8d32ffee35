"""The walk's streams: each way to end, and `error` events in both shapes, after a start and alone."""

from typing import Any, cast

from openai import OpenAI
from tools.spec_wire import attempt, listen

from backlane.simulator.server import Running

_TEXT = "The gate is green. It was built in 1893."


def ends_of_streams(client: OpenAI, simulator: Running) -> None:
    """A refusal, a failure, an answer cut short, a run that was canceled: followed, and taken up again."""
    create = cast(Any, client.responses.create)
    simulator.profile(queued_seconds=[0, 0], running_seconds=[0, 0])
    for then in (
        {"refusal": "No."},
        {"status": "failed"},
        {"status": "incomplete"},
        {"status": "incomplete", "incomplete_reason": "content_filter"},
        {"citations": [{"quote": "green", "url": "https://example.test/gate", "title": "The gate"}]},
    ):
        simulator.script({"then": {"text": _TEXT, **then}})
        heard = listen(lambda: create(model="m", input=_TEXT, background=True, stream=True))
        listen(lambda heard=heard: _again(client, heard[0].response.id))
    simulator.script({"then": {"queued_seconds": 10, "running_seconds": 10}})
    # The recorder reads a stream to its end, and this run is to be stopped before it has ended.
    simulator.faults({"fault": "end_stream_early", "after": 0})
    run = listen(lambda: create(model="m", input=_TEXT, background=True, stream=True))[0].response.id
    client.responses.cancel(run)
    listen(lambda: _again(client, run))
    listen(lambda: create(model="m", input=_TEXT, stream=True))
    simulator.profile(queued_seconds=[0.1, 0.5], running_seconds=[0.5, 3])


def error_events(client: OpenAI, simulator: Running) -> None:
    """Within a stream, and in the place of one."""
    create = cast(Any, client.responses.create)
    simulator.profile(queued_seconds=[0, 0], running_seconds=[0, 0])
    for shape in ("flat", "nested"):
        simulator.faults({"fault": "stream_error", "after": 3, "shape": shape})
        listen(lambda: create(model="m", input=_TEXT, background=True, stream=True))
        simulator.profile(early_errors=shape)
        for fault in ("rate_limit", "server_error"):
            simulator.faults({"fault": fault})
            listen(lambda: create(model="m", input=_TEXT, background=True, stream=True))
    simulator.profile(early_errors="status", queued_seconds=[0.1, 0.5], running_seconds=[0.5, 3])


def _again(client: OpenAI, run: str) -> Any:
    """The same stream from its second event on, without pads."""
    return (
        attempt(
            lambda: client.responses.retrieve(run, stream=True, starting_after=0, include_obfuscation=False)
        )
        or ()
    )
