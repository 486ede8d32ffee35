"""One request of an account, never repeated, through the official SDK: its own retries and redirects are off."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from backlane.core.outcome import NotSent, Refused, Unknown, When
from backlane.errors import SettingsError
from backlane.provider.receiving import EventStream, Spill, headers_of, read_spilling
from backlane.provider.replies import TRUNCATED, Reply
from backlane.provider.webhooks import signing_key

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_CONNECT_SECONDS = 5.0
_OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class Account:
    """A provider account. Its key and secrets are never shown.

    `retired`: it takes no new runs, and its open ones are still looked at. `background`: whether its server
    has background mode at all.
    """

    api_key: str = field(repr=False)
    base_url: str | None = None
    organization: str | None = None
    project: str | None = None
    simulated: bool = False
    region: str | None = None
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    background: bool = True
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """A form with one file, which is read piece by piece. `timeout` is for the whole call, seconds."""

    fields: Mapping[str, Any]
    filename: str
    content: BinaryIO
    media_type: str
    timeout: float

    def arguments(self) -> dict[str, Any]:
        """What the SDK's client is called with; it writes the form."""
        file = ("file", (self.filename, self.content, self.media_type))
        return {"body": dict(self.fields), "files": [file]}


class Calls:
    """The accounts' clients and the two ways to call through them.

    `call_timeout` is how long one whole call may take, milliseconds; `reply_at_most` how much of a reply is
    read, bytes; `silence` how long a stream may say nothing, milliseconds.
    `transport` replaces the network. Raises SettingsError for an account that could never work.
    """

    def __init__(
        self,
        accounts: Mapping[str, Account],
        *,
        call_timeout: int = 30_000,
        reply_at_most: int = 32_000_000,
        silence: int = 60_000,
        transport: Any = None,
    ) -> None:
        for name, account in accounts.items():
            _check(name, account)
        self._accounts = dict(accounts)
        self._timeout = call_timeout / 1000
        self._reply_at_most = reply_at_most
        self._silence = silence / 1000
        self._transport = transport
        self._clients: dict[tuple[str, bool], AsyncOpenAI] = {}

    def prepare(self) -> None:
        """Load the SDK and make the clients, so that the first call of a worker needs no files."""
        for name, account in self._accounts.items():
            if account.api_key:
                self.client(name, account)
                self.client(name, account, streams=True)

    async def close(self) -> None:
        """Let go of every connection."""
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.close()

    def client(self, name: str, account: Account, *, streams: bool = False) -> "AsyncOpenAI":
        """The account's client, made at its first use; the one for streams has connections of its own."""
        client = self._clients.get((name, streams))
        if client is None:
            client = self._clients[name, streams] = self._connect(account, streams)
        return client

    def _connect(self, account: Account, streams: bool) -> "AsyncOpenAI":
        import httpx2
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        from backlane.provider.capped import Cap, CapReplies

        # Waiting for a place, connecting and the TLS handshake together stay below the whole call's
        # time, so that a connection that was never made is seen as that and not as an unknown create.
        connect = min(_CONNECT_SECONDS, self._timeout / 4)
        read = self._silence if streams else self._timeout
        timeout = httpx2.Timeout(self._timeout, connect=connect, pool=connect, read=read)
        cap = CapReplies(self._reply_at_most) if streams else Cap(self._reply_at_most)
        # A followed redirect would send the same purchase a second time.
        http = DefaultAsyncHttpxClient(
            timeout=timeout,
            follow_redirects=False,
            transport=self._transport,
            event_hooks={"response": [cap]},
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

    async def call(
        self,
        name: str,
        method: str,
        path: str,
        content: bytes | Form | None = None,
        spill: Spill | None = None,
    ) -> Reply | Refused | Unknown | NotSent:
        """One request, never repeated. No reply is either proof that nothing was sent, or not knowing.

        `spill` takes in a reply that is too large for memory. Raises StoreFull.
        """
        found = await self._ask(name, method, path, content, streams=False, spill=spill)
        assert not isinstance(found, EventStream)
        return found

    async def stream(
        self, name: str, method: str, path: str, content: bytes | None = None
    ) -> EventStream | Reply | Refused | Unknown | NotSent:
        """The same for a request that is answered by an event stream; any other reply is read whole."""
        return await self._ask(name, method, path, content, streams=True)

    async def _ask(
        self,
        name: str,
        method: str,
        path: str,
        content: bytes | Form | None,
        *,
        streams: bool,
        spill: Spill | None = None,
    ) -> EventStream | Reply | Refused | Unknown | NotSent:
        account = self._accounts.get(name)
        if account is None or not account.api_key:
            return Refused(When.INCIDENT, "no_provider_key", f"no key is set for provider account {name!r}")
        try:
            import httpx2
            import openai

            client = self.client(name, account, streams=streams)
        except OSError as error:
            return NotSent(f"this process cannot make a connection: {error.strerror}")
        given, timeout = _arguments(content, streams), self._timeout
        if streams or spill is not None:
            given["stream"] = True
        if isinstance(content, Form):
            timeout = max(timeout, content.timeout)
        try:
            async with asyncio.timeout(timeout):
                raw = await _sender(client, method)(path, cast_to=httpx2.Response, **given)
                return await _answer(raw, account, streams, spill)
        except openai.APIStatusError as error:
            return _reply(error.response, account)
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            if _proves_unsent(error):
                return NotSent("the connection could not be made")
            kind = "timeout" if isinstance(error, openai.APITimeoutError) else "connection_lost"
            return Unknown(kind, "the connection ended before the reply was whole")
        except TimeoutError:
            return Unknown("timeout", "the provider did not answer in time")


def _sender(client: "AsyncOpenAI", method: str) -> Any:
    return {"POST": client.post, "GET": client.get, "DELETE": client.delete}[method]


def _arguments(content: bytes | Form | None, streams: bool) -> dict[str, Any]:
    """What the SDK's client is called with beside the path."""
    options: dict[str, Any] = {"max_retries": 0}
    if streams:
        options["headers"] = {"Accept-Encoding": "identity"}
    if isinstance(content, Form):
        options["headers"] = {"Content-Type": "multipart/form-data"}
        return {**content.arguments(), "options": options}
    return {"options": options} if content is None else {"content": content, "options": options}


async def _answer(raw: Any, account: Account, streams: bool, spill: Spill | None) -> EventStream | Reply:
    from backlane.provider.capped import is_event_stream

    if streams and is_event_stream(raw):
        return EventStream(raw)
    try:
        if spill is None:
            await raw.aread()
            return _reply(raw, account)
        return await read_spilling(raw, headers_of(raw), spill)
    finally:
        await raw.aclose()


def is_key(text: str) -> bool:
    """Whether a header can carry this as a key."""
    return all("!" <= letter <= "~" for letter in text)


def is_url(text: str) -> bool:
    """Whether this can be the address of a provider."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _check(name: str, account: Account) -> None:
    """Raise SettingsError for what no call could ever be made with."""
    if not is_key(account.api_key):
        raise SettingsError(f"OPENAI_API_KEY: the key of account {name!r} has characters that no key has")
    if not is_url(account.base_url or _OPENAI_URL):
        raise SettingsError(f"OPENAI_BASE_URL: of account {name!r} must look like https://host/v1")
    for secret in account.webhook_secrets:
        try:
            signing_key(secret)
        except ValueError as error:
            raise SettingsError(f"OPENAI_WEBHOOK_SECRET: a secret of account {name!r}: {error}") from None


def _reply(raw: Any, account: Account) -> Reply:
    """The reply as plain data. Error texts quote keys, so ours is taken out before anybody reads it."""
    headers = headers_of(raw)
    body: bytes = raw.content
    if raw.status_code >= 400 and len(account.api_key) >= 16:
        body = body.replace(account.api_key.encode(), b"(key)")
    return Reply(raw.status_code, headers, body, bool(raw.extensions.get(TRUNCATED)))


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
