"""Files that code left in a container: each is copied while it lasts, or has a row that says why it is not."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backlane.core.job import AttemptReason, AttemptState
from backlane.core.schedule import Timings
from backlane.core.storage import Transaction
from backlane.errors import NotReleased
from backlane.service import control, show
from backlane.service.access import Caller
from backlane.service.decide import decide
from backlane.service.forget import forget_runs
from backlane.service.intent import intent
from backlane.service.outputs import add_outputs, store_output
from backlane.service.read import read_job
from backlane.simulator.containers import Container, ContainerFile
from tests.conftest import Place
from tests.story.acting import review_of, waits
from tests.story.acts import events_of, fault, finished, script, seen, submitted, verified
from tests.story.hooking import hooked_place, listening, tell, telling_simulator
from tests.story.test_decisions import answered
from tests.story.test_hosted_tools import TEXT, kept, ran
from tests.story.test_last_words import canceled, looked_late
from tests.story.tool_types import Ledger, tool_app

CITED = {"name": "cited.csv", "text": "a,b\n"}
BESIDE = {"name": "beside.csv", "text": "c,d\n", "cited": False}


def writes(place: Place, *files: dict[str, Any], container: str | None = None, **more: Any) -> None:
    """The next run's code leaves these files."""
    said: dict[str, Any] = {"code": "print(42)", "files": list(files)}
    script(place, {"code_interpreter": said | ({"container_id": container} if container else {}), **more})


def rows_of(found: dict[str, bytes], name: str = "tool_output container-files.json") -> list[dict[str, Any]]:
    """What the evidence says of each file."""
    return json.loads(found[name])["files"]


def told(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Name, whether it is cited, and code of each row."""
    return [(one["name"], one["cited"], one["code"]) for one in rows]


def calls(place: Place, call: str) -> int:
    """How often the provider was asked this."""
    return sum(line["call"] == call for line in place.simulator.world.log)


def kinds_of(view: dict[str, Any]) -> set[str]:
    """The kinds of what the job left."""
    return {row["kind"] for row in view["artifacts"]}


async def losses(place: Place, caller: Caller, job_id: str) -> list[str]:
    """The codes of the events that tell of files that were lost."""
    events = await events_of(place, caller, job_id)
    return [one["data"]["code"] for one in events if one["type"] == "tool.answered"]


async def test_files_beyond_the_fiftieth_are_named_and_told_of(helping: Place) -> None:
    ana = await helping.caller()
    writes(helping, *({"name": f"part-{number}.csv", "text": f"{number}"} for number in range(60)))
    view, found = await ran(helping, ana, "code-interpreter")
    rows = rows_of(found)
    assert len([row for row in view["artifacts"] if row["kind"] == "file"]) == 50
    assert Counter(row["code"] for row in rows) == {None: 50, "too_many_files": 10}
    assert rows[-1]["name"] == "part-59.csv"
    assert await losses(helping, ana, view["id"]) == ["too_many_files"] * 10


async def test_of_very_many_files_the_last_ones_are_counted(helping: Place) -> None:
    ana = await helping.caller()
    writes(helping, *({"name": f"part-{number}.csv", "text": "1"} for number in range(260)))
    view, found = await ran(helping, ana, "code-interpreter")
    rows = rows_of(found)
    assert len(rows) == 201 and rows[-2]["name"] == "part-199.csv"
    assert (rows[-1]["name"], rows[-1]["code"], rows[-1]["files"]) == (None, "too_many_files", 60)
    assert len(await losses(helping, ana, view["id"])) > 100


async def test_a_container_that_lists_more_than_is_read_is_said_to(helping: Place) -> None:
    ana = await helping.caller()
    writes(helping, *({"name": f"part-{number}.csv", "text": "1", "cited": False} for number in range(1001)))
    _, found = await ran(helping, ana, "code-interpreter")
    unread = [row for row in rows_of(found) if row["name"] is None and row["container_id"] is not None]
    assert [row["code"] for row in unread] == ["too_many_files"]


async def test_what_the_code_wrote_is_copied_without_being_cited_and_what_was_given_is_not(
    helping: Place,
) -> None:
    ana, world = await helping.caller(), helping.simulator.world
    given = ContainerFile("cfile_given", "/mnt/data/given.csv", b"given", "user")
    former = ContainerFile("cfile_former", "/mnt/data/former.csv", b"former", "assistant")
    world.containers.start(Container("cntr_reused", files=[given, former]), 0, world.now())
    writes(helping, CITED, {**BESIDE, "name": "../../beside.csv"}, container="cntr_reused")
    view, found = await ran(helping, ana, "code-interpreter")
    assert (found["file cited.csv"], found["file beside.csv"]) == (b"a,b\n", b"c,d\n")
    # The former file is another run's.
    assert told(rows_of(found)) == [("cited.csv", True, None), ("beside.csv", False, None)]
    assert len([row for row in view["artifacts"] if row["kind"] == "file"]) == 2
    assert (calls(helping, "container_files"), calls(helping, "container_content")) == (1, 2)


@pytest.mark.parametrize(
    "status, times, code",
    [(404, 1, "container_gone"), (403, 1, "not_listed"), (500, 3, "not_listed"), (500, 2, None)],
)
async def test_where_a_container_cannot_be_listed_cited_files_are_copied_and_a_row_says_so(
    helping: Place, status: int, times: int, code: str | None
) -> None:
    ana = await helping.caller()
    writes(helping, CITED, BESIDE)
    fault(helping, "status", status=status, call="container_files", times=times)
    view, found = await ran(helping, ana, "code-interpreter")
    rows, lost = rows_of(found), [] if code is None else [code]
    assert found["file cited.csv"] == b"a,b\n"
    assert told(rows[1:]) == [(None, False, code) if lost else ("beside.csv", False, None)]
    assert rows[1]["container_id"] == rows[0]["container_id"]
    assert await losses(helping, ana, view["id"]) == lost


async def test_a_container_that_the_request_names_may_hold_others_files(helping: Place) -> None:
    ana, world = await helping.caller(), helping.simulator.world
    other = ContainerFile("cfile_other", "/mnt/data/canary.csv", b"canary", "assistant")
    world.containers.start(Container("cntr_shared", files=[other]), world.now() + 3600, world.now())
    world.containers.get("cntr_shared", world.now() + 3600).created_at = 0
    writes(helping, CITED, BESIDE, container="cntr_shared")
    _, found = await ran(helping, ana, "code-shared")
    assert told(rows_of(found)) == [("cited.csv", True, None), (None, False, "container_shared")]
    assert calls(helping, "container_files") == 0


async def test_a_run_without_code_asks_no_container(helping: Place) -> None:
    _, found = await ran(helping, await helping.caller(), "web-search")
    assert "tool_output container-files.json" not in found
    assert (calls(helping, "container_files"), calls(helping, "container_content")) == (0, 0)


@pytest.mark.parametrize(
    "then, code",
    [
        ({"status": "incomplete"}, "incomplete"),
        ({"refusal": "No."}, "refusal"),
    ],
)
async def test_a_run_that_ends_unhappily_leaves_its_files(
    helping: Place, then: dict[str, Any], code: str
) -> None:
    ana = await helping.caller()
    writes(helping, CITED, {**BESIDE, "name": "lost.csv"}, **then)
    fault(helping, "container_expired", call="container_content", match={"nth": 2})
    view = await finished(helping, ana, await submitted(helping, ana, "code-interpreter", text=TEXT))
    assert (view["status"], view["failure"]["code"]) == ("failed", code)
    found = await kept(helping, ana, view)
    assert json.loads(found["tool_output code-interpreter.json"])["items"]
    assert found["file cited.csv"] == b"a,b\n"
    assert [(one["name"], one["code"]) for one in rows_of(found)] == [
        ("cited.csv", None),
        ("lost.csv", "container_gone"),
    ]
    assert await losses(helping, ana, view["id"]) == ["container_gone"]
    verified(helping)


async def test_a_canceled_job_keeps_the_files_of_a_run_that_ends_halfway(helping: Place) -> None:
    ana = await helping.caller()
    writes(helping, CITED, BESIDE, status="incomplete", running_seconds=0.4)
    fault(helping, "cancel_409", times=None)
    view = await canceled(helping, ana, "code-interpreter")
    assert view["status"] == "canceled"
    found = await kept(helping, ana, view)
    assert (found["file cited.csv"], found["file beside.csv"]) == (b"a,b\n", b"c,d\n")
    assert {row["code"] for row in rows_of(found)} == {None}
    verified(helping)


async def test_the_files_of_gated_work_that_failed_stay_closed(helping: Place) -> None:
    ana = await helping.caller()
    writes(helping, {"name": "canary.csv", "text": "canary"}, status="incomplete")
    job = await submitted(helping, ana, "code-interpreter", text=TEXT, sensitive=True)
    view = await finished(helping, ana, job)
    assert view["status"] == "failed"
    rows = [row for row in view["artifacts"] if row["kind"] in ("file", "tool_output")]
    assert len(rows) == 3 and "canary" not in json.dumps([view, await events_of(helping, ana, job.id)])
    for row in rows:
        with pytest.raises(NotReleased):
            await show.read_content(helping.service.ports, ana, row["id"], None)
    verified(helping)


async def test_what_a_draft_left_that_was_sent_back_is_not_copied_with_the_next_one(helping: Place) -> None:
    ana, rita = await helping.caller(), await helping.caller("rita", "reviewer")
    writes(helping, {**BESIDE, "name": "first.csv"}, container="cntr_turns")
    job = await submitted(helping, ana, "code-interpreter", text=TEXT, sensitive=True)
    review = await review_of(helping, await waits(helping, ana, job, "sensitive"))
    writes(helping, {**BESIDE, "name": "second.csv"}, container="cntr_turns")
    sent_back = answered(review, "request_changes", notes="Shorter, please.")
    await decide(helping.service.ports, rita, review["id"], sent_back)
    await seen(helping, rita, job.id, lambda view: len(view["attempts"]) == 2)
    review = await review_of(helping, await waits(helping, ana, job, "sensitive"))
    await decide(helping.service.ports, rita, review["id"], answered(review))
    view = await finished(helping, ana, job)
    assert view["status"] == "completed"
    names = [row["name"] for row in (await read_job(helping.service.ports, rita, job.id))["artifacts"]]
    assert (names.count("first.csv"), names.count("second.csv")) == (1, 1)
    [first] = [row for row in view["artifacts"] if row["kind"] == "file" and row["sent_back"]]
    with pytest.raises(NotReleased):
        await show.read_content(helping.service.ports, ana, first["id"], None)
    verified(helping)


@pytest.mark.parametrize("gated", [False, True])
async def test_a_run_that_completes_after_its_cancel_leaves_its_files_closed_as_its_text_is(
    helping: Place, gated: bool
) -> None:
    timings: Timings = replace(helping.service.ports.timings, late_look=300)
    object.__setattr__(helping.service.ports, "timings", timings)
    ana, olga = await helping.caller(), await helping.caller("olga", "operator")
    writes(helping, CITED, BESIDE, text="late words", running_seconds=0.4)
    fault(helping, "complete_after_cancel", seconds=0.1)
    view = await canceled(helping, ana, "code-interpreter", sensitive=gated)
    await looked_late(helping, ana, view["id"])
    view = await seen(helping, olga, view["id"], lambda view: bool(view["artifacts"]))
    found = await kept(helping, olga, view)
    assert {name.partition(" ")[0] for name in found} == {"late"}
    assert (found["late cited.csv"], found["late beside.csv"]) == (b"a,b\n", b"c,d\n")
    assert told(rows_of(found, "late late-container-files.json")) == [
        ("cited.csv", True, None),
        ("beside.csv", False, None),
    ]
    shown = await read_job(helping.service.ports, ana, view["id"])
    told_ana = json.dumps([shown, await events_of(helping, ana, view["id"])])
    assert ("beside.csv" in told_ana) is not gated
    for row in view["artifacts"] if gated else ():
        with pytest.raises(NotReleased):
            await show.read_content(helping.service.ports, ana, row["id"], None)
    verified(helping)


async def test_a_second_purchase_that_is_found_leaves_its_files_late(tmp_path: Path, ledger: Ledger) -> None:
    at, nowhere = listening(), listening()
    with telling_simulator(nowhere) as simulator:
        async with hooked_place(tmp_path, simulator, at, types=tool_app(ledger), look_first=0.1) as place:
            ana, olga = await place.caller(), await place.caller("olga", "operator")
            writes(place, CITED, BESIDE, text="first words")
            writes(place, {**CITED, "name": "second.csv"})
            fault(place, "lose_create_reply")
            job = await submitted(place, ana, "code-interpreter", text=TEXT)
            await waits(place, ana, job, "submission_unknown")
            await control.resolve(place.service.ports, olga, job.id, "run_again")
            assert (await finished(place, ana, job))["status"] == "completed"
            lost = next(line["response_id"] for line in simulator.world.log if line["call"] == "create")
            await tell(place, lost)
            view = await seen(place, ana, job.id, lambda view: "late" in kinds_of(view))
            found = await kept(place, ana, view)
            assert (found["late cited.csv"], found["late beside.csv"]) == (b"a,b\n", b"c,d\n")
            assert "file second.csv" in found
            verified(place)


async def test_a_canceled_run_that_left_something_is_not_deleted_before_its_last_word(place: Place) -> None:
    ports = replace(place.service.ports, delete_at_provider=True)
    ana, now = await place.caller(), place.service.ports.clock.now()
    job = await submitted(place, ana)
    left = [await store_output(ports, "late", "cited.csv", "text/csv", b"a,b")]
    planned = intent(ports, job, 1, AttemptReason.FIRST, now)
    run = replace(planned, state=AttemptState.CANCELED, provider_response_id="resp_1", look_at=now + 1)

    def write(tx: Transaction) -> None:
        tx.insert_attempt(run)
        add_outputs(tx, ports, job, left, attempt_id=run.id, now=now)

    await ports.store.write(write)
    await forget_runs(ports, job.id)
    assert place.simulator.world.stats()["deletes"] == 0
    await ports.store.write(lambda tx: tx.move_attempt(run.id, [AttemptState.CANCELED], look_at=None))
    await forget_runs(ports, job.id)
    assert calls(place, "delete") == 1
