"""Followers see every event once and in order, whoever commits it, however often they come back; one look for all."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import permutations
from typing import Any

import httpx2
import pytest

from backlane.api.channels import Channel, Followers
from backlane.api.follow import stream_events
from backlane.core.event import Event
from backlane.core.job import Job
from backlane.core.ports import Due
from backlane.service.access import Caller
from backlane.service.ports import Ports
from backlane.service.submit import Submission, submit
from backlane.store.transaction import SqlStore
from tests.conftest import Place
from tests.story.acts import creates, fault, finished, script, submitted, verified
from tests.story.live_acts import RUN, events, joined


def told_of(raw: bytes | str) -> list[dict[str, Any]]:
    """The events in a piece of an event stream."""
    text = raw.decode() if isinstance(raw, bytes) else raw
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


async def follow(followers: Followers, ports: Ports, caller: Any, job_id: str, after: int = 0) -> list[Any]:
    """All events of a job, as one follower sees them."""
    found: list[Any] = []
    async for chunk in stream_events(ports, followers, caller, job_id, after, header=""):
        found += told_of(chunk)
    return found


async def test_two_followers_of_a_troubled_live_job_see_each_event_once_and_the_same_text(
    working: Place,
) -> None:
    ana = await working.caller()
    followers = Followers(working.service.ports)
    working.service.store.on_commit = followers.tell
    script(working, {**RUN, "running_seconds": 1.5})
    for after in (5, 9, 12):
        fault(working, "drop_stream", after=after)
    job = await submitted(working, ana, "plain", live=True)
    both = await asyncio.gather(*(follow(followers, working.service.ports, ana, job.id) for _ in range(2)))
    assert (await finished(working, ana, job))["status"] == "completed"
    stored = await events(working, ana, job.id)
    for seen in both:
        assert seen == stored[: len(seen)]
        assert joined(seen) == RUN["text"]
        assert seen[-1]["type"] == "job.completed"
    assert creates(working) == 1
    verified(working)


async def test_a_follower_who_comes_back_gets_exactly_what_it_missed(working: Place) -> None:
    """Over HTTP, hanging up after every piece."""
    key = await working.key()
    script(working, {**RUN, "running_seconds": 1.5})
    app = working.app()
    ana = await working.caller()
    job = await submitted(working, ana, "plain", live=True)
    seen: list[dict[str, Any]] = []
    ports = working.service.ports
    followers: Followers = app.state.context.followers
    while not seen or seen[-1]["type"] != "job.completed":
        stream = stream_events(ports, followers, ana, job.id, seen[-1]["seq"] if seen else 0, header="")
        async with contextlib.aclosing(stream):
            async for chunk in stream:
                if told_of(chunk):
                    seen += told_of(chunk)
                    break
    assert [one["seq"] for one in seen] == list(range(1, len(seen) + 1))
    assert joined(seen) == RUN["text"]
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream", "Last-Event-ID": "7"}
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        rest = told_of((await http.get(f"/v1/jobs/{job.id}/events")).text)
    assert rest == seen[7:]


class Replica:
    """One process over a store, without a worker: it follows and commits."""

    def __init__(self, store: SqlStore, place: Place) -> None:
        given = place.service.ports
        self.store = SqlStore(store.database, place.service.ports.ids)  # pyright: ignore
        self.ports = Ports(
            store=self.store, artifacts=given.artifacts, provider=given.provider, types=given.types,
            clock=given.clock, ids=given.ids, chance=given.chance, price=given.price, worker=given.worker,
            accounts=given.accounts,
        )  # fmt: skip
        self.followers = Followers(self.ports, look_every=0.05)
        self.store.on_commit = self.followers.tell
        self.reads = 0
        read = self.store.read

        async def counted(body: Any) -> Any:
            self.reads += 1
            return await read(body)

        self.store.read = counted  # pyright: ignore


@pytest.fixture
async def replicas(store: SqlStore, place: Place) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two processes over one database."""
    yield Replica(store, place), Replica(store, place)


async def a_followed_job(place: Place, replica: Replica) -> tuple[Any, Job]:
    from backlane.service.make_key import make_key

    ports = replica.ports
    await replica.store.write(
        lambda tx: make_key(tx, ports, b"k" * 23, role="submitter", workspace="main", name="ana")
    )
    workspace = (await replica.store.read(lambda tx: tx.workspaces()))[0]
    caller = Caller(workspace["id"], "main", "ana", "person", "submitter", "key_1")
    job, _ = await submit(
        ports, caller, Submission(type="plain", inputs={"text": "x"}), key=None, body_hash=""
    )
    return caller, job


async def test_a_follower_of_another_process_misses_nothing_and_many_cost_one_look(
    replicas: tuple[Replica, Replica], place: Place
) -> None:
    here, there = replicas
    caller, job = await a_followed_job(place, there)
    many = [asyncio.create_task(follow(here.followers, here.ports, caller, job.id)) for _ in range(50)]

    async def settle() -> None:
        await asyncio.sleep(0.3)

    await settle()
    here.reads = 0
    for n in range(5):
        event = Event("output.delta", n, "provider", {"text": f"{n} "})
        await there.store.write(lambda tx, event=event: tx.keep_events(job.id, [event]))
        await settle()
    looks = here.reads
    from backlane.service.control import cancel

    await cancel(there.ports, caller, job.id, None)
    seen = await asyncio.gather(*many)
    for one in seen:
        assert [event["seq"] for event in one] == list(range(1, len(one) + 1))
        assert joined(one) == "0 1 2 3 4 "
        assert one[-1]["type"] == "job.canceled"
    # Five pieces for fifty followers: each follower asking for itself would be hundreds.
    assert looks < 200


async def test_a_committed_piece_is_told_at_once_in_the_process_that_committed_it(
    replicas: tuple[Replica, Replica], place: Place
) -> None:
    here, _ = replicas
    here.followers = Followers(here.ports, look_every=3600)
    here.store.on_commit = here.followers.tell
    caller, job = await a_followed_job(place, here)
    stream = stream_events(here.ports, here.followers, caller, job.id, 0, header="")
    first = await anext(stream)
    assert [event["type"] for event in told_of(first)] == ["job.submitted", "lane.chosen"]
    waiting = asyncio.ensure_future(anext(stream))
    event = Event("output.delta", 1, "provider", {"text": "now"})
    await here.store.write(lambda tx: tx.keep_events(job.id, [event]))
    assert told_of(await asyncio.wait_for(waiting, 30))[0]["data"] == {"text": "now"}
    # More than a page in one commit: the rest is read without another word.
    many = [Event("output.delta", 1, "provider", {"text": str(n)}) for n in range(450)]
    await here.store.write(lambda tx: tx.keep_events(job.id, many))
    seen: list[str] = []
    while len(seen) < len(many):
        seen += [one["data"]["text"] for one in told_of(await asyncio.wait_for(anext(stream), 30))]
    assert seen == [str(n) for n in range(450)]
    await stream.aclose()


async def test_a_lease_that_listens_is_renewed_and_blames_nobody(store: SqlStore, place: Place) -> None:
    replica = Replica(store, place)
    _, job = await a_followed_job(place, replica)
    claimed = await store.write(lambda tx: tx.claim([job.id], 2**42, 2**42 + 10))
    assert await store.write(lambda tx: tx.listen(claimed[0], 2**42 + 20))
    assert not await store.write(lambda tx: tx.listen(Due(job.id, 99), 2**42 + 30))
    found = await store.read(lambda tx: tx.due(2**42 + 20, 5))
    assert [suspect for _, suspect in found] == [False]
    await store.write(lambda tx: tx.claim([job.id], 2**42 + 20, 2**42 + 40))
    again = await store.read(lambda tx: tx.job(job.id))
    assert again is not None
    assert (again.leases_lost, again.lease_state) == (0, "held")


async def test_streamed_text_is_what_came_since_it_was_voided(store: SqlStore, place: Place) -> None:
    replica = Replica(store, place)
    _, job = await a_followed_job(place, replica)
    told = [("output.delta", "a"), ("output.delta", "b"), ("output.reset", ""), ("output.delta", "c")]
    for kind, text in told:
        event = Event(kind, 1, "provider", {"text": text})
        await store.write(lambda tx, event=event: tx.keep_events(job.id, [event]))
    assert await store.read(lambda tx: tx.streamed(job.id)) == "c"
    assert await store.read(lambda tx: tx.newest_seqs([job.id, "job_nobody"])) == {job.id: 6}


def a_row(seq: int, text: str = "x") -> dict[str, Any]:
    return {
        "id": f"evt_{seq}", "seq": seq, "feed_seq": None, "job_id": "job_1", "type": "output.delta", "at": 1,
        "actor": "provider", "data": json.dumps({"text": text}),
    }  # fmt: skip


async def test_a_channel_keeps_little_and_sends_who_is_far_behind_to_the_database(place: Place) -> None:
    from tests.values import a_job

    ana, channel = await place.caller(), Channel()
    assert channel.after(0, ana) is None
    channel.open(10)
    channel.add(a_job(), [a_row(seq, "y" * 4_000) for seq in range(11, 111)])
    assert channel.after(9, ana) is None
    assert channel.after(11, ana) is None, "the oldest were dropped"
    found = channel.after(108, ana)
    assert found is not None
    assert (found[1], [one["seq"] for one in told_of(found[0])]) == (110, [109, 110])
    assert channel.after(110, ana) == (b"", 110)
    assert not channel.is_over(110)
    channel.add(a_job(finished_at=5), [])
    assert channel.is_over(110)
    assert not channel.is_over(109)


def sides(job: Job, *callers: Caller) -> list[list[Any]]:
    """What each of these callers, in this order, is told of a job's two events by one channel."""
    channel = Channel()
    channel.open(0)
    channel.add(job, [a_row(1, "a canary"), a_row(2, "a second canary")])
    found = [channel.after(0, who) for who in callers]
    return [[one["data"].get("text") for one in told_of(side[0])] for side in found if side]


CLOSED, FIRST_CLOSED, OPEN = [None, None], [None, "a second canary"], ["a canary", "a second canary"]
GATES = [
    ({"gate": "output"}, CLOSED, OPEN, CLOSED),
    ({"gate": "none"}, OPEN, OPEN, CLOSED),
    # What a draft left that was sent back stays closed to its requester, whatever becomes of the gate.
    ({"gate": "none", "sent_back_seq": 1}, FIRST_CLOSED, OPEN, CLOSED),
    ({"gate": "none", "sent_back_seq": 2, "closed_from": 2}, ["a canary", None], OPEN, CLOSED),
    ({"gate": "output", "sent_back_seq": 1, "closed_from": 2}, ["a canary", None], OPEN, CLOSED),
    ({"gate": "output", "sent_back_seq": 1, "released": "edited"}, CLOSED, OPEN, CLOSED),
]


@pytest.mark.parametrize(("given", "requester", "reviewer", "support"), GATES)
async def test_a_channel_shows_each_follower_its_own_side_of_the_gate(
    place: Place, given: dict[str, Any], requester: list[Any], reviewer: list[Any], support: list[Any]
) -> None:
    from backlane.core.job import Gate
    from tests.values import a_job

    job = a_job(**{**given, "gate": Gate(given["gate"])})
    ana, rita = await place.caller(), await place.caller("rita", "reviewer")
    sam = await place.caller("sam", "support")
    wanted = [(ana, requester), (rita, reviewer), (sam, support), (replace(sam, reason="a ticket"), reviewer)]
    # Whoever asks first: what one is told is never what another may not see.
    for order in permutations(wanted):
        assert sides(job, *(who for who, _ in order)) == [seen for _, seen in order]
