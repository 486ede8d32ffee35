"""OpenAI background mode through the official SDK. Its own retries are off: one call is one purchase at most.

Answers the provider gave are values; nothing here decides about a job.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backlane.core.outcome import CreateOutcome, LookOutcome, NotSent, Refused, Unknown, When
from backlane.core.ports import CreateCall
from backlane.errors import SettingsError
from backlane.provider import wire
from backlane.provider.pace import Pace, duration, retry_after
from backlane.provider.replies import Reply, create_refusal, look_refusal, parse

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Account:
    """A provider account. The key is never shown."""

    api_key: str = field(repr=False)
    base_url: str | None = None
    organization: str | None = None
    project: str | None = None


class OpenAIProvider:
    """Implements the Provider protocol.

    `now` gives milliseconds since 1970; `call_timeout` is how long one call may take, in milliseconds.
    """

    def __init__(
        self,
        accounts: Mapping[str, Account],
        *,
        now: Callable[[], int],
        pace: Pace,
        call_timeout: int = 30_000,
    ) -> None:
        self._accounts = dict(accounts)
        self._now = now
        self._pace = pace
        self._timeout = call_timeout / 1000
        self._clients: dict[str, AsyncOpenAI] = {}

    async def create(self, call: CreateCall) -> CreateOutcome:
        """Buy a run, once."""
        model = str(call.params.get("model", ""))
        client = self._client(call.account)
        body = {**call.params, "background": True}
        reply = await self._call(client, "POST", "/responses", body)
        if not isinstance(reply, Reply):
            return reply
        self._pace.saw_create(call.account, model, reply.headers)
        if reply.status == 200:
            return wire.accepted(parse(reply.body), self._hint(reply))
        outcome = create_refusal(reply, self._now())
        if isinstance(outcome, Refused) and outcome.when is When.LATER and outcome.retry_after:
            self._pace.hold_creates(call.account, model, outcome.retry_after)
        return outcome

    async def look(self, account: str, response_id: str) -> LookOutcome:
        """Retrieve a run."""
        reply = await self._call(self._client(account), "GET", f"/responses/{_safe(response_id)}", None)
        return self._observed(account, response_id, reply)

    async def cancel(self, account: str, response_id: str) -> LookOutcome:
        """Ask for a run to be stopped; a refusal is settled by looking at the run."""
        reply = await self._call(self._client(account), "POST", f"/responses/{_safe(response_id)}/cancel", {})
        if isinstance(reply, Reply) and reply.status in (400, 404, 409):
            return await self.look(account, response_id)
        return self._observed(account, response_id, reply)

    async def delete(self, account: str, response_id: str) -> None:
        """Delete a stored run; a failure leaves it to the provider's own retention."""
        await self._call(self._client(account), "DELETE", f"/responses/{_safe(response_id)}", None)

    def create_wait(self, account: str, model: str | None) -> int:
        """Milliseconds until a create may go out."""
        return self._pace.create_wait(account, model or "")

    def look_wait(self, account: str) -> int:
        """Milliseconds until a look may go out; 0 takes a place in the shared budget."""
        return self._pace.look_wait(account)

    async def close(self) -> None:
        """Let go of every connection."""
        for client in self._clients.values():
            await client.close()

    def _observed(self, account: str, response_id: str, reply: Reply | Unknown | NotSent) -> LookOutcome:
        if not isinstance(reply, Reply):
            return reply
        if reply.status == 200:
            body = parse(reply.body)
            if body is None:
                return Unknown("garbled_reply", "the provider's reply is not JSON")
            return wire.observed(body, response_id, self._hint(reply))
        outcome = look_refusal(reply, self._now())
        if isinstance(outcome, Refused) and outcome.when is When.LATER and outcome.retry_after:
            self._pace.hold_looks(account, outcome.retry_after)
        return outcome

    def _hint(self, reply: Reply) -> int | None:
        """How long the provider asks us to wait before the next look, in milliseconds."""
        asked = reply.headers.get("openai-poll-after-ms", "")
        if asked.isdigit():
            return int(asked)
        return retry_after(reply.headers, self._now()) or duration(asked)

    def _client(self, account: str) -> "AsyncOpenAI":
        client = self._clients.get(account)
        if client is None:
            client = self._clients[account] = self._connect(account)
        return client

    def _connect(self, account: str) -> "AsyncOpenAI":
        import httpx2
        from openai import AsyncOpenAI

        known = self._accounts.get(account)
        if known is None:
            raise SettingsError(f"OPENAI_API_KEY: there is no provider account {account!r}")
        return AsyncOpenAI(
            api_key=known.api_key,
            base_url=known.base_url,
            organization=known.organization,
            project=known.project,
            max_retries=0,
            timeout=httpx2.Timeout(self._timeout, connect=min(_CONNECT_SECONDS, self._timeout)),
        )

    async def _call(
        self, client: "AsyncOpenAI", method: str, path: str, body: Mapping[str, Any] | None
    ) -> Reply | Unknown | NotSent:
        """One request, never repeated. No reply is either proof that nothing was sent, or not knowing."""
        import httpx2
        import openai

        ask: Any = {"POST": client.post, "GET": client.get, "DELETE": client.delete}[method]
        # A followed redirect is a second request: with a create, a second purchase.
        options: dict[str, Any] = {"max_retries": 0, "follow_redirects": False}
        given = {} if body is None else {"body": dict(body)}
        try:
            raw = await ask(path, cast_to=httpx2.Response, options=options, **given)
            return Reply(raw.status_code, _lowered(raw.headers), raw.content)
        except openai.APIStatusError as error:
            return Reply(error.response.status_code, _lowered(error.response.headers), error.response.content)
        except openai.APIConnectionError as error:
            if _proves_unsent(error):
                return NotSent("the connection could not be made")
            kind = "timeout" if isinstance(error, openai.APITimeoutError) else "connection_lost"
            return Unknown(kind, "the connection ended before the reply was whole")
        except httpx2.HTTPError:
            return Unknown("connection_lost", "the connection ended before the reply was whole")


def _lowered(headers: Any) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _safe(response_id: str) -> str:
    from urllib.parse import quote

    return quote(response_id, safe="")


def _proves_unsent(error: BaseException) -> bool:
    """Whether the cause is a connection that was never made: no byte of the request can have left."""
    import httpx2

    cause = error.__cause__
    return isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
