"""Files in, as the people around them live it: sent once, read by the model, gone from the provider afterwards."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backlane.errors import InvalidRequest, NotFound
from backlane.service import control, show
from backlane.service.read import read_job
from backlane.service.submit import Submission, submit
from backlane.simulator.server import Running
from tests.conftest import Place
from tests.simulator.made_files import png
from tests.story.acts import contents, creates, ended, fault, finished, script, seen, submitted, verified
from tests.story.filed import PDF, WORDS, alive, asked, calls, copies, filed_place, sent_in, tidied

CSV = b"gate,colour\nThe gate at the mill is blue and the gate at the river is green.,green\n"
PICTURE = png(60, 30, "A board beside the gate says that it closes at nine in the evening.")


@pytest.fixture
async def near(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A worker that sends small files inside the request."""
    async for place in filed_place(tmp_path, simulator):
        await place.service.start_worker()
        yield place


@pytest.fixture
async def idle(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """No worker yet; every file is to be uploaded to the provider."""
    async for place in filed_place(tmp_path, simulator, file_inline_at_most=0):
        yield place


@pytest.fixture
async def far(idle: Place) -> Place:
    """A worker that uploads every file."""
    await idle.service.start_worker()
    return idle


async def test_a_pdf_a_table_and_a_picture_are_read_by_the_model_inside_the_request(near: Place) -> None:
    ana = await near.caller()
    files = [
        await sent_in(near, ana, PDF),
        await sent_in(near, ana, CSV, "gates.csv"),
        await sent_in(near, ana, PICTURE, "board.png"),
    ]
    job = await asked(near, ana, *files)
    view = await finished(near, ana, job)
    assert view["status"] == "completed", view["failure"]
    said = (await contents(near, ana, {**view, "artifacts": view["artifacts"][3:]}))["result"]
    assert WORDS in said
    line = calls(near, "create")[0]
    assert [(one["how"], one["media_type"]) for one in line["files"]] == [
        ("inline", "application/pdf"),
        ("inline", "text/plain"),
        ("inline", "image/png"),
    ]
    assert [one["filename"] for one in line["files"]] == ["gate.pdf", "gates.csv", None]
    assert calls(near, "file_upload") == []
    verified(near)


async def test_what_is_uploaded_is_quoted_and_is_gone_after_the_job(far: Place) -> None:
    ana = await far.caller()
    job = await asked(far, ana, await sent_in(far, ana, PDF), type_name="digested")
    view = await finished(far, ana, job)
    assert view["status"] == "completed", view["failure"]
    assert WORDS[:30] in (await contents(far, ana, {**view, "artifacts": view["artifacts"][1:]}))["result"]
    upload, create = calls(far, "file_upload")[0], calls(far, "create")[0]
    assert (upload["purpose"], upload["n"] < create["n"]) == ("user_data", True)
    assert create["files"][0]["how"] == "file_id"
    assert create["files"][0]["sha256"] == view["artifacts"][0]["sha256"]
    stored = next(iter(far.simulator.world.files))
    assert stored.expires_at is not None
    assert stored.expires_at - stored.created_at == 7 * 86_400
    await tidied(far)
    assert (alive(far), copies(far)) == (0, [("deleted", None)])
    verified(far)


async def test_a_picture_is_shown_to_the_model_inline_or_by_its_id(near: Place) -> None:
    ana = await near.caller()
    picture = await sent_in(near, ana, PICTURE, "board.png")
    shown = await finished(near, ana, await asked(near, ana, picture=picture))
    own = await finished(near, ana, await asked(near, ana, type_name="own-items", picture=picture))
    assert (shown["status"], own["status"]) == ("completed", "completed")
    parts = [run.body["input"][0]["content"][-1] for run in near.simulator.world.runs.values()]
    assert [(part["type"], part["detail"]) for part in parts] == [
        ("input_image", "auto"),
        ("input_image", "low"),
    ]
    assert all("file_id" not in part and part["image_url"].startswith("data:image/png") for part in parts)


async def test_small_files_go_inside_until_together_they_are_too_much(
    tmp_path: Path, simulator: Running
) -> None:
    async for place in filed_place(tmp_path, simulator, files_inline_at_most=3_000):
        await place.service.start_worker()
        ana = await place.caller()
        files = [await sent_in(place, ana, WORDS.encode() * n, f"{n}.txt") for n in (20, 30, 21)]
        view = await finished(place, ana, await asked(place, ana, *files))
        assert view["status"] == "completed", view["failure"]
        assert [one["how"] for one in calls(place, "create")[0]["files"]] == ["inline", "file_id", "inline"]
        await tidied(place)
        assert alive(place) == 0
        verified(place)


async def test_two_jobs_of_one_content_wait_for_one_upload(idle: Place) -> None:
    ana, sam = await idle.caller(), await idle.caller("sam")
    fault(idle, "slow", call="file_upload", seconds=0.4)
    jobs = [await asked(idle, ana, await sent_in(idle, ana, PDF)) for _ in range(3)]
    other = await asked(idle, sam, await sent_in(idle, sam, PDF, "another name.pdf"))
    await idle.service.start_worker()
    waited = await seen(idle, ana, jobs[0].id, lambda view: view["attempts"] != [])
    assert waited["status"] == "queued"
    views = [await finished(idle, ana, job) for job in jobs] + [await finished(idle, sam, other)]
    assert {view["status"] for view in views} == {"completed"}
    assert len(calls(idle, "file_upload")) == 1
    assert {line["files"][0]["how"] for line in calls(idle, "create")} == {"file_id"}
    await tidied(idle)
    assert alive(idle) == 0
    verified(idle)


async def test_a_copy_stays_as_long_as_an_open_job_uses_its_content(far: Place) -> None:
    ana = await far.caller()
    script(far, {"running_seconds": 400}, input_contains="takes long")
    long = await asked(far, ana, await sent_in(far, ana, PDF), text="This takes long.")
    await seen(far, ana, long.id, lambda view: view["phase"] == "model")
    short = await asked(far, ana, await sent_in(far, ana, PDF))
    assert (await finished(far, ana, short))["status"] == "completed"
    await tidied(far)
    assert (alive(far), len(calls(far, "file_upload"))) == (1, 1)
    await control.cancel(far.service.ports, ana, long.id, None)
    await seen(far, ana, long.id, ended)
    await tidied(far)
    assert alive(far) == 0
    verified(far)


@pytest.mark.parametrize("accept", [True, False])
async def test_an_upload_whose_reply_is_lost_is_found_or_made_anew(far: Place, accept: bool) -> None:
    ana = await far.caller()
    fault(far, "lose_reply", call="file_upload", accept=accept)
    view = await finished(far, ana, await asked(far, ana, await sent_in(far, ana, PDF)))
    assert view["status"] == "completed", view["failure"]
    await tidied(far)
    assert len(calls(far, "file_list")) >= 1
    assert alive(far) == 0
    stored = far.simulator.world.stats()["files"]["uploads"]
    if accept:
        assert (stored, copies(far)) == (1, [("deleted", "connection_lost")])
    else:
        assert (stored, copies(far)) == (1, [("deleted", "never_found"), ("deleted", None)])
    verified(far)


@pytest.mark.parametrize(
    "name", [{"fault": "rate_limit"}, {"fault": "overloaded"}, {"fault": "status", "status": 500}]
)
async def test_a_provider_that_takes_no_file_now_is_waited_for(far: Place, name: dict[str, object]) -> None:
    ana = await far.caller()
    fault(far, str(name["fault"]), call="file_upload", **{k: v for k, v in name.items() if k != "fault"})
    view = await finished(far, ana, await asked(far, ana, await sent_in(far, ana, PDF)))
    assert view["status"] == "completed", view["failure"]
    assert [one["reason"] for one in view["attempts"]] == ["first"]
    await tidied(far)
    assert alive(far) == 0
    verified(far)


async def test_where_a_picture_is_asked_for_another_file_is_refused_and_nothing_is_stored(
    near: Place,
) -> None:
    ana, bob = await near.caller(), await near.caller("bob")
    board = await sent_in(near, ana, PICTURE, "board.png")
    table = await sent_in(near, ana, CSV, "gates.csv")
    foreign = await sent_in(near, bob, CSV, "gates.csv")
    with pytest.raises(InvalidRequest) as refused:
        given = {"boards": [board, table, foreign], "cover": table}
        await asked(near, ana, type_name="boards", **given)
    wrong = "must be a picture (PNG, JPEG, GIF or WebP), this file is text/csv"
    assert [(one["pointer"], one["detail"]) for one in refused.value.errors] == [
        ("/inputs/boards/1", wrong),
        ("/inputs/boards/2", "names no file of yours; upload it first with POST /v1/files"),
        ("/inputs/cover", wrong),
    ]
    job = await asked(near, ana, type_name="boards", boards=[board], cover=board)
    assert (await finished(near, ana, job))["status"] == "completed"
    assert [one["media_type"] for one in calls(near, "create")[0]["files"]] == ["image/png"] * 2
    with pytest.raises(InvalidRequest) as refused:
        await control.retry(near.service.ports, ana, job.id, inputs={"cover": table})
    assert refused.value.errors == [{"pointer": "/inputs/cover", "detail": wrong}]
    assert creates(near) == 1
    verified(near)


async def test_a_file_the_provider_refuses_fails_the_job_as_its_inputs_fault(far: Place) -> None:
    ana = await far.caller()
    fault(far, "status", call="file_upload", status=400, message="That file is not wanted.")
    view = await finished(far, ana, await asked(far, ana, await sent_in(far, ana, PDF)))
    assert (view["status"], view["failure"]["cause"], view["failure"]["code"]) == (
        "failed",
        "input",
        "file_refused",
    )
    assert "not wanted" in view["failure"]["message"]
    assert (creates(far), copies(far)) == (0, [("refused", "request_refused")])
    verified(far)


async def test_a_key_that_may_not_upload_holds_the_jobs_with_one_alert(far: Place) -> None:
    ana = await far.caller()
    fault(far, "status", call="file_upload", status=403, code="no_files")
    job = await asked(far, ana, await sent_in(far, ana, PDF))
    view = await seen(far, ana, job.id, lambda view: view["phase"] == "incident")
    assert view["status"] == "queued"
    incidents = await far.service.store.read(lambda tx: tx.incidents())
    assert [one["code"] for one in incidents] == ["no_files"]
    await control.cancel(far.service.ports, ana, job.id, None)
    verified(far)


async def test_a_file_that_vanished_at_the_provider_is_uploaded_anew(idle: Place) -> None:
    ana = await idle.caller()
    fault(idle, "rate_limit", retry_after="1")
    job = await asked(idle, ana, await sent_in(idle, ana, PDF))
    await idle.service.start_worker()
    await seen(idle, ana, job.id, lambda view: view["phase"] == "retry")
    for file in idle.simulator.world.files:
        file.deleted = True
    view = await finished(idle, ana, job)
    assert view["status"] == "completed", view["failure"]
    assert [(one["state"], one["code"]) for one in view["attempts"]] == [
        ("refused", "rate_limit_exceeded"),
        ("refused", "file_gone"),
        ("completed", None),
    ]
    assert len(calls(idle, "file_upload")) == 2
    await tidied(idle)
    assert (alive(idle), [state for state, _ in copies(idle)]) == (0, ["deleted", "deleted"])
    verified(idle)


async def test_a_file_that_vanishes_each_time_ends_the_job(far: Place) -> None:
    ana = await far.caller()
    for _ in range(4):
        fault(far, "status", status=400, code="file_not_found", message="The file was not found.")
    view = await finished(far, ana, await asked(far, ana, await sent_in(far, ana, PDF)))
    assert (view["status"], view["failure"]["code"]) == ("failed", "file_gone")
    assert (creates(far), len(far.simulator.world.runs)) == (4, 0)
    await tidied(far)
    assert alive(far) == 0
    verified(far)


async def test_a_file_is_uploaded_for_longer_than_its_job_is_useful(far: Place) -> None:
    ana = await far.caller()
    day = 86_400_000
    until = far.service.ports.clock.now() + 20 * day
    given = {"attachments": [await sent_in(far, ana, PDF)]}
    submission = Submission(type="papers", inputs=given, useful_until=until)
    short = await asked(far, ana, given["attachments"][0])
    await finished(far, ana, short)
    job, _ = await submit(far.service.ports, ana, submission, key=None, body_hash="")
    assert (await finished(far, ana, job))["status"] == "completed"
    newest = list(far.simulator.world.files)[-1]
    assert newest.expires_at is not None
    assert newest.expires_at * 1000 >= until
    await tidied(far)
    assert alive(far) == 0
    verified(far)


async def test_deletes_that_fail_are_asked_for_again_and_404_is_deleted(far: Place) -> None:
    ana = await far.caller()
    fault(far, "status", call="file_delete", status=503)
    fault(far, "lose_reply", call="file_delete")
    view = await finished(far, ana, await asked(far, ana, await sent_in(far, ana, PDF)))
    assert view["status"] == "completed"
    async with asyncio.timeout(20):
        while copies(far) != [("deleted", None)]:
            await tidied(far)
            await asyncio.sleep(0.05)
    assert len(calls(far, "file_delete")) == 3
    assert alive(far) == 0
    verified(far)


async def test_files_of_others_cannot_be_used_and_are_not_told_apart_from_none(near: Place) -> None:
    ana, sam = await near.caller(), await near.caller("sam")
    eve = await near.caller("eve", "admin", "another")
    mine = await sent_in(near, ana, PDF)
    told: list[list[dict[str, str]]] = []
    for caller, file in ((sam, mine), (sam, "art_" + "0" * 26), (eve, mine)):
        with pytest.raises(InvalidRequest) as refused:
            await asked(near, caller, file)
        told.append(refused.value.errors)
    assert told[0] == told[1] == told[2]
    assert told[0][0]["pointer"] == "/inputs/attachments/0"
    olga = await near.caller("olga", "operator")
    assert (await finished(near, olga, await asked(near, olga, mine)))["status"] == "completed"
    rows = near.service.store.database.read_now(
        lambda connection: connection.exec_driver_sql("SELECT count(*) FROM jobs").scalar()
    )
    assert rows == 1
    verified(near)


async def test_a_type_that_names_a_file_its_job_was_not_given_fails_plainly(near: Place) -> None:
    ana = await near.caller()
    other = await sent_in(near, await near.caller("sam"), PDF)
    view = await finished(near, ana, await asked(near, ana, type_name="stranger", text=other))
    assert (view["status"], view["failure"]["code"]) == ("failed", "file_missing")
    assert creates(near) == 0


async def test_a_jobs_files_are_among_its_artifacts_and_go_with_a_retry(near: Place) -> None:
    ana, sam = await near.caller(), await near.caller("sam")
    olga = await near.caller("olga", "operator")
    file = await sent_in(near, ana, PDF)
    fault(near, "failed", code="invalid_prompt")
    first = await finished(near, ana, await asked(near, ana, file))
    assert first["status"] == "failed"
    kept = [(row["id"], row["kind"], row["job"]) for row in first["artifacts"] if row["kind"] == "input"]
    assert kept == [(file, "input", first["id"])]
    again, _ = await control.retry(near.service.ports, olga, first["id"])
    view = await finished(near, ana, again)
    assert view["status"] == "completed"
    assert [row["id"] for row in view["artifacts"] if row["kind"] == "input"] == [file]
    listed = await show.list_artifacts(near.service.ports, ana, again.id)
    assert [row["kind"] for row in listed] == ["input", "result", "citations"]
    assert (await show.read_content(near.service.ports, ana, file, None)).content == PDF
    with pytest.raises(NotFound):
        await show.read_content(near.service.ports, sam, file, None)


async def test_a_retry_may_use_what_its_job_was_given_whatever_the_role_is_by_now(near: Place) -> None:
    ana, olga = await near.caller(), await near.caller("olga", "operator")
    fault(near, "failed", code="invalid_prompt")
    first = await finished(near, olga, await asked(near, olga, await sent_in(near, ana, PDF)))
    demoted = await near.caller("olga", "submitter")
    again, _ = await control.retry(near.service.ports, demoted, first["id"])
    view = await finished(near, demoted, again)
    assert view["status"] == "completed", view["failure"]
    with pytest.raises(InvalidRequest):
        await asked(near, demoted, *[row["id"] for row in view["artifacts"] if row["kind"] == "input"])


async def test_a_file_the_provider_cannot_read_is_the_inputs_fault(near: Place) -> None:
    ana = await near.caller()
    fault(near, "status", status=400, code="invalid_file", message="The file cannot be read.")
    view = await finished(near, ana, await asked(near, ana, await sent_in(near, ana, PDF)))
    assert (view["status"], view["failure"]["cause"]) == ("failed", "input")


async def test_jobs_without_files_do_nothing_about_them(near: Place) -> None:
    ana = await near.caller()
    assert (await finished(near, ana, await submitted(near, ana)))["status"] == "completed"
    view = await finished(near, ana, await asked(near, ana))
    assert view["status"] == "completed"
    assert calls(near, "file_upload", "file_list", "file_delete") == []
    assert [row["kind"] for row in (await read_job(near.service.ports, ana, view["id"]))["artifacts"]] == [
        "result",
        "citations",
    ]
