"""What doctor says of the provider accounts: which there are, for whom, and what of them does not fit."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from backlane.core.accounts import AccountInfo
    from backlane.wiring import Service

Finding = tuple[str, str, str]


async def account_findings(built: "Service") -> list[Finding]:
    """Level, sentence and mend of each finding about accounts."""
    from backlane.wiring import read_accounts

    book = read_accounts(built.settings)
    if not any(account.api_key for account in book.accounts.values()):
        mend = "set OPENAI_API_KEY or BACKLANE_ACCOUNTS_FILE, or use 'backlane dev'"
        return [("blocking", "there is no provider account", mend)]
    found: list[Finding] = []
    for info in book.all():
        found.append(("info" if info.simulated else "ok", _told(info, book.accounts[info.name].base_url), ""))
    places = {row["name"] for row in await built.store.read(lambda tx: tx.workspaces())}
    for name in sorted(set(book.workspaces) - places):
        what = (
            f"workspace {name!r} has account {book.workspaces[name]!r}, and there is no such workspace (yet)"
        )
        found.append(("warning", what, "correct its name in BACKLANE_ACCOUNTS_FILE, or make its first key"))
    for name in sorted(place for place in places if book.of(place) is None):
        mend = "set OPENAI_API_KEY, or name the workspace in BACKLANE_ACCOUNTS_FILE"
        found.append(
            ("warning", f"workspace {name!r} has no provider account: its submits are refused", mend)
        )
    return found


def _told(info: "AccountInfo", base_url: str | None) -> str:
    facts = [_host(base_url)]
    if info.region:
        unsure = "" if info.region_enforced else " (as the file says: its server is not the provider's own)"
        facts.append(f"region {info.region}{unsure}")
    facts += ["retired: takes no new runs"] if info.retired else []
    facts += [] if info.background else ["without background mode"]
    facts += ["a simulator: outputs and costs are not real"] if info.simulated else []
    return f"provider account {info.name}: {', '.join(facts)}"


def _host(base_url: str | None) -> str:
    """Where the account is; whatever stands before the host's name may be a password."""
    return "the provider's own address" if base_url is None else urlsplit(base_url).netloc.rpartition("@")[2]
