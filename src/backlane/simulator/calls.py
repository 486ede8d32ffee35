"""Serving one call: who asks, what the weather does, the run, the reply, and the truth log's line about it all."""

import asyncio
import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from backlane.simulator.account import stop_of, stopped_by
from backlane.simulator.faults import Fault
from backlane.simulator.protocol import Refusal, check_create
from backlane.simulator.replies import (
    LostReply,
    loses_reply,
    recent_creates,
    refusal_by,
    reply_headers,
    spoiled,
    takes_effect,
    written,
)
from backlane.simulator.runs import TERMINAL, mark, usage_of
from backlane.simulator.stream import (
    EventStream,
    Following,
    check_follow,
    error_by,
    finished,
    following_create,
    following_query,
)
from backlane.simulator.stream_events import error_frame
from backlane.simulator.stream_faults import STREAM_SLOTS
from backlane.simulator.values import as_object
from backlane.simulator.world import World

_CALL_SLOTS = ("reply", "delay", "header")
_SPOILING = {"cut_reply": "cut", "garble_reply": "garbled", "html_reply": "html"}
_Line = dict[str, Any]
_Act = Callable[[Fault | None], Any]


async def serve_create(world: World, request: Request) -> Response:
    """A create: refused, or a run that exists whatever becomes of its reply."""
    line = _noted(world, request, "create", None)

    def act(_: Fault | None) -> Any:
        run = world.accept(body)
        line.update(response_id=run.id, outcome="accepted", tokens=usage_of(run)["input_tokens"])
        line["files"] = run.files
        line["faults"] += run.faults
        line["fault"] = line["fault"] or next(iter(run.faults), None)
        return world.show(run)

    try:
        _authorize(request)
        given = await _read(request)
        known = as_object(given)
        line.update(metadata=known.get("metadata") or {}, model=known.get("model"))
        line.update(background=bool(known.get("background")), stream=bool(known.get("stream")))
        line["previous_response_id"] = known.get("previous_response_id")
        body = check_create(given)
        world.admit(body)
    except Refusal as refusal:
        return _refused(world, line, refusal)
    response = await _serve(world, line, request, body, act, following_create(body))
    run = world.runs.get(str(line["response_id"]))
    if run is not None and not isinstance(response, EventStream):
        world.abandon(run)
    return response


async def serve_follow(world: World, request: Request) -> Response:
    """A call that takes up the stream of a run."""
    query = request.query_params

    def act(run_id: str, _: Fault | None) -> Any:
        return world.show(check_follow(world, run_id, query))

    return await serve_run(world, request, "stream", act, following_query(query))


async def serve_run(
    world: World,
    request: Request,
    call: str,
    act: Callable[[str, Fault | None], Any],
    following: Following | None = None,
) -> Response:
    """A call on one run; a stream of its events is sent to whoever is `following`."""
    run_id = str(request.path_params["run_id"])
    line = _noted(world, request, call, run_id)
    run = world.runs.get(run_id)
    if run is not None:
        line.update(
            metadata=run.body.get("metadata") or {}, model=run.body["model"], background=run.background
        )
    if following is not None:
        line["starting_after"] = request.query_params.get("starting_after")
    try:
        _authorize(request)
    except Refusal as refusal:
        return _refused(world, line, refusal)
    return await _serve(
        world, line, request, run.body if run else {}, lambda fault: act(run_id, fault), following
    )


async def serve_object(
    world: World, request: Request, call: str, act: Callable[[_Line, Fault | None], Any], text: str = ""
) -> Response:
    """A call on a file or a container; `text` is what faults find in it."""
    line = _noted(world, request, call, None)
    line["object_id"] = request.path_params.get("object_id")
    try:
        _authorize(request)
    except Refusal as refusal:
        return _refused(world, line, refusal)
    return await _serve(world, line, request, {"input": text}, lambda fault: act(line, fault), None)


async def _serve(
    world: World, line: _Line, request: Request, body: Any, act: _Act, following: Following | None
) -> Response:
    call = str(line["call"])
    met = _weather(world, line, body, following)
    fault, delay, alone = met.get("reply"), met.get("delay"), not takes_effect(met.get("stream_end"))
    takes = takes_effect(fault) and not alone
    world.switches = stopped_by(fault, world.switches)
    stop = stop_of(world.switches, call)
    if stop is not None:
        return _refused(world, line, stop)
    subject = str(line.get("object_id") or line["response_id"])
    refusal = refusal_by(fault, world, model=str(line["model"]), run_id=subject)
    if delay is not None and delay.values.get("when") != "after":
        await _wait(world, delay)
    try:
        if call == "create" and fault is None:
            _limit(world)
        shown = act(fault) if takes else None
        if inspect.isawaitable(shown):
            shown = await shown
        accepted = world.runs.get(str(line["response_id"])) if call == "create" else None
        if accepted is not None:
            await world.webhooks.before_reply(accepted)
        if line["outcome"] == "pending":
            line["outcome"] = "answered" if takes else "refused"
    except Refusal as own:
        if loses_reply(fault):
            return _lost(line, fault)
        return _refused(world, line, own)
    if takes and call == "create" and following is None and not loses_reply(fault):
        shown = await _waited_for(world, line, request, shown)
    if delay is not None and delay.values.get("when") == "after":
        await _wait(world, delay)
    if loses_reply(fault):
        return _lost(line, fault)
    if refusal is not None:
        return _answered(world, line, refusal)
    if alone:
        return _lone_event(world, line, error_by(met["stream_end"], world.switches.first_number))
    return _reply(world, line, shown, met, following)


def _weather(world: World, line: _Line, body: Any, following: Following | None) -> dict[str, Fault]:
    """The faults this call meets, by slot; only a stream meets those of streams."""
    run, slots = world.runs.get(str(line["response_id"])), _CALL_SLOTS
    met = world.weather.meet(
        str(line["call"]),
        slots if following is None else (*slots, *STREAM_SLOTS),
        world.asked(body, run),
        ended=run is not None and world.status(run) in TERMINAL,
        cursor=following is not None and following.after >= 0,
    )
    in_order = [met[slot] for slot in (*slots, *STREAM_SLOTS) if slot in met]
    line["fault"] = next((one.name for one in in_order), None)
    line["faults"] = [one.name for one in met.values()]
    return met


async def _waited_for(world: World, line: _Line, request: Request, shown: Any) -> Any:
    """What a create shows; a caller that waits for the whole answer gets it at the run's end."""
    run = world.runs[str(line["response_id"])]
    if run.background:
        return shown
    await finished(world, run, request)
    return world.show(run)


def _reply(
    world: World, line: _Line, shown: Any, met: dict[str, Fault], following: Following | None
) -> Response:
    fault, headers = met.get("reply"), _hints(world, met.get("header"))
    spoiling = _SPOILING.get(fault.name) if fault is not None else None
    if following is not None and spoiling in (None, "cut"):
        if fault is not None and spoiling == "cut":
            met = {**met, "stream_end": dataclasses.replace(fault, name="half_frame", values={"after": -1})}
        run, headers = world.runs[str(line["response_id"])], reply_headers(world, line) | headers
        line["status_code"] = 200
        return EventStream(world, run, line, following, met=met, headers=headers)
    response = written(world, line, shown, headers=headers)
    if fault is not None and spoiling is not None:
        line["reply"] = spoiling
        response = spoiled(fault, response)
    line["status_code"] = response.status_code
    return response


def _noted(world: World, request: Request, call: str, run_id: str | None) -> _Line:
    line = world.note(call, method=request.method, path=request.url.path, response_id=run_id)
    # Until a reply is on its way the status is 0; None means that no reply was sent.
    line |= {"metadata": {}, "model": None, "background": None, "status_code": 0}
    line |= {"outcome": "pending", "reply": "sent", "fault": None, "faults": []}
    line["request_id"] = mark(world.seed, line["n"], "req")
    line["retry_count"] = request.headers.get("x-stainless-retry-count")
    return line


def _authorize(request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    key = key.strip()
    where = "You can find your API key at https://platform.openai.com/account/api-keys."
    if scheme.lower() != "bearer" or not key:
        told = f"You didn't provide an API key. You need to provide it in an Authorization header. {where}"
        raise Refusal(401, told)
    if key.startswith("sk-bad"):
        raise Refusal(401, f"Incorrect API key provided: {key[:10]}***. {where}", code="invalid_api_key")


async def _read(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        raise Refusal(400, "We could not parse the JSON body of your request.") from None


def _limit(world: World) -> None:
    """An account that enforces its limit refuses the creates beyond it."""
    recent, most = recent_creates(world), world.switches.requests_per_minute
    admitted = [one for one in recent if one["outcome"] == "accepted"]
    if world.switches.enforce_limits and len(admitted) >= most:
        seconds = max(1, int(float(admitted[-1]["at"]) + 60 - world.now()) + 1)
        told = f"Rate limit reached on requests per min (RPM): Limit {most}. Please try again in {seconds}s."
        headers = {"retry-after": str(seconds), "retry-after-ms": str(seconds * 1000)}
        raise Refusal(429, told, code="rate_limit_exceeded", kind="requests", headers=headers)


async def _wait(world: World, delay: Fault) -> None:
    """On a virtual clock a delay is only a token, so that tests stay quick."""
    seconds = float(delay.values.get("seconds", 1))
    await asyncio.sleep(min(seconds, 0.01) if world.is_virtual and not delay.values.get("real") else seconds)


def _hints(world: World, header: Fault | None) -> dict[str, str]:
    told = world.switches.poll_after_ms if header is None else header.values.get("ms", 1000)
    return {} if told is None else {"openai-poll-after-ms": str(told)}


def _lost(line: _Line, fault: Fault | None) -> Response:
    assert fault is not None
    line.update(status_code=None, reply="lost")
    if not takes_effect(fault):
        line["outcome"] = "dropped"
    return LostReply(fault)


def _lone_event(world: World, line: _Line, told: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """A stream of one `error` event: all that is heard of a create that came to nothing."""
    line.update(status_code=200, events=1, stream_ended="error")
    all_headers = reply_headers(world, line) | dict(headers or {})
    return Response(told, 200, all_headers, media_type=EventStream.media_type)


def _answered(world: World, line: _Line, refusal: Refusal) -> Response:
    shape = world.switches.early_errors
    if line.get("stream") and shape != "status" and (refusal.status == 429 or refusal.status >= 500):
        error = as_object(as_object(refusal.body).get("error"))
        told = error_frame(world.switches.first_number, error, nested=shape == "nested")
        return _lone_event(world, line, told, refusal.headers)
    line["status_code"] = refusal.status
    return written(world, line, refusal.body, refusal.status, refusal.headers)


def _refused(world: World, line: _Line, refusal: Refusal) -> Response:
    line["outcome"] = "refused"
    return _answered(world, line, refusal)
