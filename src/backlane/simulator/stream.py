"""Sending a run's events to one follower as the clock reaches them, with what goes wrong on the way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from backlane.simulator.faults import Fault
from backlane.simulator.protocol import wrong
from backlane.simulator.replies import hang_up
from backlane.simulator.runs import TERMINAL, Run
from backlane.simulator.stream_events import Event, error_frame, events_of, frame, pad_of
from backlane.simulator.values import as_object
from backlane.simulator.world import World

_Line = dict[str, Any]
_TOO_OLD = "This response can no longer be streamed because it is more than {minutes} minutes old"
_EVENTS = {"type": "http.response.body", "more_body": True}


@dataclass(frozen=True, slots=True)
class Following:
    """What a follower asks for: the events after a number (-1: all), and pads on the deltas or none."""

    after: int = -1
    pads: bool = True


def following_create(body: Mapping[str, Any]) -> Following | None:
    """What a create asks for, if it asks for a stream."""
    if not body.get("stream"):
        return None
    return Following(pads=as_object(body.get("stream_options")).get("include_obfuscation", True) is not False)


def following_query(query: Mapping[str, str]) -> Following:
    """What a GET with `stream=true` asks for; what is no number is refused later."""
    after, pads = query.get("starting_after", "-1"), query.get("include_obfuscation") != "false"
    return Following(int(after) if after.isdecimal() else -1, pads)


def check_follow(world: World, run_id: str, query: Mapping[str, str]) -> Run:
    """The run, if its stream can be taken up now. Raises Refusal."""
    run = world.run(run_id)
    for name in ("background", "stream", "store"):
        if not run.body.get(name, name == "store"):
            told = f"This response cannot be streamed because it was not created with {name}=true."
            raise wrong("stream", told)
    limit = world.switches.stream_seconds
    if limit is not None and world.now() - run.created_at > limit:
        raise wrong("stream", _TOO_OLD.format(minutes=f"{limit / 60:g}"))
    after = query.get("starting_after", "0")
    if not after.isdecimal():
        told = f"Invalid type for 'starting_after': expected an integer, but got '{after}' instead."
        raise wrong("starting_after", told, "invalid_type")
    if world.switches.beyond_the_end == "refuse" and world.status(run) in TERMINAL:
        last = events_of(run, world.switches, world.seed)[-1].number
        if "starting_after" in query and int(after) >= last:
            raise wrong("starting_after", f"'starting_after' must be less than {last}.")
    return run


class EventStream(Response):
    """A run's events to one follower. A run that is nobody else's stops when its follower leaves."""

    media_type = "text/event-stream"

    def __init__(
        self,
        world: World,
        run: Run,
        line: _Line,
        following: Following,
        *,
        met: Mapping[str, Fault],
        headers: Mapping[str, str],
    ) -> None:
        self.status_code, self.background = 200, None
        self.init_headers({**headers, "cache-control": "no-cache"})
        self._world, self._run, self._line = world, run, line
        self._pads = following.pads
        self._first = world.switches.first_number
        self._last = -1 if "stream_start" in met else following.after
        self._met = met
        self._plan: list[Event] = []
        self._planned_for: float | None = -1.0
        line.update(events=0, stream_ended="open")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the stream ends, breaks, or its follower leaves; the truth log says which."""
        leaving, telling = (
            asyncio.ensure_future(left(receive)),
            asyncio.ensure_future(self._tell(scope, send)),
        )
        try:
            await asyncio.wait({leaving, telling}, return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
                if self._line["stream_ended"] == "cut":
                    await leaving
        finally:
            leaving.cancel()
            telling.cancel()
            self._end("left")
            self._world.abandon(self._run)

    def _end(self, how: str) -> None:
        """Noted before the follower can know it; the first reason stands."""
        if self._line["stream_ended"] == "open":
            self._line["stream_ended"] = how

    async def _tell(self, scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        end, pause, last = self._met.get("stream_end"), self._met.get("stream_pause"), self._last
        if end is not None and _after(end) < 0:
            await self._break_off(end, last, scope, send)
            return
        async for event in self._live(last):
            last = event.number
            await self._say(event, send)
            if pause is not None and last >= _after(pause):
                await self._pass(float(pause.values.get("seconds", 30)))
                pause = None
            if end is not None and last >= _after(end):
                await self._break_off(end, last, scope, send)
                return
        self._end("whole" if self._still_there() else "emptied")
        await send({"type": "http.response.body", "body": b""})

    async def _live(self, last: int) -> AsyncIterator[Event]:
        """Each event after a number, as the clock reaches it; a run that is stopped meanwhile ends at once."""
        while self._still_there():
            # Who asks for what lies beyond the end hears the end only.
            event = self._next(last)
            due = event.due if event is not None else self._events()[-1].due
            if due > self._world.now():
                await self._world.rest(self._run, due - self._world.now())
            elif event is not None:
                last = event.number
                yield event
            else:
                return

    def _events(self) -> list[Event]:
        """The run's events; a cancel changes what is still to come."""
        if self._planned_for != self._run.canceled_at:
            self._planned_for = self._run.canceled_at
            self._plan = events_of(self._run, self._world.switches, self._world.seed)
        return self._plan

    def _next(self, last: int) -> Event | None:
        plan = self._events()
        index = max(0, last + 1 - self._first)
        return plan[index] if index < len(plan) else None

    async def _say(self, event: Event, send: Send) -> None:
        fault = self._met.get("stream_events")
        first, count = (3, 1) if fault is None else _stretch(fault)
        hit = fault is not None and first <= event.number < first + count
        if fault is not None and hit and fault.name == "gap_in_events":
            return
        told = self._frame(event)
        if fault is not None and hit and fault.name == "garble_frame":
            told = told[: len(told) * 2 // 3].rstrip() + b"\n\n"
        await self._send(told, send)
        if fault is not None and fault.name == "duplicate_events" and event.number == first + count - 1:
            place = max(0, first - self._first)
            for again in self._events()[place : place + count]:
                await self._send(self._frame(again), send)

    def _frame(self, event: Event) -> bytes:
        return frame(event, pad_of(self._world.seed, self._run.id, event.number) if self._pads else None)

    async def _send(self, told: bytes, send: Send) -> None:
        await send({**_EVENTS, "body": told})
        self._line["events"] += 1

    async def _pass(self, seconds: float) -> None:
        until = self._world.now() + seconds
        while self._still_there() and self._world.now() < until:
            await self._world.rest(self._run, until - self._world.now())

    async def _break_off(self, fault: Fault, last: int, scope: Scope, send: Send) -> None:
        if fault.name in ("drop_stream", "half_frame"):
            coming = self._next(last)
            if fault.name == "half_frame" and coming is not None:
                told = self._frame(coming)
                await send({**_EVENTS, "body": told[: len(told) // 2]})
            self._end("cut")
            self._line["reply"] = "cut"
            hang_up(scope, reset=fault.values.get("how") == "reset")
            return
        if fault.name == "stream_error":
            await self._send(error_by(fault, max(last + 1, self._first)), send)
        self._end("error" if fault.name == "stream_error" else "early")
        await send({"type": "http.response.body", "body": b""})

    def _still_there(self) -> bool:
        return self._world.runs.get(self._run.id) is self._run


def _after(fault: Fault) -> int:
    return int(fault.values.get("after", 0))


def _stretch(fault: Fault) -> tuple[int, int]:
    return int(fault.values.get("at", 3)), int(fault.values.get("count", 1))


def error_by(fault: Fault, number: int) -> bytes:
    """The `error` event of a fault."""
    code = str(fault.values.get("code", "server_error"))
    message = str(fault.values.get("message", "An error occurred while processing the stream."))
    error = {"type": code, "code": code, "message": message, "param": None}
    return error_frame(number, error, nested=fault.values.get("shape") == "nested")


async def left(receive: Receive) -> None:
    """Until the caller is gone; one that says anything else cannot tell us."""
    if (await receive())["type"] != "http.disconnect":
        await asyncio.Event().wait()


async def finished(world: World, run: Run, request: Request) -> None:
    """Until a run that is waited for has ended, or its caller has left, which stops it."""
    if world.status(run) in TERMINAL:
        return
    leaving = asyncio.ensure_future(left(request.receive))
    try:
        while not leaving.done() and world.status(run) not in TERMINAL:
            await _first(leaving, world.rest(run, run.ends_at - world.now()))
    finally:
        leaving.cancel()
        world.abandon(run)


async def _first(leaving: "asyncio.Future[None]", resting: Awaitable[None]) -> None:
    rest = asyncio.ensure_future(resting)
    await asyncio.wait({leaving, rest}, return_when=asyncio.FIRST_COMPLETED)
    rest.cancel()
