"""OpenAI background mode through the official SDK. Its own retries are off: one call is one purchase at most.

Answers the provider gave are values; nothing here decides about a job.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode

from backlane.core.outcome import (
    Accepted,
    CitedFile,
    CreateOutcome,
    Failed,
    FileListOutcome,
    FileOutcome,
    Finished,
    Gone,
    LookOutcome,
    NotSent,
    Refused,
    Unknown,
    When,
)
from backlane.core.ports import CreateCall
from backlane.core.provider_file import DeleteOutcome, FileUpload, FindOutcome, UploadOutcome
from backlane.core.stream import Break, Broken, Ended, Opened, StreamEvent, Streaming
from backlane.provider import wire
from backlane.provider.calling import Account, Calls
from backlane.provider.containers import Containers
from backlane.provider.files import ProviderFiles
from backlane.provider.pace import Pace, poll_after, retry_after
from backlane.provider.receiving import EventStream, Spill
from backlane.provider.registration import Registered, register
from backlane.provider.replies import Reply, create_refusal, look_refusal, parse
from backlane.provider.stream import EventReader, Named, after, named_run, not_taken_up, only, read_events
from backlane.provider.webhooks import Door

_NO_ID = Gone("that is not the id of a run")
# How much of one event of a stream is read, bytes; a run that ends with more is looked at.
_FRAME_AT_MOST = 4_000_000
# The lane decides about these, whatever a job type passes.
_OURS = frozenset({"background", "stream", "stream_options"})


class OpenAIProvider:
    """Implements the Provider protocol.

    `now` gives milliseconds since 1970; `call_timeout` is how long one whole call may take, in milliseconds;
    `reply_at_most` how much of a reply is read, in bytes; `silence` how long a stream may say nothing, in
    milliseconds.
    `spill` takes in answers that are too large for memory.
    `transport` replaces the network (an httpx2 transport), for a simulator in the same process.
    Raises SettingsError for an account that could never work.
    """

    def __init__(
        self,
        accounts: Mapping[str, Account],
        *,
        now: Callable[[], int],
        pace: Pace,
        call_timeout: int = 30_000,
        reply_at_most: int = 32_000_000,
        silence: int = 60_000,
        spill: Spill | None = None,
        transport: Any = None,
    ) -> None:
        self._calls = Calls(
            accounts,
            call_timeout=call_timeout,
            reply_at_most=reply_at_most,
            silence=silence,
            transport=transport,
        )
        self._timeout = call_timeout / 1000
        self._silence = silence / 1000
        self._spill = spill
        self._frame_at_most = min(reply_at_most, _FRAME_AT_MOST)
        self._text_at_most = reply_at_most
        self._files = ProviderFiles(self._calls, now)
        self._containers = Containers(self._calls, now)
        self._now = now
        self._pace = pace
        self._webhook_secrets = {name: account.webhook_secrets for name, account in accounts.items()}

    def prepare(self) -> None:
        """Load the SDK and make the clients, so that the first call of a worker needs no files."""
        self._calls.prepare()

    def door(self) -> Door:
        """Where the accounts' signed events come in."""
        return Door(self._webhook_secrets)

    async def register_webhook(self, account: str, url: str) -> Registered | Refused | Unknown | NotSent:
        """Make an endpoint at the provider that tells `url` of every end."""
        return await register(self._calls, account, url, self._now())

    async def create(self, call: CreateCall) -> CreateOutcome:
        """Buy a run, once."""
        content = _encoded(call)
        if content is None:
            return Refused(When.NEVER, "request_refused", "the request cannot be written as JSON")
        reply = await self._calls.call(call.account, "POST", "/responses", content)
        return self._created(call, reply) if isinstance(reply, Reply) else reply

    async def open_stream(self, call: CreateCall) -> CreateOutcome | Streaming:
        """Buy a run, once, and stream it; a stream that breaks before it names the run tells nothing."""
        content = _encoded(call, stream=True)
        if content is None:
            return Refused(When.NEVER, "request_refused", "the request cannot be written as JSON")
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._calls.stream(call.account, "POST", "/responses", content)
                if isinstance(found, EventStream):
                    return await self._begun(call, found)
        except TimeoutError:
            return Unknown("timeout", "the provider did not answer in time")
        if not isinstance(found, Reply):
            return found
        made = self._created(call, found)
        if isinstance(made, Accepted) and made.ended and not call.background:
            return _whole(made, found)
        return made

    async def _begun(self, call: CreateCall, stream: EventStream) -> Streaming | Unknown:
        self._pace.saw_create(call.account, str(call.params.get("model") or ""), stream.headers)
        events = self._read(stream, EventReader(None, _named_attempt(call)))
        named: Named | Broken = Broken(Break.SILENT)
        try:
            named = await named_run(events)
        finally:
            if not isinstance(named, Named):
                await events.aclose()
        if isinstance(named, Broken):
            return Unknown(f"stream_{named.kind}", named.message)
        return Streaming(named.accepted, named.seq, after(named.first, events))

    async def resume_stream(
        self, account: str, response_id: str, after: int | None
    ) -> AsyncGenerator[Opened | StreamEvent]:
        """`Opened`, then a run's events after a number. What keeps it from being taken up is its one value then."""
        if not wire.is_run_id(response_id):
            yield Broken(Break.REFUSED, _NO_ID.message)
            return
        given = {"stream": "true", "include_obfuscation": "false"}
        if after is not None:
            given["starting_after"] = str(after)
        found = await self._calls.stream(account, "GET", f"{_path(response_id)}?{urlencode(given)}")
        if not isinstance(found, EventStream):
            yield not_taken_up(found)
            return
        yield Opened()
        events = self._read(found, EventReader(response_id))
        try:
            async for event in events:
                yield event
        finally:
            await events.aclose()

    def _read(self, stream: EventStream, reader: EventReader) -> AsyncGenerator[StreamEvent]:
        frame, text = self._frame_at_most, self._text_at_most
        return read_events(stream, reader, silence=self._silence, frame_at_most=frame, text_at_most=text)

    def _created(self, call: CreateCall, reply: Reply) -> CreateOutcome:
        model = str(call.params.get("model") or "")
        self._pace.saw_create(call.account, model, reply.headers)
        if reply.ok and reply.truncated:
            return wire.accepted_in_part(reply.body, self._hint(reply))
        if reply.ok:
            return wire.accepted(parse(reply.body), self._hint(reply), _named_attempt(call))
        outcome = create_refusal(reply, self._now())
        if isinstance(outcome, Refused) and outcome.when is When.LATER and outcome.retry_after:
            self._pace.hold_creates(call.account, model, outcome.retry_after)
        if isinstance(outcome, Refused) and outcome.code == "slow_down":
            self._pace.slow_creates(call.account, model)
        return outcome

    async def look(self, account: str, response_id: str) -> LookOutcome:
        """Retrieve a run."""
        if not wire.is_run_id(response_id):
            return _NO_ID
        reply = await self._calls.call(account, "GET", _path(response_id), spill=self._spill)
        return self._observed(account, response_id, reply)

    async def cancel(self, account: str, response_id: str) -> LookOutcome:
        """Ask for a run to be stopped; a refusal is settled by looking at the run."""
        if not wire.is_run_id(response_id):
            return _NO_ID
        reply = await self._calls.call(account, "POST", _path(response_id) + "/cancel", spill=self._spill)
        if isinstance(reply, Reply) and reply.status in (400, 404, 409):
            return await self.look(account, response_id)
        return self._observed(account, response_id, reply)

    async def delete(self, account: str, response_id: str) -> None:
        """Delete a stored run; a failure leaves it to the provider's own retention."""
        if wire.is_run_id(response_id):
            await self._calls.call(account, "DELETE", _path(response_id))

    async def upload_file(self, upload: FileUpload) -> UploadOutcome:
        """Upload a file, once."""
        return await self._files.upload(upload)

    async def find_file(self, account: str, filename: str, since: int) -> FindOutcome:
        """The file of this name among those made since then."""
        return await self._files.find(account, filename, since)

    async def delete_file(self, account: str, file_id: str) -> DeleteOutcome:
        """Delete a file; one that is not there is deleted too."""
        return await self._files.delete(account, file_id)

    async def container_file(self, account: str, file: CitedFile) -> FileOutcome:
        """The bytes of a file in a container; a container that nobody used for a while is gone for good."""
        return await self._containers.file(account, file)

    async def container_files(self, account: str, container_id: str) -> FileListOutcome:
        """What a container holds."""
        return await self._containers.files(account, container_id)

    def create_wait(self, account: str, model: str | None) -> int:
        """Milliseconds until a create may go out."""
        return self._pace.create_wait(account, model or "")

    def look_wait(self, account: str) -> int:
        """Milliseconds until a look may go out; 0 takes a place in the shared budget."""
        return self._pace.look_wait(account)

    async def close(self) -> None:
        """Let go of every connection."""
        await self._calls.close()

    def _observed(
        self, account: str, response_id: str, reply: Reply | Refused | Unknown | NotSent
    ) -> LookOutcome:
        if not isinstance(reply, Reply):
            return reply
        if reply.ok:
            hint = self._hint(reply)
            if reply.truncated:
                return wire.observed_in_part(reply.body, response_id, hint, reply.stored)
            return wire.observed(parse(reply.body), response_id, hint)
        outcome = look_refusal(reply, self._now())
        if isinstance(outcome, Refused) and outcome.when is When.LATER and outcome.retry_after:
            self._pace.hold_looks(account, outcome.retry_after)
        return outcome

    def _hint(self, reply: Reply) -> int | None:
        """How long the provider asks us to wait before the next look, in milliseconds."""
        return poll_after(reply.headers) or retry_after(reply.headers, self._now())


def _whole(made: Accepted, reply: Reply) -> Accepted | Streaming:
    """A run that was answered whole instead of streamed; some servers keep it for nobody to look at."""
    outcome = wire.observed(parse(reply.body), made.response_id, None)
    if not isinstance(outcome, Finished | Failed):
        return made
    return Streaming(made, None, only(Ended(outcome, None)))


def _encoded(call: CreateCall, *, stream: bool = False) -> bytes | None:
    """The create's body as it goes out; None if it cannot be written as JSON."""
    ours: dict[str, Any] = {"background": True} if call.background else {}
    if stream:
        ours |= {"stream": True, "stream_options": {"include_obfuscation": False}}
    if call.window != "soonest":
        options = {"completion_window": call.window, "continuation_id": call.continuation}
        ours["background_options"] = {name: value for name, value in options.items() if value is not None}
    body = {name: value for name, value in call.params.items() if name not in _OURS}
    try:
        whole = json.dumps({**body, **ours}, ensure_ascii=False, allow_nan=False)
        return whole.encode()
    except (TypeError, ValueError, RecursionError):
        return None


def _named_attempt(call: CreateCall) -> str | None:
    """The attempt that the request names to the provider, which echoes it."""
    metadata: Any = call.params.get("metadata")
    if not isinstance(metadata, Mapping):
        return None
    named = cast(Mapping[str, Any], metadata).get("backlane_attempt")
    return named if isinstance(named, str) else None


def _path(response_id: str) -> str:
    return "/responses/" + quote(response_id, safe="")
