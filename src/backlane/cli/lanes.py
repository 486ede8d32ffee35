"""Commands about lanes; each talks to a running service through the client."""

from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter

from backlane.cli.printing import put, put_json, say

_Json = Annotated[bool, Parameter(name="--json", negative=())]
app = cyclopts.App(name="lanes", help="How the lanes are; hold and release one.")


@app.default
def lanes(*, as_json: _Json = False) -> int:
    """How each lane is, who waits, what holds it: backlane lanes

    Parameters
    ----------
    as_json: print JSON.
    """
    return _show(_ask("GET", "/v1/lanes"), as_json)


@app.command
def hold(lane: str, *, reason: str, account: str | None = None, as_json: _Json = False) -> int:
    """Send nothing new on a lane: backlane lanes hold background --reason "moving to the new account"

    Parameters
    ----------
    lane: the lane's name.
    reason: kept with the event and the audit line, and shown on the jobs that wait.
    account: the provider account; your workspace's own if left out.
    as_json: print JSON.
    """
    return _show(_change(lane, "hold", account, reason), as_json)


@app.command
def release(lane: str, *, reason: str, account: str | None = None, as_json: _Json = False) -> int:
    """Let a lane's waiting jobs go, a few at once: backlane lanes release background --reason "moved"

    Parameters
    ----------
    lane: the lane's name.
    reason: kept with the event and the audit line.
    account: the provider account; your workspace's own if left out.
    as_json: print JSON.
    """
    return _show(_change(lane, "release", account, reason), as_json)


def _change(lane: str, verb: str, account: str | None, reason: str) -> Any:
    from urllib.parse import quote

    body = {"reason": reason, **({"account": account} if account is not None else {})}
    return _ask("POST", f"/v1/lanes/{quote(lane, safe='')}/{verb}", body)


def _ask(method: str, path: str, body: Any = None) -> Any:
    from backlane.client import Client

    with Client() as client:
        return client.request(method, path, body=body)


def _show(page: Any, as_json: bool) -> int:
    if as_json:
        put_json(page)
        return 0
    for lane in page["data"]:
        put(lane_line(lane))
        for one in lane["durations"]:
            if one["enough"]:
                told = f"usually {one['p50_seconds']} s, nine of ten within {one['p90_seconds']} s"
                put(f"    {one['type']:<20} {one['model']:<20} {one['window']:<8} {told}")
    if not page["data"]:
        say("no provider account serves this workspace")
    return 0


def _region(lane: dict[str, Any]) -> str:
    """Where the data stays, as far as anybody can say."""
    if not lane["region"]:
        return ""
    return f"{lane['region']}" + ("" if lane["region_enforced"] else " (as said)")


def lane_line(lane: dict[str, Any]) -> str:
    """One lane in one line."""
    health, incident = lane["health"], lane["incident"]
    marks = [name for name in ("simulated", "retired") if lane[name]] + [_region(lane)]
    calls = f"{health['good']} good, {health['bad']} bad in {health['minutes']} min"
    if health["mean_delay_ms"] is not None:
        calls += f", {health['mean_delay_ms']} ms"
    told = f"{lane['in_flight']} in flight, {lane['waiting']} waiting"
    if incident is not None:
        who = f"held by {incident['held_by']}: " if incident["held_by"] else f"{incident['code']}: "
        told += f"; {who}{incident['message']} (since {incident['since']})"
    return f"{lane['account']:<16} {lane['lane']:<12} {' '.join(filter(None, marks)):<12} {calls}; {told}"
