"""Commands about actions: what was proposed and what became of it, taking back, resolving, stopping them all."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

from backlane.cli.printing import put, put_json, say

app = cyclopts.App(name="actions", help="External actions: show, undo, resolve, stop, allow, switch.")

_Json = Annotated[bool, Parameter(name="--json", negative=())]


def _asked(method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    from backlane.client import Client

    with Client() as client:
        return client.request(method, path, body=body)


def _told(action: Mapping[str, Any], as_json: bool) -> int:
    if as_json:
        put_json(action)
        return 0
    mark = "  (simulated)" if action["simulated"] else ""
    put(f"{action['id']}  {action['state']}  {action['type'] or 'closed'}  of {action['job']}{mark}")
    for name in (
        "target",
        "arguments",
        "receipt",
        "error",
        "code",
        "settled_by",
        "dispatch_after",
        "dispatched_at",
    ):
        if action[name] is not None:
            put(f"  {name:<15}{action[name]}")
    if action["allowed"]:
        say(f"you may: {', '.join(action['allowed'])}")
    return 0


@app.command
def show(action_id: str, *, as_json: _Json = False) -> int:
    """Show one action: backlane actions show act_…"""
    return _told(_asked("GET", f"/v1/actions/{action_id}"), as_json)


@app.command
def undo(action_id: str, *, reason: str | None = None, as_json: _Json = False) -> int:
    """Take an approved action back before it is carried out: backlane actions undo act_…

    Parameters
    ----------
    action_id: the action.
    reason: why, for the audit log.
    as_json: print JSON.
    """
    body = {"reason": reason} if reason else {}
    return _told(_asked("POST", f"/v1/actions/{action_id}/undo", body), as_json)


@app.command
def resolve(
    action_id: str,
    outcome: Literal["happened", "did_not_happen"],
    *,
    notes: str | None = None,
    as_json: _Json = False,
) -> int:
    """Say what became of an action nobody knows of: backlane actions resolve act_… happened

    Parameters
    ----------
    action_id: the action.
    outcome: happened goes on as if it had succeeded; did_not_happen ends the job.
    notes: how you know.
    as_json: print JSON.
    """
    body = {"outcome": outcome, "notes": notes}
    return _told(_asked("POST", f"/v1/actions/{action_id}/resolve", body), as_json)


def _switch(shown: Mapping[str, Any], as_json: bool) -> int:
    if as_json:
        put_json(shown)
    else:
        put(f"actions are stopped since {shown['stopped_at']}" if shown["stopped"] else "actions are allowed")
    return 0


@app.command
def stop(*, reason: str | None = None, as_json: _Json = False) -> int:
    """The kill switch: nothing of this workspace is carried out any more: backlane actions stop

    Parameters
    ----------
    reason: why, for the audit log.
    as_json: print JSON.
    """
    return _switch(_asked("POST", "/v1/actions/stop", {"reason": reason} if reason else {}), as_json)


@app.command
def allow(*, reason: str | None = None, as_json: _Json = False) -> int:
    """Let approved actions be carried out again (admins): backlane actions allow

    Parameters
    ----------
    reason: why, for the audit log.
    as_json: print JSON.
    """
    return _switch(_asked("POST", "/v1/actions/allow", {"reason": reason} if reason else {}), as_json)


@app.command
def switch(*, as_json: _Json = False) -> int:
    """Whether this workspace's actions are stopped: backlane actions switch"""
    return _switch(_asked("GET", "/v1/actions/switch"), as_json)
