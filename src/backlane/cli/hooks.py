"""What `backlane doctor` says about the provider's webhooks, and how it registers an endpoint for them."""

import json
import urllib.request
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, assert_never

from backlane.cli.choose_account import chosen_account
from backlane.cli.printing import put, put_json, say
from backlane.cli.visible import in_line

if TYPE_CHECKING:
    from backlane.settings import Settings
    from backlane.wiring import Service

# More types than these are not named.
_TYPES_AT_MOST = 10
_REGISTER = "backlane doctor --register-webhook https://…"


async def webhook_findings(built: "Service") -> list[dict[str, str]]:
    """Whether events can come in, whether any did, and what the running service refused."""
    from backlane.service.describe import moment

    heard = await built.store.read(lambda tx: tx.accounts_heard())
    newest = max((row["newest"] for row in heard), default=None)
    counts = ", ".join(f"{row['events']} {row['state']}" for row in heard)
    came = f"the last one came {moment(newest)} ({counts})" if heard else "none came yet"
    unknown = await built.store.read(lambda tx: tx.unknown_types(_TYPES_AT_MOST))
    if unknown:
        came += f"; kept as sent, of types that nobody here knows: {_types(unknown)}"
    if not built.provider.door().is_open:
        what = "no webhook secret is set: ends are found by looking" + (f"; {came}" if heard else "")
        return [_line("info", what, f"to be told of them: {_REGISTER}")]
    refused = _refused(built.settings.url or f"http://{built.settings.host}:{built.settings.port}")
    if refused:
        came += f"; the running service refused {refused}"
    if not heard:
        return [
            _line("warning", f"a webhook secret is set and {came}", f"register the endpoint: {_REGISTER}")
        ]
    return [_line("ok", f"webhooks come in: {came}", "compare the secrets on both sides" if refused else "")]


def _types(rows: Sequence[dict[str, Any]]) -> str:
    """Types and how often they came; never what an event holds."""
    return ", ".join(f"{row['events']} {in_line(row['type']) or 'without one'}" for row in rows)


def _line(level: str, what: str, mend: str) -> dict[str, str]:
    return {"level": level, "what": what, "mend": mend}


def _refused(url: str) -> int:
    """How many events the running service did not believe; 0 where none answers."""
    if not url.startswith(("http://", "https://")):
        return 0
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/readyz", timeout=2) as reply:  # noqa: S310
            told: Any = json.load(reply)
        return int(told["webhooks"]["refused"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _place(settings: "Settings", account: str) -> tuple[str, str]:
    """The variable that an account's secret goes into, and what is to be done with it."""
    if account == "default" and settings.openai_api_key is not None:
        return "OPENAI_WEBHOOK_SECRET", "Set it and restart"
    variable = f"{account.upper().replace('-', '_')}_WEBHOOK_SECRET"
    return variable, (
        f'Set it, add "env:{variable}" to webhook_secrets of [accounts.{account}] in BACKLANE_ACCOUNTS_FILE, '
        "and restart"
    )


async def register_webhook(built: "Service", url: str, account: str | None, as_json: bool) -> int:
    """Make the endpoint with this account's key and print its secret: no other moment shows it.

    Raises SettingsError for an account that is not there, InvalidRequest for an address in the open.
    """
    from backlane.core.outcome import NotSent, Refused, Unknown
    from backlane.provider.registration import Registered, public_url
    from backlane.wiring import read_accounts

    address = public_url(url)
    book = read_accounts(built.settings)
    name = chosen_account(book, account)
    outcome = await built.provider.register_webhook(name, address)
    match outcome:
        case Registered(endpoint_id, _, secret):
            if as_json:
                put_json({"account": name, "endpoint": endpoint_id, "url": address, "secret": secret})
                return 0
            variable, mend = _place(built.settings, name)
            say(f"{endpoint_id} tells {address} of every end; the secret is shown only now. {mend}:")
            put(f"{variable}={secret}")
            if book.accounts[name].webhook_secrets:
                say("keep the former secret beside it, after a space, until its endpoint is deleted")
            return 0
        case Refused(_, code, message):
            say(f"the provider refused: {code}: {message}")
        case NotSent(message):
            say(f"nothing was registered: {message}")
        case Unknown(_, message):
            say(f"nobody knows whether it was registered ({message}); look in the provider's dashboard")
        case _:
            assert_never(outcome)
    return 1
