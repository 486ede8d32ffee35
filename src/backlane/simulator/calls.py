"""Serving one call: who asks, what the weather does, the run, the reply, and the truth log's line about it all."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from backlane.simulator.faults import Fault
from backlane.simulator.protocol import Refusal, check_create
from backlane.simulator.replies import (
    LostReply,
    loses_reply,
    recent_creates,
    refusal_by,
    spoiled,
    takes_effect,
    written,
)
from backlane.simulator.runs import TERMINAL, mark, usage_of
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
        line["background"] = bool(known.get("background"))
        body = check_create(given)
        world.admit(body)
    except Refusal as refusal:
        return _refused(world, line, refusal)
    return await _serve(world, line, request, body, act)


async def serve_run(
    world: World, request: Request, call: str, act: Callable[[str, Fault | None], Any]
) -> Response:
    """A call on one run."""
    run_id = str(request.path_params["run_id"])
    line = _noted(world, request, call, run_id)
    run = world.runs.get(run_id)
    if run is not None:
        line.update(
            metadata=run.body.get("metadata") or {}, model=run.body["model"], background=run.background
        )
    try:
        _authorize(request)
    except Refusal as refusal:
        return _refused(world, line, refusal)
    return await _serve(world, line, request, run.body if run else {}, lambda fault: act(run_id, fault))


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
    return await _serve(world, line, request, {"input": text}, lambda fault: act(line, fault))


async def _serve(world: World, line: _Line, request: Request, body: Any, act: _Act) -> Response:
    call, run = str(line["call"]), world.runs.get(str(line["response_id"]))
    ended = run is not None and world.status(run) in TERMINAL
    met = world.weather.meet(call, _CALL_SLOTS, world.asked(body, run), ended=ended)
    fault, delay = met.get("reply"), met.get("delay")
    line["fault"] = next((one.name for one in (fault, delay, met.get("header")) if one), None)
    line["faults"] = [one.name for one in met.values()]
    subject = str(line.get("object_id") or line["response_id"])
    refusal = refusal_by(fault, world, model=str(line["model"]), run_id=subject)
    if delay is not None and delay.values.get("when") != "after":
        await _wait(world, delay)
    try:
        if call == "create" and fault is None:
            _limit(world)
        shown = act(fault) if takes_effect(fault) else None
        if line["outcome"] == "pending":
            line["outcome"] = "answered" if takes_effect(fault) else "refused"
    except Refusal as own:
        if loses_reply(fault):
            return _lost(line, fault)
        return _refused(world, line, own)
    if delay is not None and delay.values.get("when") == "after":
        await _wait(world, delay)
    if loses_reply(fault):
        return _lost(line, fault)
    if refusal is not None:
        return _answered(world, line, refusal)
    response = written(world, line, shown, headers=_hints(world, met.get("header")))
    line["status_code"] = response.status_code
    if fault is not None and fault.name in _SPOILING:
        line["reply"] = _SPOILING[fault.name]
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


def _answered(world: World, line: _Line, refusal: Refusal) -> Response:
    line["status_code"] = refusal.status
    return written(world, line, refusal.body, refusal.status, refusal.headers)


def _refused(world: World, line: _Line, refusal: Refusal) -> Response:
    line["outcome"] = "refused"
    return _answered(world, line, refusal)
