"""A trial of a real account: the cheapest calls that show whether Backlane works with it, and how it behaves.

Every run's price is estimated before it is bought; what would pass the limit is not. Nothing is kept but
statuses, codes and counts: no id, no text, no name of an organization.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from io import BytesIO
from typing import Any, cast

from backlane.core.outcome import Answer, Failed, Finished
from backlane.core.ports import Clock
from backlane.provider import wire
from backlane.provider.assumptions import Found, Step
from backlane.provider.calling import Calls, Form
from backlane.provider.prices import price
from backlane.provider.receiving import EventStream
from backlane.provider.replies import Reply, error_body, parse
from backlane.provider.sse import Frames
from backlane.provider.trial_webhook import Deaf, Ear, close_endpoint, heard, open_endpoint

_SHORT = {"input": "Say: ready.", "max_output_tokens": 64}
_LONG = {"input": "Write the numbers from 1 to 400 in words.", "max_output_tokens": 1500}
# Tokens that a request of ours is sure to stay below, for the estimate.
_INPUT_TOKENS = 100
_PATIENCE = 120_000
_PAUSE = 500
_ENDED = ("completed", "failed", "incomplete", "cancelled")


class Stopped(Exception):
    """A step could not be made, for this reason."""


class Skipped(Stopped):
    """The step was not tried: it would have passed the limit, or nobody gave what it needs."""


@dataclass(slots=True)
class Trial:
    """One trial of one account. `max_cost` is USD; with an ear, a webhook is tried too."""

    calls: Calls
    account: str
    model: str
    max_cost: Decimal
    clock: Clock
    ear: Ear | None = None
    found: Found = field(default_factory=Found)
    _made: list[str] = field(default_factory=list[str])

    async def run(self) -> Found:
        """Every step, one after another; one that fails keeps no other from being made."""
        await self._step("create and look", self._create_and_look)
        await self._step("live and resume", self._live)
        await self._step("delete and cancel on the way", self._cancel)
        await self._step("store=false", self._store_false)
        await self._step("window", self._window)
        await self._step("files", self._files)
        await self._step("webhook endpoints", self._webhooks)
        await self._step("webhook delivery", self._delivery)
        await self._clean_up()
        return self.found

    async def _step(self, name: str, make: Callable[[], Awaitable[None]]) -> None:
        try:
            await make()
        except Skipped as error:
            self.found.steps.append(Step(name, "skipped", str(error)))
        except Deaf as error:
            self.found.steps.append(Step(name, "failed", error.why))
        except Stopped as error:
            self.found.steps.append(Step(name, "failed", str(error)))
        else:
            self.found.steps.append(Step(name, "ok"))

    # the steps

    async def _create_and_look(self) -> None:
        created = await self._create(_SHORT)
        self._saw("accepted_as", str(created["status"]))
        ended = await self._until_ended(created["id"])
        if ended["status"] not in ("completed", "incomplete"):
            raise Stopped(f"the run ended {ended['status']}")
        missing = await self._reply("GET", "/responses/resp_" + "0" * 32)
        self._saw("unknown_run", f"{missing.status} {error_body(missing.body).kind}".strip())
        canceled = await self._reply("POST", f"/responses/{created['id']}/cancel")
        self._saw("cancel_ended", str(canceled.status))
        streamed = await self._open(f"/responses/{created['id']}?stream=true")
        self._saw("stream_unstreamed", str(200 if isinstance(streamed, EventStream) else streamed.status))
        if isinstance(streamed, EventStream):
            await streamed.close()
        await self._delete(created["id"])
        self._saw("read_deleted", str((await self._reply("GET", f"/responses/{created['id']}")).status))

    async def _live(self) -> None:
        self._afford(_SHORT)
        stream = await self._open("/responses", self._body(_SHORT, stream=True))
        if not isinstance(stream, EventStream):
            raise Stopped(_refusal(stream))
        head = await self._events(stream, at_most=3)
        if not head:
            raise Stopped("the stream said nothing")
        self._saw("first_number", str(head[0].get("sequence_number")))
        self._saw("first_event", str(head[0].get("type")))
        self._saw("opening", ", ".join(str(one.get("type")).removeprefix("response.") for one in head))
        run = str(cast(dict[str, Any], head[0].get("response") or {}).get("id"))
        if not wire.is_run_id(run):
            raise Stopped("the stream's first event names no run")
        self._made.append(run)
        rest = await self._resumed(run, cursor := _number(head[-1]))
        if not rest:
            raise Stopped("the stream could not be taken up")
        told = "n+1" if _number(rest[0]) == cursor + 1 else f"n{_number(rest[0]) - cursor:+d}"
        self._saw("resumes_at", told)
        last = rest[-1]
        self._saw("last_word", str(last.get("type")))
        ended = await self._until_ended(run)
        joined = "".join(str(one.get("delta")) for one in (*head, *rest) if one.get("type") == _DELTA)
        self._saw("joined_text", "yes" if joined == _text_of(ended, run) else "no")
        beyond = await self._open(f"/responses/{run}?stream=true&starting_after={_number(last)}")
        if isinstance(beyond, EventStream):
            self._saw("beyond_the_end", "200, empty" if not await self._events(beyond) else "200, events")
        else:
            self._saw("beyond_the_end", str(beyond.status))

    async def _cancel(self) -> None:
        run = str((await self._create(_LONG))["id"])
        self._saw("delete_in_flight", str((await self._reply("DELETE", f"/responses/{run}")).status))
        if self.found.observed["delete_in_flight"] == "200":
            run = str((await self._create(_LONG))["id"])
        canceled = await self._reply("POST", f"/responses/{run}/cancel")
        body = _mapping(parse(canceled.body))
        self._saw("cancel_running", f"{canceled.status} {body.get('status', '')}".strip())
        if body.get("status") == "cancelled":
            self._saw("cancel_output", "something" if body.get("output") else "nothing")
            self._saw("cancel_usage", "yes" if body.get("usage") else "no")
        self._saw("cancel_twice", str((await self._reply("POST", f"/responses/{run}/cancel")).status))

    async def _store_false(self) -> None:
        await self._accepts("store_false", {**_SHORT, "store": False})

    async def _window(self) -> None:
        await self._accepts("window_2h", {**_SHORT, "background_options": {"completion_window": "2h"}})

    async def _accepts(self, name: str, params: dict[str, Any]) -> None:
        """Whether a create like this is taken; the run is stopped at once."""
        self._afford(params)
        reply = await self._reply("POST", "/responses", self._body(params))
        self._saw(name, "accepted" if reply.ok else f"{reply.status}")
        run = _mapping(parse(reply.body)).get("id")
        if reply.ok and wire.is_run_id(run):
            self._made.append(run)
            await self._reply("POST", f"/responses/{run}/cancel")

    async def _files(self) -> None:
        fields = {"purpose": "user_data", "expires_after": {"anchor": "created_at", "seconds": 3600}}
        form = Form(fields, "trial.txt", BytesIO(b"ready"), "text/plain", 30.0)
        reply = await self._reply("POST", "/files", form)
        file_id = _mapping(parse(reply.body)).get("id")
        if not reply.ok or not wire.is_run_id(file_id):
            raise Stopped(_refusal(reply))
        self._saw("file_read_back", str((await self._reply("GET", f"/files/{file_id}/content")).status))
        deleted = await self._reply("DELETE", f"/files/{file_id}")
        if not deleted.ok:
            raise Stopped(f"the file was not deleted: {_refusal(deleted)}")

    async def _webhooks(self) -> None:
        reply = await self._reply("GET", "/webhook_endpoints")
        self._saw("webhook_endpoints", str(reply.status))

    async def _delivery(self) -> None:
        if self.ear is None:
            raise Skipped("with --webhook-url, an address that leads to this machine, one is tried")
        endpoint = await open_endpoint(self.calls, self.account, self.ear, self.clock.now())
        try:
            run = str((await self._create(_SHORT))["id"])
            self.found.observed |= await heard(self.ear, endpoint, run, self.clock, _PATIENCE)
        finally:
            await close_endpoint(self.calls, self.account, endpoint)

    async def _clean_up(self) -> None:
        """What was made is deleted; what cannot be is left to the provider's own retention."""
        for run in self._made:
            await self.calls.call(self.account, "DELETE", f"/responses/{run}")

    # how they are made

    def _saw(self, name: str, value: str) -> None:
        self.found.observed[name] = value[:60]

    def _body(self, params: dict[str, Any], *, stream: bool = False) -> bytes:
        ours = {"model": self.model, "background": True, "metadata": {"backlane_trial": "1"}}
        return json.dumps({**ours, **params, **({"stream": True} if stream else {})}).encode()

    def _afford(self, params: dict[str, Any]) -> None:
        """Count a run like this at the most it can cost, before it is sent.

        Raises Skipped if that would pass the limit, Stopped if nobody knows what it costs.
        """
        usage = {"input_tokens": _INPUT_TOKENS, "output_tokens": params["max_output_tokens"]}
        estimate = price(Answer("", "completed", model=self.model, usage=usage), self.clock.now()).amount
        if estimate is None:
            raise Stopped(f"no price is known for model {self.model[:80]}: choose another with --model")
        if self.found.spent + estimate > self.max_cost:
            raise Skipped(f"it might cost {estimate} USD: {self.found.spent} of {self.max_cost} are spent")
        self.found.spent += estimate

    async def _create(self, params: dict[str, Any]) -> dict[str, Any]:
        self._afford(params)
        reply = await self._reply("POST", "/responses", self._body(params))
        body = _mapping(parse(reply.body))
        if not reply.ok or not wire.is_run_id(body.get("id")):
            raise Stopped(_refusal(reply))
        self._made.append(str(body["id"]))
        self._saw("poll_after", "yes" if "openai-poll-after-ms" in reply.headers else "no")
        limits = "yes" if "x-ratelimit-limit-requests" in reply.headers else "no"
        self._saw("rate_limits", limits)
        return body

    async def _until_ended(self, run: str) -> dict[str, Any]:
        until = self.clock.now() + _PATIENCE
        while self.clock.now() < until:
            body = _mapping(parse((await self._reply("GET", f"/responses/{run}")).body))
            if body.get("status") in _ENDED:
                return body
            await self.clock.sleep(_PAUSE)
        raise Stopped("the run did not end within two minutes")

    async def _delete(self, run: str) -> None:
        reply = await self._reply("DELETE", f"/responses/{run}")
        if not reply.ok:
            raise Stopped(f"the run was not deleted: {_refusal(reply)}")

    async def _reply(self, method: str, path: str, content: bytes | Form | None = None) -> Reply:
        reply = await self.calls.call(self.account, method, path, content)
        if not isinstance(reply, Reply):
            raise Stopped(reply.message)
        return reply

    async def _open(self, path: str, content: bytes | None = None) -> EventStream | Reply:
        method = "GET" if content is None else "POST"
        found = await self.calls.stream(self.account, method, path, content)
        if not isinstance(found, EventStream | Reply):
            raise Stopped(found.message)
        return found

    async def _resumed(self, run: str, cursor: int) -> list[dict[str, Any]]:
        found = await self._open(f"/responses/{run}?stream=true&starting_after={cursor}")
        return await self._events(found) if isinstance(found, EventStream) else []

    async def _events(self, stream: EventStream, at_most: int = 10_000) -> list[dict[str, Any]]:
        """The next events of a stream, which is closed then."""
        frames, events = Frames(1_000_000), list[dict[str, Any]]()
        try:
            async for chunk in stream.chunks():
                if not isinstance(chunk, bytes):
                    raise Stopped(f"the stream broke: {chunk.message}")
                events += [_mapping(parse(frame)) for frame in frames.feed(chunk)]
                if len(events) >= at_most:
                    break
        finally:
            await stream.close()
        return [one for one in events if one][:at_most]


_DELTA = "response.output_text.delta"


def _mapping(value: Any) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _number(event: dict[str, Any]) -> int:
    number = event.get("sequence_number")
    return number if isinstance(number, int) else -1


def _text_of(body: dict[str, Any], run: str) -> str:
    outcome = wire.observed(body, run, None)
    return outcome.answer.text if isinstance(outcome, Finished | Failed) else ""


def _refusal(reply: Reply) -> str:
    error = error_body(reply.body)
    return f"{reply.status} {error.code or error.kind}".strip()
