"""The provider tells of an end: the job goes on at once, whatever becomes of the event on its way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Place
from tests.signing import OTHER, SECRET, event, signed
from tests.story.acts import contents, creates, events_of, fault, finished, script, seen, submitted, verified
from tests.story.hooking import calls, hooked_place, listening, post, rows, tell, telling_simulator
from tests.story.live_acts import events, joined

# What every run of a story writes, disturbed or not.
WORDS = '{\n  "summary": "Otters hold hands – ça va, 水獺 – while they sleep.",\n  "themes": [\n    "rest"\n  ]\n}'


@pytest.fixture
async def hooked(tmp_path: Path) -> AsyncIterator[Place]:
    """A working service that is told of ends, and would look by itself a minute after them."""
    at = listening()
    with telling_simulator(at) as simulator:
        async with hooked_place(tmp_path, simulator, at) as place:
            yield place


@pytest.fixture
async def looking(tmp_path: Path) -> AsyncIterator[Place]:
    """The same, which also looks often by itself."""
    at = listening()
    with telling_simulator(at) as simulator:
        async with hooked_place(tmp_path, simulator, at, look_first=0.2) as place:
            yield place


async def delivered(place: Place, count: int) -> list[dict[str, Any]]:
    """The provider's deliveries, once so many were attempted."""
    for _ in range(1000):
        told = [line for line in place.simulator.world.log if line["call"] == "webhook"]
        if sum(line["attempts"] > 0 and line["outcome"] != "retrying" for line in told) >= count:
            return told
        await asyncio.sleep(0.01)
    raise AssertionError(f"the deliveries stand at {told}")


async def undisturbed(place: Place, view: dict[str, Any]) -> None:
    """The job has exactly the text that a run without any trouble has."""
    assert (await contents(place, await place.caller(), view))["result"] == WORDS


async def test_an_end_that_is_told_is_seen_at_once_with_one_look(hooked: Place) -> None:
    ana = await hooked.caller()
    jobs = [await submitted(hooked, ana) for _ in range(5)]
    for job in jobs:
        assert (await finished(hooked, ana, job))["status"] == "completed"
    assert (creates(hooked), calls(hooked, "retrieve")) == (5, 5)
    assert {(row["state"], row["note"]) for row in rows(hooked)} == {("applied", "looked at")}
    verified(hooked)


@pytest.mark.parametrize(
    "then", [{"status": "failed", "error_code": "invalid_prompt"}, {"status": "incomplete"}]
)
async def test_every_way_to_end_is_told_and_looked_at(hooked: Place, then: dict[str, Any]) -> None:
    ana = await hooked.caller()
    script(hooked, {**then, "running_seconds": 0.3})
    view = await finished(hooked, ana, await submitted(hooked, ana))
    assert view["status"] == "failed"
    assert calls(hooked, "retrieve") == 1
    verified(hooked)


async def test_a_hundred_deliveries_of_one_event_are_one(hooked: Place) -> None:
    ana = await hooked.caller()
    script(hooked, {"text": WORDS})
    fault(hooked, "duplicate_webhook", copies=100)
    view = await finished(hooked, ana, await submitted(hooked, ana))
    assert view["status"] == "completed"
    told = await delivered(hooked, 100)
    assert {line["status_code"] for line in told} == {204}
    assert len(rows(hooked)) == 1
    assert calls(hooked, "retrieve") == 1
    types = [one["type"] for one in await events_of(hooked, ana, view["id"])]
    assert types.count("attempt.finished") == types.count("job.completed") == creates(hooked) == 1
    await undisturbed(hooked, view)
    verified(hooked)


SPOILED = [
    ("forge_webhook", {"attempts": 1}),
    ("truncate_webhook", {"attempts": 1}),
    ("truncate_webhook", {"attempts": 1, "signed": True}),
    ("stale_webhook", {"attempts": 1}),
    ("stale_webhook", {"attempts": 1, "seconds": -600}),
    ("missing_header", {"attempts": 1}),
    ("missing_header", {"attempts": 1, "header": "webhook-id"}),
]


@pytest.mark.parametrize(("name", "values"), SPOILED)
async def test_a_delivery_that_does_not_hold_changes_nothing_and_the_next_one_does(
    hooked: Place, name: str, values: dict[str, Any]
) -> None:
    ana = await hooked.caller()
    script(hooked, {"text": WORDS})
    fault(hooked, name, **values)
    view = await finished(hooked, ana, await submitted(hooked, ana))
    assert view["status"] == "completed"
    await undisturbed(hooked, view)
    (told,) = await delivered(hooked, 1)
    assert told["statuses"] == [400, 204]
    assert (creates(hooked), calls(hooked, "retrieve"), len(rows(hooked))) == (1, 1, 1)
    verified(hooked)


NEVER_HOLDS: list[tuple[str, dict[str, Any], int]] = [
    ("reserialize_webhook", {}, 400),
    ("bom_webhook", {}, 400),
    ("bom_webhook", {"signed": True}, 400),
    ("packed_webhook", {}, 400),
    ("oversized_webhook", {"kilobytes": 65}, 413),
    ("endless_webhook", {}, None),  # whoever writes on and on misses the answer
]


@pytest.mark.parametrize(("name", "values", "answer"), NEVER_HOLDS)
async def test_a_body_that_never_holds_changes_nothing_and_looks_find_the_end(
    looking: Place, name: str, values: dict[str, Any], answer: int | None
) -> None:
    ana = await looking.caller()
    script(looking, {"text": WORDS, "running_seconds": 1})
    fault(looking, name, **values)
    view = await finished(looking, ana, await submitted(looking, ana))
    assert view["status"] == "completed"
    for _ in range(500):
        (told,) = (line for line in looking.simulator.world.log if line["call"] == "webhook")
        if told["statuses"]:
            break
        await asyncio.sleep(0.01)
    assert set(told["statuses"]) == {answer}
    await undisturbed(looking, view)
    assert (creates(looking), rows(looking)) == (1, [])
    verified(looking)


async def test_an_endpoint_that_was_down_is_told_again_and_looks_did_not_wait(looking: Place) -> None:
    ana = await looking.caller()
    script(looking, {"text": WORDS})
    fault(looking, "endpoint_down", seconds=20)
    view = await finished(looking, ana, await submitted(looking, ana))
    assert view["status"] == "completed"
    before = await events_of(looking, ana, view["id"])
    assert rows(looking) == []
    looking.simulator.advance(20)
    (told,) = await delivered(looking, 1)
    assert set(told["statuses"][:-1]) == {None} and told["statuses"][-1] == 204
    for _ in range(500):
        if rows(looking)[0]["due_at"] is None:
            break
        await asyncio.sleep(0.01)
    assert rows(looking)[0]["note"] == "nobody waited for it"
    assert await events_of(looking, ana, view["id"]) == before
    await undisturbed(looking, view)
    assert creates(looking) == 1
    verified(looking)


@pytest.mark.parametrize(("stamp", "last"), [("fresh", 204), ("kept", 400)])
async def test_a_retry_that_keeps_its_timestamp_is_taken_while_it_is_fresh(
    looking: Place, stamp: str, last: int
) -> None:
    """An endpoint that was down for six minutes; looks found the end long before."""
    # So that our clock and the provider's agree when the retry comes. The checker would not forgive two clocks.
    looking.simulator.world.advance(-400)
    looking.simulator.profile(retry_timestamp=stamp, webhook_retry_seconds=400, webhook_give_up_seconds=500)
    ana = await looking.caller()
    fault(looking, "endpoint_down", seconds=360)
    view = await finished(looking, ana, await submitted(looking, ana))
    assert view["status"] == "completed"
    # It waits for our answer, which this very loop gives.
    await asyncio.to_thread(looking.simulator.advance, 400)
    (told,) = [line for line in looking.simulator.log() if line["call"] == "webhook"]
    assert told["statuses"] == [None, last]
    assert creates(looking) == 1


@pytest.mark.parametrize("name", ["two_signatures", "bare_signature", "foreign_webhook"])
async def test_other_shapes_of_a_genuine_event_are_taken(hooked: Place, name: str) -> None:
    ana = await hooked.caller()
    script(hooked, {"text": WORDS})
    fault(hooked, name)
    view = await finished(hooked, ana, await submitted(hooked, ana))
    assert view["status"] == "completed"
    await undisturbed(hooked, view)
    assert {line["statuses"][0] for line in await delivered(hooked, 1)} == {204}
    assert creates(hooked) == 1
    verified(hooked)


ASTRAY: list[tuple[str, dict[str, Any]]] = [
    ("lose_webhook", {}),
    ("delay_webhook", {"seconds": 3}),
    ("reorder_webhooks", {}),
    ("early_webhook", {}),
    ("duplicate_webhook", {"copies": 3}),
]


@pytest.mark.parametrize(("name", "values"), ASTRAY)
async def test_events_that_go_astray_end_in_the_same_state(
    looking: Place, name: str, values: dict[str, Any]
) -> None:
    ana = await looking.caller()
    script(looking, {"text": WORDS}, times=None)
    plain = await finished(looking, ana, await submitted(looking, ana))
    # From here on the account is told of its ends, so that its own looks would be seldom.
    looking.service.ports.store.database.write_now(lambda connection: connection.execute(_forget()))
    fault(looking, name, times=4, **values)
    jobs = [await submitted(looking, ana) for _ in range(4)]
    views = [await finished(looking, ana, job) for job in jobs]
    assert {view["status"] for view in [plain, *views]} == {"completed"}
    assert len({tuple(row["kind"] for row in view["artifacts"]) for view in [plain, *views]}) == 1
    for view in [plain, *views]:
        await undisturbed(looking, view)
    # One for each job.
    assert creates(looking) == 5
    verified(looking)


def _forget() -> Any:
    from backlane.store.tables_wire import inbox

    return inbox.update().values(received_at=0)


async def test_an_event_hours_after_the_end_changes_nothing(hooked: Place) -> None:
    ana = await hooked.caller()
    view = await finished(hooked, ana, await submitted(hooked, ana))
    before = await events_of(hooked, ana, view["id"])
    for number, kind in enumerate(
        ["response.completed", "response.failed", "response.cancelled", "response.odd"]
    ):
        await tell(hooked, view["provider_response_id"], f"wh_late_{number}", kind)
    assert await events_of(hooked, ana, view["id"]) == before
    assert calls(hooked, "retrieve") == 1
    assert {row["note"] for row in rows(hooked)} == {"looked at", "nobody waited for it"}
    verified(hooked)


async def test_what_an_event_claims_is_never_believed(hooked: Place) -> None:
    """It says failed, canceled, completed: the run goes on, and so does the job."""
    ana = await hooked.caller()
    script(hooked, {"running_seconds": 3600})
    job = await submitted(hooked, ana)
    view = await seen(hooked, ana, job.id, lambda view: view["provider_response_id"])
    for number, kind in enumerate(["response.failed", "response.cancelled", "response.completed"]):
        await tell(hooked, view["provider_response_id"], f"wh_{number}", kind)
        await seen(hooked, ana, job.id, lambda view, n=number: calls(hooked, "retrieve") > n)
    hooked.simulator.world.advance(3600)
    await tell(hooked, view["provider_response_id"], "wh_last", "response.completed")
    view = await finished(hooked, ana, job)
    assert view["status"] == "completed"
    assert [one["state"] for one in view["attempts"]] == ["completed"]
    verified(hooked)


async def test_secrets_are_rotated_without_losing_an_event(tmp_path: Path) -> None:
    at = listening()
    with telling_simulator(at) as simulator:
        async with hooked_place(tmp_path, simulator, at, openai_webhook_secret=f"{OTHER} {SECRET}") as place:
            ana = await place.caller()
            view = await finished(place, ana, await submitted(place, ana))
            assert view["status"] == "completed"
            for number, secret in enumerate([OTHER, SECRET]):
                body = event("resp_x")
                assert await post(place, body, signed(body, f"wh_{number}", secret=secret)) == 204
            verified(place)


async def test_with_the_endpoint_down_looks_alone_finish_every_job(tmp_path: Path) -> None:
    """It was up, so looks are seldom; it goes down, and every job still ends."""
    at, again = listening(), listening()
    with telling_simulator(at) as simulator:
        async with hooked_place(tmp_path, simulator, at, look_first=0.2) as place:
            ana = await place.caller()
            await finished(place, ana, await submitted(place, ana))
        async with hooked_place(tmp_path, simulator, again, look_first=0.2) as place:
            ana = await place.caller()
            place.service.store.database.write_now(lambda connection: connection.execute(_forget()))
            jobs = [await submitted(place, ana) for _ in range(6)]
            for job in jobs:
                assert (await finished(place, ana, job))["status"] == "completed"
            assert len(rows(place)) == 1
            verified(place)


async def test_a_told_end_teaches_how_long_the_run_took(hooked: Place) -> None:
    """Between two looks a minute apart the middle would be learned; the event says when it was."""
    ana = await hooked.caller()
    script(hooked, {"running_seconds": 1}, times=None)
    view = await finished(hooked, ana, await submitted(hooked, ana))
    (attempt,) = await hooked.service.store.read(lambda tx: tx.attempts(view["id"]))
    row = await hooked.service.store.read(lambda tx: tx.job(view["id"]))
    kind = (row.workspace, row.type, attempt.model, attempt.lane)
    (learned,) = await hooked.service.store.read(lambda tx: tx.durations(*kind))
    told = rows(hooked)[0]["received_at"] - attempt.accepted_at
    assert told <= learned <= attempt.finished_at - attempt.accepted_at


@pytest.mark.parametrize("lost", [False, True])
async def test_a_live_job_is_told_of_its_end_beside_its_stream(hooked: Place, lost: bool) -> None:
    """The stream brings the end; a lost create of a live job is found by its event all the same."""
    ana = await hooked.caller()
    script(hooked, {"text": WORDS, "running_seconds": 1})
    if lost:
        fault(hooked, "lose_create_reply")
    job = await submitted(hooked, ana, live=True)
    view = await seen(hooked, ana, job.id, lambda view: view["status"] == "completed")
    assert [one["state"] for one in view["attempts"]] == ["completed"]
    (told,) = await delivered(hooked, 1)
    assert told["statuses"] == [204]
    await undisturbed(hooked, view)
    assert joined(await events(hooked, ana, job.id)) == WORDS
    assert creates(hooked) == 1
    verified(hooked)
