"""Policies over what was done already, straight on the database: nothing is changed, nobody is asked."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import cyclopts
from cyclopts import Parameter

from backlane.cli.printing import put, put_json, say
from backlane.errors import SettingsError

if TYPE_CHECKING:
    from backlane.service.replay import Replayed
    from backlane.wiring import Service

T = TypeVar("T")
app = cyclopts.App(name="policy", help="See what the loaded policies would say about jobs that have ended.")
_Json = Annotated[bool, Parameter(name="--json", negative=())]


def _with_types(work: "Callable[[Service], Awaitable[T]]") -> T:
    """Run work on the database of the settings with the job types that are loaded, without a worker."""
    from backlane.settings import load_settings
    from backlane.wiring import build

    settings = load_settings()
    if settings.app is None:
        raise SettingsError("BACKLANE_APP: no job types are loaded; set it to module:attribute")

    async def whole() -> T:
        service = build(settings, log=say)
        try:
            return await work(service)
        finally:
            await service.drain()

    return asyncio.run(whole())


@app.command
def replay(
    type_name: str | None = None,
    *,
    workspace: str | None = None,
    limit: int = 1000,
    every: Annotated[bool, Parameter(negative=())] = False,
    as_json: _Json = False,
) -> int:
    """Run the loaded policies over jobs that have ended: backlane policy replay refund

    Parameters
    ----------
    type_name: one job type; all of them if left out.
    workspace: one workspace, by name.
    limit: the newest so many jobs.
    every: print what would go the same way too.
    as_json: print JSON.
    """
    from backlane.service.replay import replay as replayed
    from backlane.service.replay import summed_up

    async def work(built: "Service") -> int:
        place = await _workspace(built, workspace)
        rows = [one async for one in replayed(built.ports, type_name, place, max(1, limit))]
        shown = [one for one in rows if every or one.changed]
        if as_json:
            data = [{**asdict(one), "changed": one.changed} for one in shown]
            put_json({"data": data, "summary": summed_up(rows), "judged": len(rows)})
            return 0
        for one in shown:
            put(_line(one))
        for then, now in summed_up(rows).items():
            told = ", ".join(f"{count} {word}" for word, count in now.items())
            say(f"{then} then: {told} now")
        say(
            f"{len(rows)} judged, {sum(one.changed for one in rows)} would go another way; nothing was changed"
        )
        return 0

    return _with_types(work)


async def _workspace(built: "Service", name: str | None) -> str | None:
    if name is None:
        return None
    known = {
        str(place["name"]): str(place["id"]) for place in await built.store.read(lambda tx: tx.workspaces())
    }
    if name not in known:
        raise SettingsError(f"there is no workspace {name!r}; known: {', '.join(sorted(known)) or 'none'}")
    return known[name]


def _line(one: "Replayed") -> str:
    words = f"  {one.reason}" if one.reason else ""
    return f"{one.job}  {one.type}  {one.over} {one.subject}  {one.then} → {one.now}{words}"
