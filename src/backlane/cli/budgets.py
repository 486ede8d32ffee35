"""Commands about budgets; each talks to a running service through the client."""

from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

from backlane.cli.printing import put, put_json, say

_Json = Annotated[bool, Parameter(name="--json", negative=())]
_Scope = Literal["workspace", "account", "type"]
app = cyclopts.App(name="budgets", help="Hard caps on what may be spent; set and remove one.")


@app.default
def budgets(*, as_json: _Json = False) -> int:
    """What is spent, reserved and left of each budget: backlane budgets

    Parameters
    ----------
    as_json: print JSON.
    """
    return _show(_ask("GET"), as_json)


@app.command(name="set")
def set_budget(
    *,
    scope: _Scope,
    limit: str,
    period: Literal["day", "month", "total"],
    name: str | None = None,
    assume: str | None = None,
    as_json: _Json = False,
) -> int:
    """Cap what may be spent: backlane budgets set --scope workspace --limit 100 --period month

    Parameters
    ----------
    scope: whose spending: the whole workspace's, one account's, or one job type's.
    limit: US dollars; nothing is sent that could pass it.
    period: after which it begins anew, in UTC; total never does.
    name: which account or job type.
    assume: what a run reserves if its job has no max_cost; 1.00 at first.
    as_json: print JSON.
    """
    body = {"scope": scope, "name": name, "period": period, "limit": limit, "assume": assume}
    return _show(_ask("PUT", body), as_json)


@app.command
def remove(*, scope: _Scope, name: str | None = None, as_json: _Json = False) -> int:
    """Let its jobs spend again without this cap: backlane budgets remove --scope type --name digest

    Parameters
    ----------
    scope: whose spending it caps.
    name: which account or job type.
    as_json: print JSON.
    """
    return _show(_ask("PUT", {"scope": scope, "name": name, "limit": None}), as_json)


def _ask(method: str, body: Any = None) -> Any:
    from backlane.client import Client

    with Client() as client:
        return client.request(method, "/v1/budgets", body=body)


def _show(page: Any, as_json: bool) -> int:
    if as_json:
        put_json(page)
        return 0
    for budget in page["data"]:
        put(budget_line(budget))
    if not page["data"]:
        say("no budget is set: what jobs may spend is capped by their own max_cost alone")
    return 0


def budget_line(budget: dict[str, Any]) -> str:
    """One budget in one line."""
    whose = " ".join(filter(None, (budget["scope"], budget["name"])))
    told = f"{budget['spent']} spent, {budget['reserved']} reserved, {budget['left']} left of {budget['limit']} USD"
    anew = f"; anew at {budget['resets_at']}" if budget["resets_at"] else ""
    return f"{whose:<30} {budget['period']:<6} {told}, {budget['waiting']} waiting{anew}"
