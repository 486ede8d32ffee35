"""OpenAI background mode through the official SDK. Its own retries are off: one call is one purchase at most.

Answers the provider gave are values; nothing here decides about a job.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit

from backlane.core.outcome import CreateOutcome, Gone, LookOutcome, NotSent, Refused, Unknown, When
from backlane.core.ports import CreateCall
from backlane.errors import SettingsError
from backlane.provider import wire
from backlane.provider.pace import Pace, poll_after, retry_after
from backlane.provider.replies import TRUNCATED, Reply, create_refusal, look_refusal, parse

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_CONNECT_SECONDS = 5.0
_OPENAI_URL = "https://api.openai.com/v1"
_NO_ID = Gone("that is not the id of a run")


@dataclass(frozen=True, slots=True)
class Account:
    """A provider account. The key is never shown."""

    api_key: str = field(repr=False)
    base_url: str | None = None
    organization: str | None = None
    project: str | None = None
    simulated: bool = False


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
        for name, account in accounts.items():
            _check(name, account)
        self._accounts = dict(accounts)
        self._now = now
        self._pace = pace
        self._timeout = call_timeout / 1000
        self._reply_at_most = reply_at_most
        self._transport = transport
        self._clients: dict[str, AsyncOpenAI] = {}

    def prepare(self) -> None:
        """Load the SDK and make the clients, so that the first call of a worker needs no files."""
        for name, account in self._accounts.items():
            self._client(name, account)

    async def create(self, call: CreateCall) -> CreateOutcome:
        """Buy a run, once."""
        model = str(call.params.get("model") or "")
        content = _encoded(call.params)
        if content is None:
            return Refused(When.NEVER, "request_refused", "the request cannot be written as JSON")
        reply = await self._call(call.account, "POST", "/responses", content)
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
        reply = await self._call(account, "GET", _path(response_id))
        return self._observed(account, response_id, reply)

    async def cancel(self, account: str, response_id: str) -> LookOutcome:
        """Ask for a run to be stopped; a refusal is settled by looking at the run."""
        if not wire.is_run_id(response_id):
            return _NO_ID
        reply = await self._call(account, "POST", _path(response_id) + "/cancel")
        if isinstance(reply, Reply) and reply.status in (400, 404, 409):
            return await self.look(account, response_id)
        return self._observed(account, response_id, reply)

    async def delete(self, account: str, response_id: str) -> None:
        """Delete a stored run; a failure leaves it to the provider's own retention."""
        if wire.is_run_id(response_id):
            await self._call(account, "DELETE", _path(response_id))

    def create_wait(self, account: str, model: str | None) -> int:
        """Milliseconds until a create may go out."""
        return self._pace.create_wait(account, model or "")

    def look_wait(self, account: str) -> int:
        """Milliseconds until a look may go out; 0 takes a place in the shared budget."""
        return self._pace.look_wait(account)

    async def close(self) -> None:
        """Let go of every connection."""
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.close()

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

    def _client(self, name: str, account: Account) -> "AsyncOpenAI":
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self._connect(account)
        return client

    def _connect(self, account: Account) -> "AsyncOpenAI":
        import httpx2
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        from backlane.provider.capped import Cap

        # Waiting for a place, connecting and the TLS handshake together stay below the whole call's
        # time, so that a connection that was never made is seen as that and not as an unknown create.
        connect = min(_CONNECT_SECONDS, self._timeout / 4)
        timeout = httpx2.Timeout(self._timeout, connect=connect, pool=connect)
        # A followed redirect would send the same purchase a second time.
        http = DefaultAsyncHttpxClient(
            timeout=timeout,
            follow_redirects=False,
            transport=self._transport,
            event_hooks={"response": [Cap(self._reply_at_most)]},
        )
        client = AsyncOpenAI(
            api_key=account.api_key,
            base_url=account.base_url or _OPENAI_URL,
            max_retries=0,
            timeout=timeout,
            http_client=http,
        )
        # Set afterwards: given None, the SDK would take another account's from the environment.
        client.organization, client.project = account.organization, account.project
        return client

    async def _call(
        self, name: str, method: str, path: str, content: bytes | None = None
    ) -> Reply | Refused | Unknown | NotSent:
        """One request, never repeated. No reply is either proof that nothing was sent, or not knowing."""
        account = self._accounts.get(name)
        if account is None or not account.api_key:
            return Refused(When.INCIDENT, "no_provider_key", f"no key is set for provider account {name!r}")
        try:
            import httpx2
            import openai

            client = self._client(name, account)
        except OSError as error:
            return NotSent(f"this process cannot make a connection: {error.strerror}")
        ask: Any = {"POST": client.post, "GET": client.get, "DELETE": client.delete}[method]
        given: dict[str, Any] = {} if content is None else {"content": content}
        try:
            async with asyncio.timeout(self._timeout):
                raw = await ask(path, cast_to=httpx2.Response, options={"max_retries": 0}, **given)
            return _reply(raw, account)
        except openai.APIStatusError as error:
            return _reply(error.response, account)
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            if _proves_unsent(error):
                return NotSent("the connection could not be made")
            kind = "timeout" if isinstance(error, openai.APITimeoutError) else "connection_lost"
            return Unknown(kind, "the connection ended before the reply was whole")
        except TimeoutError:
            return Unknown("timeout", "the provider did not answer in time")


def _check(name: str, account: Account) -> None:
    """Raise SettingsError for what no call could ever be made with."""
    if any(not "!" <= letter <= "~" for letter in account.api_key):
        raise SettingsError(f"OPENAI_API_KEY: the key of account {name!r} has characters that no key has")
    try:
        parts = urlsplit(account.base_url or _OPENAI_URL)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"OPENAI_BASE_URL: of account {name!r} must look like https://host/v1")


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


def _reply(raw: Any, account: Account) -> Reply:
    """The reply as plain data. Error texts quote keys, so ours is taken out before anybody reads it."""
    headers = {str(name).lower(): str(value) for name, value in raw.headers.items()}
    body: bytes = raw.content
    if raw.status_code >= 400 and len(account.api_key) >= 16:
        body = body.replace(account.api_key.encode(), b"(key)")
    return Reply(raw.status_code, headers, body, bool(raw.extensions.get(TRUNCATED)))


def _path(response_id: str) -> str:
    return "/responses/" + quote(response_id, safe="")


def _proves_unsent(error: BaseException) -> bool:
    """Whether the cause is a connection that was never made: no byte of the request can have left."""
    import httpx2

    never_made = (
        httpx2.ConnectError,
        httpx2.ConnectTimeout,
        httpx2.PoolTimeout,
        httpx2.ProxyError,
        httpx2.UnsupportedProtocol,
    )
    return isinstance(error, never_made) or isinstance(error.__cause__, never_made)
