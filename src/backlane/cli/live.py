"""`backlane doctor --live`: a trial of a real account, printed without its key, its ids or its organization."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from backlane.cli.choose_account import chosen_account
from backlane.cli.printing import put, put_json
from backlane.errors import SettingsError

if TYPE_CHECKING:
    from backlane.provider.assumptions import Found

DEFAULT_MODEL = "gpt-6-luna"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How an account is to be tried, as it was typed."""

    max_cost: str | None
    account: str | None
    model: str | None
    webhook_url: str | None
    webhook_port: int | None


def live(wanted: Wanted, as_json: bool) -> int:
    """Try an account for real and print the report; the exit code. It never touches the database."""
    limit = _limit(wanted.max_cost)

    async def work() -> int:
        name, simulated, found = await _tried(limit, wanted)
        shown = report(name, simulated, limit, found)
        if as_json:
            put_json(shown)
        else:
            for line in lines(shown):
                put(line)
        return 0 if found.ok else 1

    return asyncio.run(work())


def _limit(max_cost: str | None) -> Decimal:
    try:
        amount = Decimal(max_cost or "")
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        raise SettingsError(
            "--max-cost: --live spends real money; say how much at most, such as --max-cost 0.50"
        )
    return amount


async def _tried(limit: Decimal, wanted: Wanted) -> "tuple[str, bool, Found]":
    from backlane.cli.ear import listening
    from backlane.provider.calling import Calls
    from backlane.provider.registration import public_url
    from backlane.provider.trial import Trial
    from backlane.settings import load_settings
    from backlane.wiring import SystemClock, read_accounts

    settings = load_settings()
    book = read_accounts(settings)
    name = chosen_account(book, wanted.account)
    async with AsyncExitStack() as opened:
        ear = None
        if wanted.webhook_url is not None:
            url = public_url(wanted.webhook_url, "--webhook-url")
            ear = await opened.enter_async_context(listening(url, wanted.webhook_port))
        calls = Calls(book.accounts, call_timeout=int(settings.call_timeout * 1000))
        opened.push_async_callback(calls.close)
        found = await Trial(calls, name, wanted.model or DEFAULT_MODEL, limit, SystemClock(), ear).run()
    return name, book.accounts[name].simulated, found


def report(name: str, simulated: bool, limit: Decimal, found: "Found") -> dict[str, Any]:
    """The report: steps, every assumption beside what was seen, what was not tried, what it cost."""
    from backlane.provider.assumptions import ASSUMPTIONS, NOT_TRIED

    rows = [
        {
            "name": one.name,
            "asks": one.asks,
            "assumed": one.assumed,
            "observed": found.observed.get(one.name),
            "agrees": None if one.name not in found.observed else found.observed[one.name] == one.assumed,
            "switch": one.switch,
        }
        for one in ASSUMPTIONS
    ]
    return {
        "account": name,
        "simulated": simulated,
        "ok": found.ok,
        "steps": [{"step": one.name, "outcome": one.outcome, "note": one.note} for one in found.steps],
        "assumptions": rows,
        "not_tried": [{"name": one.name, "why": one.why} for one in NOT_TRIED],
        "cost": {"currency": "USD", "spent_at_most": format(found.spent, "f"), "limit": format(limit, "f")},
    }


def lines(shown: dict[str, Any]) -> list[str]:
    """The same for people."""
    mark = " (simulated)" if shown["simulated"] else ""
    told = [f"account {shown['account']}{mark}"]
    told += [f"{one['outcome']:<8} {one['step']} {one['note']}".rstrip() for one in shown["steps"]]
    for one in shown["assumptions"]:
        agrees = {True: "as assumed", False: "DIFFERS", None: "not seen"}[one["agrees"]]
        seen = one["observed"] if one["observed"] is not None else "-"
        differs = one["agrees"] is False
        switch = f" (simulator's switch {one['switch']})" if one["switch"] and differs else ""
        assumed = f", assumed {one['assumed']}" if differs else ""
        told.append(f"{agrees:<10} {one['asks']}: {seen}{assumed}{switch}")
    told += [f"{'not tried':<10} {one['name']}: {one['why']}" for one in shown["not_tried"]]
    cost = shown["cost"]
    return [*told, f"spent at most {cost['spent_at_most']} {cost['currency']} of {cost['limit']}{mark}"]
