"""The kill switch and a revoked key against a dispatch, on a real PostgreSQL: locks say which of them came first."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from backlane.core.health import hold_place
from backlane.core.job import Job
from backlane.core.storage import Transaction
from backlane.service import lanes
from backlane.service.access import Caller
from backlane.service.revoke import revoke_key
from backlane.simulator.server import Running
from backlane.store.database import Database
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.migrated import postgres_url
from tests.story.acting import approve, asked_for, review_of, waits
from tests.story.action_types import World, acting_app
from tests.story.acts import creates, script, seen, submitted, verified

Deed = Callable[[Place, Transaction], object]
Ready = Callable[[Transaction], object]
Sent = Callable[[], int]
CALL = {"server_label": "crm", "name": "close_ticket", "arguments": {"ticket": 7}}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
async def acting(
    postgres_server: Any, tmp_path: Path, simulator: Running, world: World
) -> AsyncIterator[Place]:
    """A service with acting types whose worker runs, on PostgreSQL."""
    url = postgres_url(postgres_server)
    chosen = settings_for(tmp_path, simulator, database_url=url, secret="s" * 40)
    service = build(chosen, types=acting_app(world), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    world.holds.set()
    await service.drain(grace=5)


def stop(place: Place, tx: Transaction) -> None:
    """As the kill switch does it."""
    [workspace] = tx.workspaces()
    assert tx.stop_actions(workspace["id"], place.service.ports.clock.now())
    line = {"workspace": workspace["id"], "at": place.service.ports.clock.now(), "actor": "olga"}
    tx.audit({**line, "action": "actions.stop", "subject": workspace["id"], "data": {}})


def leave(place: Place, tx: Transaction) -> None:
    """Every key of rita is revoked."""
    for row in list(tx.keys()):
        if row["name"] == "rita":
            revoke_key(tx, place.service.ports, row["id"], "adam")


class Uncommitted:
    """A deed in a transaction of another process, done and not yet committed."""

    def __init__(self, place: Place, deed: Deed) -> None:
        self._other = Database(place.settings.database_url)
        self._connection = self._other.connection()
        self._open = self._connection.begin()
        deed(place, place.service.store.records(self._connection))

    def commit(self) -> None:
        self._open.commit()
        self._connection.close()
        self._other.close()


def waiting(place: Place) -> int:
    """How many transactions wait for a row that another one holds."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    return place.service.store.database.read_now(
        lambda connection: connection.exec_driver_sql(query).scalar_one()
    )


async def comes_to(place: Place, ana: Caller, job: Job, deed: Deed, *, due: Ready, sent: Sent) -> None:
    """The deed is done and not committed; the dispatch comes and waits for it; then the deed is committed."""
    ports = place.service.ports
    other = Uncommitted(place, deed)
    await ports.store.write(due)
    await ports.store.write(lambda tx: tx.wake(job.id, ports.clock.now()))
    ports.notify()
    await seen(place, ana, job.id, lambda view: waiting(place) > 0 or sent() > 0)
    overtaken = sent()
    other.commit()
    assert overtaken == 0


DEEDS = pytest.mark.parametrize("deed", [stop, leave])


@DEEDS
async def test_a_dispatch_waits_for_what_is_about_to_stop_it(acting: Place, world: World, deed: Deed) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana, type_name="slow-refund")
    await approve(acting, review)
    view = await seen(acting, ana, job.id, lambda view: view["actions"][0]["state"] == "approved")
    action = view["actions"][0]["id"]
    await comes_to(
        acting,
        ana,
        job,
        deed,
        due=lambda tx: tx.move_action(action, ["approved"], dispatch_after=0),
        sent=lambda: len(world.calls),
    )
    await put_down(acting, ana, job)
    state = (await seen(acting, ana, job.id, lambda view: True))["actions"][0]["state"]
    assert (state, world.calls) == ("approved" if deed is stop else "proposed", [])
    verified(acting, world.log())


@DEEDS
async def test_a_run_that_carries_an_approval_waits_for_what_is_about_to_stop_it(
    acting: Place, world: World, deed: Deed
) -> None:
    ana, olga = await acting.caller(), await acting.caller("olga", "operator")
    script(acting, {"mcp": [CALL]})
    job = await submitted(acting, ana, "remote")
    review = await review_of(acting, await waits(acting, ana, job))
    await lanes.hold(acting.service.ports, olga, "background", None, "a change of accounts")
    await approve(acting, review)
    await seen(acting, ana, job.id, lambda view: view["phase"] == "incident")
    place = hold_place(job.workspace, job.provider_account)
    await comes_to(
        acting,
        ana,
        job,
        deed,
        due=lambda tx: tx.clear_incident(place, "background"),
        sent=lambda: creates(acting) - 1,
    )
    await put_down(acting, ana, job)
    state = (await seen(acting, ana, job.id, lambda view: True))["actions"][0]["state"]
    assert (state, creates(acting)) == ("dispatching" if deed is stop else "proposed", 1)
    verified(acting, [])


async def put_down(place: Place, ana: Caller, job: Job) -> None:
    """The worker has handed the job back: it waits, or a person is asked."""
    query = text("SELECT lease_state FROM jobs WHERE id = :id")

    def free(_: Any) -> bool:
        return place.service.store.database.read_now(
            lambda connection: connection.execute(query, {"id": job.id}).scalar() == "free"
        )

    await seen(place, ana, job.id, free)
