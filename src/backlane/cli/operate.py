"""Commands for operators, straight on the database: migrate, doctor."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from backlane.cli import hooks
from backlane.cli import live as trying
from backlane.cli.account_findings import account_findings
from backlane.cli.keys import on_database
from backlane.cli.printing import put, put_json, say
from backlane.errors import BacklaneError, StoreDamaged

if TYPE_CHECKING:
    from backlane.wiring import Service

_Json = Annotated[bool, Parameter(name="--json", negative=())]


def migrate() -> int:
    """Bring the database to this version's shape: backlane migrate"""
    from backlane.settings import load_settings
    from backlane.store.database import Database
    from backlane.store.upgrade import upgrade

    database = Database(load_settings().database_url)
    try:
        before, after = upgrade(database)
    finally:
        database.close()
    say(f"database at revision {after}" + (" already" if before == after else f", was {before or 'empty'}"))
    return 0


def doctor(
    *,
    verify: Annotated[bool, Parameter(negative=())] = False,
    restored: Annotated[bool, Parameter(negative=())] = False,
    register_webhook: str | None = None,
    live: Annotated[bool, Parameter(negative=())] = False,
    max_cost: str | None = None,
    account: str | None = None,
    model: str | None = None,
    webhook_url: str | None = None,
    webhook_port: int | None = None,
    as_json: _Json = False,
) -> int:
    """Say what stands in the way, with the mend: backlane doctor --verify

    Parameters
    ----------
    verify: run the invariant checker over the whole database and its artifacts.
    restored: a backup was put in place: open jobs whose run is not known wait for a person.
    register_webhook: this service's public address; the provider is asked to tell it of every end.
    live: try a provider account with its real key; spends money, at most --max-cost.
    max_cost: with --live: USD, such as 0.50.
    account: with --live or --register-webhook: the account; `default` if left out.
    model: with --live: the model, the cheaper the better.
    webhook_url: with --live: an https address that leads to this machine; a delivery is tried there.
    webhook_port: where this machine listens for it; 8322 if left out.
    as_json: print JSON.
    """
    if live:
        wanted = trying.Wanted(
            max_cost=max_cost,
            account=account,
            model=model,
            webhook_url=webhook_url,
            webhook_port=webhook_port,
        )
        return trying.live(wanted, as_json)

    async def work(built: "Service") -> int:
        if register_webhook is not None:
            return await hooks.register_webhook(built, register_webhook, account, as_json)
        if restored:
            return await _declare_restored(built, as_json)
        return await _diagnose(built, verify, as_json)

    return on_database(work)


async def _diagnose(built: "Service", verify: bool, as_json: bool) -> int:
    lines = await _findings(built)
    report = _verify(built) if verify else None
    broken = [line for line in lines if line["level"] == "blocking"]
    if as_json:
        shown: dict[str, Any] = {"findings": lines}
        if report is not None:
            shown["violations"] = [{"invariant": name, "what": what} for name, what in report.violations]
            shown["judged"] = report.judged
            shown["not_judged"] = report.not_judged
        put_json(shown)
    else:
        told = [f"{one['level']:<9} {one['what']}; {one['mend']}".rstrip("; ") for one in lines]
        told += report.lines() if report is not None else []
        for one in told:
            put(one)
    return 1 if broken or (report is not None and not report.ok) else 0


async def _declare_restored(built: "Service", as_json: bool) -> int:
    from backlane.errors import StoreLocked
    from backlane.service.restore import declare_restored

    try:
        built.lock_worker()
    except StoreLocked:
        raise StoreLocked("a worker runs on this database; stop the service, then run this again") from None
    if built.worker.exclusive:
        await built.carrier.take_over()
    found = await declare_restored(built.ports, "command-line")
    if as_json:
        put_json({"asked": found.asked, "waiting": found.waiting, "followed": found.followed})
        return 0
    put(f"{found.asked} open jobs wait at submission_unknown: nobody can know whether they were bought since")
    put(f"{found.waiting} waited already, {found.followed} have runs that are known and are followed")
    if found.asked + found.waiting:
        put("find their runs by metadata backlane_job, then: backlane resolve job_… attach|run_again|give_up")
    return 0


def _verify(built: "Service") -> Any:
    from backlane.outbound.folder import ArtifactFolder
    from backlane.verify.collect import collect
    from backlane.verify.invariants import check

    folder = ArtifactFolder.from_url(built.settings.artifacts_url)
    return check(collect(built.store.database, folder.read))


def _line(level: str, what: str, mend: str = "") -> dict[str, str]:
    return {"level": level, "what": what, "mend": mend}


_MENDS = {
    "provider_trouble": "nothing: a run tries it now and then, and a good one reopens the lane; jobs keep their place",
    "held_by_person": "backlane lanes release LANE --reason …",
    "account_retired": "give the workspace to another account in BACKLANE_ACCOUNTS_FILE, then restart",
    "no_provider_key": "put the account back into BACKLANE_ACCOUNTS_FILE, retired if it shall take no new runs",
    "task_design": "read the failed jobs' partial output and change the job type; a good end clears this",
    "second_purchase": "see the job's attempts and the provider's log: something doubled a create on its way",
    "result_gone": "keep a worker running: results are kept for about ten minutes; this clears by itself",
}


async def _findings(built: "Service") -> list[dict[str, str]]:
    """Blocking, warning and information, each with its mend."""
    from backlane.core.storage import Search
    from backlane.wiring import load_app

    settings = built.settings
    lines = [_line("ok", "the database answers and has this version's shape")]
    try:
        await asyncio.to_thread(built.store.database.require_whole)
    except StoreDamaged as error:
        lines.append(_line("blocking", str(error)))
    lines += [_line(*one) for one in await account_findings(built)]
    try:
        names = load_app(settings.app).names()
        told = (
            f"{len(names)} job types are loaded: {', '.join(names)}" if names else "no job types are loaded"
        )
        lines.append(
            _line("ok" if names else "warning", told, "" if names else "set BACKLANE_APP=module:attribute")
        )
    except BacklaneError as error:
        lines.append(_line("blocking", str(error)))
    lines += await hooks.webhook_findings(built)
    incidents = await built.store.read(lambda tx: tx.incidents())
    for one in incidents:
        lines.append(
            _line(
                "warning",
                f"alert {one['code']} ({one['provider_account']}, {one['lane']}): {one['message']}",
                _MENDS.get(one["code"], "mend it; jobs keep their place"),
            )
        )
    for place in await built.store.read(lambda tx: tx.workspaces()):
        lines += await _action_findings(built, place)
        search = Search(workspace=place["id"], phase="submission_unknown", limit=200)
        waiting = len(await built.store.read(lambda tx, search=search: tx.search(search)))
        if waiting:
            what = f"{waiting} unknown submissions wait in workspace {place['name']}"
            lines.append(_line("warning", what, "see 'backlane reviews', then 'backlane resolve'"))
    return lines


async def _action_findings(built: "Service", place: dict[str, Any]) -> list[dict[str, str]]:
    """The kill switch, and actions that wait for somebody to find out what became of them."""
    from backlane.core.storage import Search

    lines: list[dict[str, str]] = []
    if place["actions_stopped_at"] is not None:
        what = f"actions are stopped in workspace {place['name']}"
        lines.append(_line("warning", what, "see why in the audit log, then 'backlane actions allow'"))
    search = Search(workspace=place["id"], phase="effect_unknown", limit=200)
    waiting = len(await built.store.read(lambda tx: tx.search(search)))
    if waiting:
        what = f"{waiting} actions of unknown effect wait in workspace {place['name']}"
        lines.append(_line("warning", what, "find out, then 'backlane actions resolve'"))
    return lines
