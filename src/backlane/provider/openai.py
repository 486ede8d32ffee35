"""OpenAI background mode through the official SDK. Its own retries are off: one call is one purchase at most.

Answers the provider gave are values; nothing here decides about a job.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import quote

from backlane.core.outcome import (
    CitedFile,
    CreateOutcome,
    FileBytes,
    FileLost,
    FileOutcome,
    Gone,
    LookOutcome,
    NotSent,
    Refused,
    Unknown,
    When,
)
from backlane.core.ports import CreateCall
from backlane.provider import wire
from backlane.provider.calling import Account, Calls
from backlane.provider.pace import Pace, poll_after, retry_after
from backlane.provider.replies import Reply, create_refusal, look_refusal, parse

_NO_ID = Gone("that is not the id of a run")


class OpenAIProvider:
    """Implements the Provider protocol.

    `now` gives milliseconds since 1970; `call_timeout` is how long one whole call may take, in milliseconds;
    `reply_at_most` how much of a reply is read, in bytes.
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
        transport: Any = None,
    ) -> None:
        self._calls = Calls(
            accounts, call_timeout=call_timeout, reply_at_most=reply_at_most, transport=transport
        )
        self._now = now
        self._pace = pace

    def prepare(self) -> None:
        """Load the SDK and make the clients, so that the first call of a worker needs no files."""
        self._calls.prepare()

    async def create(self, call: CreateCall) -> CreateOutcome:
        """Buy a run, once."""
        model = str(call.params.get("model") or "")
        content = _encoded(call.params)
        if content is None:
            return Refused(When.NEVER, "request_refused", "the request cannot be written as JSON")
        reply = await self._calls.call(call.account, "POST", "/responses", content)
        if not isinstance(reply, Reply):
            return reply
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
        reply = await self._calls.call(account, "GET", _path(response_id))
        return self._observed(account, response_id, reply)

    async def cancel(self, account: str, response_id: str) -> LookOutcome:
        """Ask for a run to be stopped; a refusal is settled by looking at the run."""
        if not wire.is_run_id(response_id):
            return _NO_ID
        reply = await self._calls.call(account, "POST", _path(response_id) + "/cancel")
        if isinstance(reply, Reply) and reply.status in (400, 404, 409):
            return await self.look(account, response_id)
        return self._observed(account, response_id, reply)

    async def delete(self, account: str, response_id: str) -> None:
        """Delete a stored run; a failure leaves it to the provider's own retention."""
        if wire.is_run_id(response_id):
            await self._calls.call(account, "DELETE", _path(response_id))

    async def container_file(self, account: str, file: CitedFile) -> FileOutcome:
        """The bytes of a file in a container; a container that nobody used for a while is gone for good."""
        where = (
            f"/containers/{quote(file.container_id, safe='')}/files/{quote(file.file_id, safe='')}/content"
        )
        reply = await self._calls.call(account, "GET", where)
        if isinstance(reply, Refused):
            return FileLost("not_copied")
        if not isinstance(reply, Reply):
            return reply
        if reply.truncated:
            return FileLost("file_too_large")
        if reply.ok:
            return FileBytes(reply.body)
        refusal = look_refusal(reply, self._now())
        if isinstance(refusal, Unknown) and reply.status >= 500:
            return refusal
        if isinstance(refusal, Refused) and refusal.when is When.LATER:
            return Unknown(refusal.code, refusal.message, refusal.retry_after)
        return FileLost("container_gone" if isinstance(refusal, Gone) else "not_copied")

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
                return wire.observed_in_part(reply.body, response_id, hint)
            return wire.observed(parse(reply.body), response_id, hint)
        outcome = look_refusal(reply, self._now())
        if isinstance(outcome, Refused) and outcome.when is When.LATER and outcome.retry_after:
            self._pace.hold_looks(account, outcome.retry_after)
        return outcome

    def _hint(self, reply: Reply) -> int | None:
        """How long the provider asks us to wait before the next look, in milliseconds."""
        return poll_after(reply.headers) or retry_after(reply.headers, self._now())


def _encoded(params: Mapping[str, Any]) -> bytes | None:
    """The create's body as it goes out; None if it cannot be written as JSON."""
    body = {name: value for name, value in params.items() if name not in ("stream", "stream_options")}
    try:
        whole = json.dumps({**body, "background": True}, ensure_ascii=False, allow_nan=False)
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
