"""Keys, straight on the database: how the first one is made."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import cyclopts
from cyclopts import Parameter

from backlane.cli.printing import put, put_json, say
from backlane.errors import ServiceError

if TYPE_CHECKING:
    from backlane.wiring import Service

T = TypeVar("T")
app = cyclopts.App(name="keys", help="Make, list and revoke API keys, straight on the database.")
_Json = Annotated[bool, Parameter(name="--json", negative=())]


def on_database(work: "Callable[[Service], Awaitable[T]]") -> T:
    """Run work on the database of the settings, without a worker and without job types."""
    from backlane.settings import load_settings
    from backlane.wiring import NoTypes, build

    async def whole() -> T:
        service = build(load_settings(), types=NoTypes())
        try:
            return await work(service)
        finally:
            await service.drain()

    return asyncio.run(whole())


@app.command
def create(
    *,
    role: Literal["submitter", "reviewer", "support", "operator", "admin"],
    workspace: str = "default",
    name: str | None = None,
    service: Annotated[bool, Parameter(negative=())] = False,
    may_decide: Annotated[bool, Parameter(negative=())] = False,
    as_json: _Json = False,
) -> int:
    """Make a key; it is shown once: backlane keys create --role admin --name ana

    Parameters
    ----------
    role: what the key may do.
    workspace: whose jobs it sees; a new name makes the workspace.
    name: the person or service it belongs to; the role's name if left out.
    service: it belongs to a service, which decides no reviews.
    may_decide: with --service: it decides reviews after all, with this key.
    as_json: print JSON.
    """
    from backlane.service.make_key import make_key

    async def work(built: "Service") -> int:
        made = await built.store.write(
            lambda tx: make_key(
                tx,
                built.ports,
                secrets.token_bytes(23),
                role=role,
                workspace=workspace,
                name=name or role,
                service=service,
                may_decide=may_decide,
            )
        )
        if as_json:
            put_json(
                {"key": made.key, "id": made.id, "role": role, "workspace": workspace, "name": made.name}
            )
        else:
            put(made.key)
            say(
                f"{role} {made.name} in workspace {workspace}; shown only now. Use it: export BACKLANE_API_KEY=…"
            )
        return 0

    return on_database(work)


@app.command(name="list")
def list_keys(*, as_json: _Json = False) -> int:
    """List keys, never their secrets: backlane keys list

    Parameters
    ----------
    as_json: print JSON.
    """
    from backlane.service.describe import moment

    async def work(built: "Service") -> int:
        rows = await built.store.read(lambda tx: tx.keys())
        times = ("created_at", "expires_at", "revoked_at", "last_used_at")
        shown = [{**row, **{name: moment(row[name]) for name in times}} for row in rows]
        if as_json:
            put_json({"data": shown})
            return 0
        for row in shown:
            state = "revoked" if row["revoked_at"] else f"until {str(row['expires_at'])[:10]}"
            whose = f"{row['name']} ({row['workspace_name']})"
            decides = "  may decide" if row["may_decide"] else ""
            put(f"{row['id']}  {row['hint']}…  {row['role']:<10} {whose}  {state}{decides}")
        return 0

    return on_database(work)


@app.command
def revoke(key_id: str) -> int:
    """Take a key back at once: backlane keys revoke key_…

    Parameters
    ----------
    key_id: the key's id, as `keys list` shows it.
    """
    from backlane.service.revoke import revoke_key

    async def work(built: "Service") -> int:
        if not await built.store.write(lambda tx: revoke_key(tx, built.ports, key_id, "command-line")):
            raise ServiceError(f"there is no live key {key_id!r}; see 'backlane keys list'", status=404)
        say(f"revoked {key_id}")
        return 0

    return on_database(work)
