"""Runs whose create was never answered are found by the provider's events: adopted, or canceled and booked."""

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from backlane.core.job import AttemptReason, AttemptState, Status
from backlane.core.notice import Notice
from backlane.core.schedule import HOUR, MINUTE
from backlane.provider.calling import Account
from backlane.provider.openai import OpenAIProvider
from backlane.provider.pace import Pace
from backlane.service import control
from backlane.service.hints import Inbox, keep_notices
from backlane.service.intent import intent
from backlane.service.learn import hinted_for
from backlane.service.ports import Ports
from backlane.service.situate import situate
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.signing import SECRET, event, signed
from tests.story import worker_process
from tests.story.acts import contents, creates, events_of, fault, finished, script, seen, submitted, verified
from tests.story.forked import run_worker
from tests.story.hooking import PATH, calls, hooked_place, listening, rows, tell, telling_simulator
from tests.story.test_processes import listening_port, serve
from tests.values import small_app


@pytest.fixture
async def hooked(tmp_path: Path) -> AsyncIterator[Place]:
    """A working service that is told of ends; a lost create becomes a question after 0.2 s."""
    at = listening()
    with telling_simulator(at) as simulator:
        async with hooked_place(tmp_path, simulator, at) as place:
            yield place


@pytest.fixture
async def untold(tmp_path: Path) -> AsyncIterator[Place]:
    """A working service with an open door at which only the test knocks."""
    at, nowhere = listening(), listening()
    with telling_simulator(nowhere) as simulator:
        async with hooked_place(tmp_path, simulator, at, look_first=0.1) as place:
            yield place


def bought(place: Place, number: int = 0) -> str:
    """The id of the nth run that the provider made."""
    made = [line["response_id"] for line in place.simulator.world.log if line["call"] == "create"]
    return made[number]


async def settled(place: Place, count: int) -> list[dict[str, Any]]:
    """The inbox, once so many rows are dealt with."""
    for _ in range(1000):
        found = [row for row in rows(place) if row["due_at"] is None]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"the inbox stands at {rows(place)}")


@pytest.mark.parametrize(
    "name", ["lose_create_reply", "cut_reply", "garble_reply", "html_reply", "server_error"]
)
async def test_a_lost_create_is_found_by_its_end_and_nobody_is_asked(hooked: Place, name: str) -> None:
    ana = await hooked.caller()
    words = '{\n  "summary": "As if nothing – 水獺 – had been lost.",\n  "themes": []\n}'
    script(hooked, {"text": words})
    more = {"accept": True} if name == "server_error" else {}
    fault(hooked, name, call="create", **more)
    job = await submitted(hooked, ana)
    view = await seen(hooked, ana, job.id, lambda view: view["status"] == "completed")
    assert creates(hooked) == 1
    assert (await contents(hooked, ana, view))["result"] == words
    assert [one["state"] for one in view["attempts"]] == ["completed"]
    assert "attempt.adopted" in [one["type"] for one in await events_of(hooked, ana, job.id)]
    assert [row["note"] for row in await settled(hooked, 1)] == ["adopted"]
    verified(hooked)


async def test_a_question_that_was_asked_answers_itself(untold: Place) -> None:
    ana = await untold.caller()
    fault(untold, "lose_create_reply")
    job = await submitted(untold, ana)
    view = await finished(untold, ana, job)
    assert (view["status"], view["phase"]) == ("needs_review", "submission_unknown")
    await tell(untold, bought(untold))
    view = await seen(untold, ana, job.id, lambda view: view["status"] == "completed")
    types = [one["type"] for one in await events_of(untold, ana, job.id)]
    assert types.count("review.opened") == types.count("review.expired") == 1
    assert view["review"]["state"] == "not_required"
    assert creates(untold) == 1
    verified(untold)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_events_in_any_order_and_number_end_in_one_state(untold: Place, order: tuple[int, ...]) -> None:
    ana = await untold.caller()
    fault(untold, "lose_create_reply")
    job = await submitted(untold, ana)
    await finished(untold, ana, job)
    kinds = ["response.completed", "response.failed", "response.completed"]
    told = [(kinds[one], f"wh_{one % 2}_{kinds[one]}") for one in order]
    await asyncio.gather(*(tell(untold, bought(untold), name, kind) for kind, name in [*told, *told]))
    view = await seen(untold, ana, job.id, lambda view: view["status"] == "completed")
    assert [one["state"] for one in view["attempts"]] == ["completed"]
    assert len(await settled(untold, 2)) == 2
    verified(untold)


async def test_an_event_before_the_create_returned_is_parked_then_done_with(hooked: Place) -> None:
    ana = await hooked.caller()
    fault(hooked, "early_webhook")
    fault(hooked, "slow", call="create", when="after", seconds=1.5)
    job = await submitted(hooked, ana)
    while not any(row["state"] == "parked" for row in rows(hooked)):
        await asyncio.sleep(0.01)
    (attempt,) = await hooked.service.store.read(lambda tx: tx.attempts(job.id))
    assert attempt.state == "sending"
    (row,) = await settled(hooked, 1)
    view = await seen(hooked, ana, job.id, lambda view: view["status"] == "completed")
    assert (row["state"], row["attempt_id"]) == ("applied", attempt.id)
    assert "attempt.adopted" not in [one["type"] for one in await events_of(hooked, ana, job.id)]
    # One for the event, whose metadata is kept with it, and one that saw the end.
    assert (creates(hooked), calls(hooked, "retrieve")) == (1, 2)
    assert view["attempts"][0]["id"] == attempt.id
    verified(hooked)


async def test_an_early_event_whose_create_is_lost_is_adopted(hooked: Place) -> None:
    ana = await hooked.caller()
    fault(hooked, "early_webhook")
    fault(hooked, "lose_create_reply")
    view = await seen(
        hooked, ana, (await submitted(hooked, ana)).id, lambda view: view["status"] == "completed"
    )
    assert [one["state"] for one in view["attempts"]] == ["completed"]
    assert creates(hooked) == 1
    verified(hooked)


async def test_a_run_that_was_bought_again_is_canceled_booked_and_reported(untold: Place) -> None:
    ana = await untold.caller()
    script(untold, {"running_seconds": 60, "text": "late words"})
    fault(untold, "lose_create_reply")
    view = await finished(untold, ana, await submitted(untold, ana, "plain"))
    assert [one["reason"] for one in view["attempts"]] == ["first", "rebuy"]
    await tell(untold, bought(untold))
    view = await seen(untold, ana, view["id"], lambda view: view["attempts"][0]["state"] == "canceled")
    assert view["status"] == "completed"
    raised = await untold.service.store.read(lambda tx: tx.incidents())
    assert [row["code"] for row in raised] == ["second_purchase"]
    assert untold.simulator.world.stats()["runs"]["cancelled"] == 1
    verified(untold)


@pytest.mark.parametrize("moment", ["while it runs", "after its end"])
async def test_a_second_purchase_is_canceled_booked_and_reported(untold: Place, moment: str) -> None:
    """Something between us and the provider doubled the create: both runs name the same attempt."""
    ana = await untold.caller()
    script(untold, {"running_seconds": 1.0})
    job = await submitted(untold, ana)
    first = await seen(untold, ana, job.id, lambda view: view["provider_response_id"])
    attempt = first["attempts"][0]["id"]
    if moment == "after its end":
        await finished(untold, ana, job)
    script(untold, {"running_seconds": 60})
    with OpenAI(api_key="k", base_url=f"{untold.simulator.url}/v1", max_retries=0) as client:
        second = await asyncio.to_thread(
            client.responses.create,
            model="gpt-6-luna",
            input="Again.",
            background=True,
            metadata={"backlane_job": job.id, "backlane_attempt": attempt},
        )
    await asyncio.gather(*(tell(untold, second.id, f"wh_{number}") for number in range(5)))
    while untold.simulator.world.stats()["runs"].get("completed") != 1:
        await asyncio.sleep(0.01)
    await tell(untold, first["provider_response_id"], "wh_first")
    view = await seen(
        untold, ana, job.id, lambda view: view["status"] == "completed" and len(view["attempts"]) == 2
        and view["attempts"][1]["state"] == "canceled",
    )  # fmt: skip
    stray = view["attempts"][1]
    assert (stray["reason"], stray["code"], stray["provider_response_id"]) == (
        "rebuy",
        "second_purchase",
        second.id,
    )
    assert view["provider_response_id"] == first["provider_response_id"]
    raised = await untold.service.store.read(lambda tx: tx.incidents())
    assert [row["code"] for row in raised] == ["second_purchase"]
    assert untold.simulator.world.stats()["runs"]["cancelled"] == 1
    verified(untold)


async def test_a_second_purchase_counts_as_none_of_the_jobs_own(place: Place) -> None:
    ana, ports, store = await place.caller(), place.service.ports, place.service.store
    job = await submitted(place, ana, "plain")
    now = ports.clock.now()
    lost = replace(
        intent(ports, job, 1, AttemptReason.FIRST, now), state=AttemptState.UNKNOWN, unknown_at=now
    )
    stray = replace(intent(ports, job, 2, AttemptReason.REBUY, now), stray=True, accepted_at=now, look_at=now)
    for attempt in (lost, replace(stray, state=AttemptState.ACCEPTED)):
        await store.write(lambda tx, attempt=attempt: tx.insert_attempt(attempt))
    situation = (await store.read(lambda tx: situate(tx, ports, job))).situation
    assert (situation.attempt and situation.attempt.id, situation.rebought, situation.accepted) == (
        lost.id,
        False,
        0,
    )
    assert [one.id for one in situation.strays] == [stray.id]


async def test_a_run_found_while_its_job_was_canceled_is_stopped_and_booked(place: Place) -> None:
    """Nothing else wakes a job that ends where nobody is at work with it."""
    ana, ports, store = await place.caller(), place.service.ports, place.service.store
    script(place, {"running_seconds": 60})
    job, now = await submitted(place, ana, "plain"), place.service.ports.clock.now()
    first = intent(ports, job, 1, AttemptReason.FIRST, now)
    names = {"backlane_job": job.id, "backlane_attempt": first.id}
    with OpenAI(base_url=place.simulator.base_url, api_key="sk-test") as client:
        run = client.responses.create(model="gpt-6-luna", input="Otters.", background=True, metadata=names)
    found = {"state": AttemptState.ACCEPTED, "provider_response_id": run.id, "sent_at": now}
    refused = replace(
        intent(ports, job, 2, AttemptReason.PERSON, now), state=AttemptState.REFUSED, sent_at=now
    )
    for attempt in (replace(first, accepted_at=now, look_at=now, **found), refused):
        await store.write(lambda tx, attempt=attempt: tx.insert_attempt(attempt))
    assert (await control.cancel(ports, ana, job.id, None)).status is Status.CANCELED
    await place.service.start_worker()
    view = await seen(place, ana, job.id, lambda one: one["attempts"][0]["state"] == "canceled")
    assert view["status"] == "canceled"
    assert place.simulator.world.stats()["runs"] == {"cancelled": 1}


async def test_an_event_stored_by_a_killed_api_is_worked_off_after_the_restart(tmp_path: Path) -> None:
    nowhere = listening()
    with telling_simulator(nowhere) as simulator:
        chosen = settings_for(tmp_path, simulator, openai_webhook_secret=SECRET)
        service = build(chosen, types=small_app(), log=lambda line: None)
        place = Place(service, simulator, chosen)
        ana = await place.caller()
        fault(place, "lose_create_reply")
        await service.start_worker()
        job = await submitted(place, ana)
        await finished(place, ana, job)
        await service.drain()
        api = await serve(place, "--no-worker")
        url = f"http://127.0.0.1:{await listening_port(api.pid)}{PATH}"
        body = event(bought(place))
        import httpx2

        async with httpx2.AsyncClient() as client:
            assert (await client.post(url, content=body, headers=signed(body))).status_code == 204
        api.kill()
        await api.wait()
        again = build(chosen, types=small_app(), log=lambda line: None)
        place = Place(again, simulator, chosen)
        assert [row["state"] for row in rows(place)] == ["new"]
        await again.start_worker()
        view = await seen(place, ana, job.id, lambda view: view["status"] == "completed")
        assert [one["state"] for one in view["attempts"]] == ["completed"]
        assert creates(place) == 1
        verified(place)
        await again.drain()


async def test_a_worker_killed_before_it_kept_the_id_is_told_of_it_later(tmp_path: Path) -> None:
    at = listening()
    with telling_simulator(at) as simulator:
        chosen = settings_for(tmp_path, simulator)
        before = Place(build(chosen, types=small_app(), log=lambda line: None), simulator, chosen)
        ana = await before.caller()
        job = await submitted(before, ana)
        await before.service.drain()
        assert await run_worker(worker_process.main, before, tmp_path, "answered") == -signal.SIGKILL
        async with hooked_place(tmp_path, simulator, at) as place:
            view = await seen(place, ana, job.id, lambda view: view["status"] == "completed")
            assert [one["state"] for one in view["attempts"]] == ["completed"]
            assert creates(place) == 1
            verified(place)


class Turned:
    """A clock that a test turns by hand."""

    def __init__(self, now: int) -> None:
        self.time = now

    def now(self) -> int:
        return self.time

    async def sleep(self, milliseconds: int) -> None:
        self.time += milliseconds


@pytest.fixture
def turned(place: Place) -> Ports:
    """The ports of a service without a worker, on a clock turned by hand, with two accounts; lines are kept."""
    clock, key = Turned(place.service.ports.clock.now()), "sk-test"
    accounts = {name: Account(key, f"{place.simulator.url}/v1") for name in ("default", "other")}
    provider = OpenAIProvider(accounts, now=clock.now, pace=Pace(clock.now, lambda: 0.5, 1000, 1000))
    lines: list[str] = []
    ports = replace(place.service.ports, clock=clock, provider=provider, log=lines.append)
    clock.lines = lines  # type: ignore[attr-defined]
    return ports


async def worked(place: Place, ports: Ports, inbox: Inbox, tries: int) -> list[int]:
    """Turn the clock from due row to due row; how long each pause was."""
    pauses, clock = list[int](), ports.clock
    assert isinstance(clock, Turned)
    for _ in range(tries):
        due = await inbox.work_off()
        if due is None:
            break
        pauses.append(due - clock.time)
        clock.time = due
    return pauses


async def test_a_run_that_is_not_ours_is_looked_for_a_few_times_and_told_of_once(
    place: Place, turned: Ports
) -> None:
    inbox = Inbox(turned)
    await keep_notices(
        turned, [Notice("default", f"wh_{n}", "response.completed", f"resp_{n}") for n in range(5)]
    )
    assert await worked(place, turned, inbox, 99) == [1000, 2000, 4000]
    assert {(row["state"], row["note"]) for row in rows(place)} == {
        ("foreign", "given up: the provider does not know it")
    }
    assert calls(place, "retrieve") == 20
    assert turned.clock.lines == ["1 webhook events were about runs that are not ours"]  # type: ignore[attr-defined]
    turned.clock.time += 91 * 24 * HOUR  # type: ignore[attr-defined]
    await inbox.work_off()
    assert rows(place) == []


async def test_a_provider_that_does_not_say_is_asked_for_an_hour(place: Place, turned: Ports) -> None:
    fault(place, "server_error", call="retrieve", times=None)
    await keep_notices(turned, [Notice("default", "wh_1", "response.completed", "resp_1")])
    pauses = await worked(place, turned, Inbox(turned), 99)
    assert pauses == [1000 * 2**n for n in range(11)]
    assert 30 * MINUTE < sum(pauses) < 90 * MINUTE
    assert [row["note"] for row in rows(place)] == ["given up: the provider did not say"]


async def test_an_event_of_another_account_never_touches_our_run(working: Place, turned: Ports) -> None:
    """The other account can even retrieve it, and its metadata names our attempt: it is another's all the same."""
    ana = await working.caller()
    fault(working, "lose_create_reply")
    job = await submitted(working, ana)
    await finished(working, ana, job)
    before = await events_of(working, ana, job.id)
    working.service.hints.stop()
    await asyncio.sleep(0)
    await keep_notices(turned, [Notice("other", "wh_1", "response.completed", bought(working))])
    await Inbox(turned).work_off()
    await settled(working, 1)
    assert [row["state"] for row in rows(working)] == ["foreign"]
    assert await events_of(working, ana, job.id) == before
    verified(working)


async def test_an_account_is_counted_on_for_a_quarter_of_an_hour(working: Place) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 60})
    job = await submitted(working, ana)
    await seen(working, ana, job.id, lambda view: view["provider_response_id"])
    store, now = working.service.store, working.service.ports.clock.now()
    (attempt,) = await store.read(lambda tx: tx.attempts(job.id))

    async def heard(account: str, number: int, state: str) -> bool:
        """Whether the account is counted on once one more of its events was dealt with like this."""
        notice = Notice(account, f"wh_{number}", "response.completed", f"resp_{number}")
        row = {"provider_account": account, "webhook_id": notice.webhook_id}
        await store.write(lambda tx: tx.keep_notice(notice, now))
        await store.write(lambda tx: tx.settle_notice(row, state, "so", now))
        return await store.read(lambda tx: hinted_for(tx, attempt, now))

    assert not await heard("other", 0, "applied")
    assert not await heard("default", 1, "foreign")
    assert await heard("default", 2, "applied")
    for passed, counted in ((0, True), (15 * MINUTE, True), (15 * MINUTE + 1, False)):
        assert await store.read(lambda tx, at=now + passed: hinted_for(tx, attempt, at)) is counted
