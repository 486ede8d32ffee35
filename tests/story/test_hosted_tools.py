"""The provider's own tools: for each what is stored as evidence, what is booked, and what is lost and said so."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backlane.service import show
from backlane.service.access import Caller
from backlane.service.message import message
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import creates, events_of, fault, finished, script, seen, submitted, verified
from tests.story.steer_types import WORDS
from tests.story.test_messages import steering
from tests.story.test_tool_turns import bodies
from tests.story.tool_types import Ledger, tool_app

__all__ = ["steering"]  # a fixture
TEXT = "Sea otters rest afloat. In 2024 we counted 12 otters, in 2025 there were 30."


async def kept(place: Place, caller: Caller, view: dict[str, Any]) -> dict[str, bytes]:
    """Every artifact's bytes by its kind and name."""
    found: dict[str, bytes] = {}
    for row in view["artifacts"]:
        content = await show.read_content(place.service.ports, caller, row["id"], "a test")
        found[f"{row['kind']} {row['name']}"] = content.content
    return found


async def ran(place: Place, caller: Caller, kind: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A job of this type once it has ended, and what it left."""
    view = await finished(place, caller, await submitted(place, caller, kind, text=TEXT))
    assert view["status"] == "completed", view["failure"]
    verified(place)
    return view, await kept(place, caller, view)


async def test_web_search_leaves_its_searches_and_sources_and_is_booked_with_them(helping: Place) -> None:
    ana = await helping.caller()
    view, found = await ran(helping, ana, "web-search")
    assert list(found) == ["result result.md", "citations citations.json", "tool_output web-search.json"]
    items = json.loads(found["tool_output web-search.json"])["items"]
    assert [one["action"]["type"] for one in items] == ["search", "open_page", "find_in_page"]
    assert items[0]["action"]["sources"]
    rows = json.loads(found["citations citations.json"])
    assert {row["kind"] for row in rows} == {"url_citation"}
    plain = await finished(helping, ana, await submitted(helping, ana, "toolless", text=TEXT))
    more = float(view["cost"]["settled"]) - float(plain["cost"]["settled"])
    assert (0.009 < more < 0.02, view["cost"]["unpriced"]) == (True, 0)


async def test_file_search_leaves_what_it_found_and_its_calls_are_said_to_be_unpriced(helping: Place) -> None:
    ana = await helping.caller()
    script(
        helping, {"file_search": [{"file_id": "file-1", "filename": "census.pdf", "text": "Counts by bay"}]}
    )
    view, found = await ran(helping, ana, "file-search")
    [item] = json.loads(found["tool_output file-search.json"])["items"]
    assert [(one["filename"], one["text"]) for one in item["results"]] == [("census.pdf", "Counts by bay")]
    rows = json.loads(found["citations citations.json"])
    row = next(one for one in rows if one["kind"] == "file_citation")
    assert (row["kind"], row["source"], row["title"]) == ("file_citation", "file-1", "census.pdf")
    assert view["cost"]["basis"].endswith("; without file search calls")
    assert (float(view["cost"]["settled"]) > 0, view["cost"]["unpriced"]) == (True, 1)


async def test_code_interpreter_leaves_its_code_its_logs_and_the_files_it_wrote(helping: Place) -> None:
    ana = await helping.caller()
    files = [{"name": "table.csv", "text": "a,b\n1,2\n"}, {"name": "../../etc/passwd", "text": "x" * 50_000}]
    script(helping, {"code_interpreter": {"code": "print(42)", "logs": "42\n", "files": files}})
    view, found = await ran(helping, ana, "code-interpreter")
    [item] = json.loads(found["tool_output code-interpreter.json"])["items"]
    assert (item["code"], item["outputs"][0]["logs"]) == ("print(42)", "42\n")
    assert found["file table.csv"] == b"a,b\n1,2\n"
    assert found["file passwd"] == b"x" * 50_000
    copied = json.loads(found["tool_output container-files.json"])["files"]
    assert [(one["name"], one["bytes"], one["code"]) for one in copied] == [
        ("table.csv", 8, None),
        ("passwd", 50_000, None),
    ]
    kinds = {row["kind"] for row in json.loads(found["citations citations.json"])}
    assert "container_file_citation" in kinds
    media = {row["name"]: row["media_type"] for row in view["artifacts"] if row["kind"] == "file"}
    assert media == {"table.csv": "text/csv", "passwd": "application/octet-stream"}
    assert view["cost"]["basis"].endswith("; without container time")
    assert view["cost"]["unpriced"] == 1


async def test_a_container_that_is_gone_is_noted_and_the_job_completes(helping: Place) -> None:
    ana = await helping.caller()
    fault(helping, "container_expired", call="container_content")
    view, found = await ran(helping, ana, "code-interpreter")
    [lost] = json.loads(found["tool_output container-files.json"])["files"]
    assert (lost["name"], lost["sha256"], lost["code"]) == ("report.csv", None, "container_gone")
    assert not [row for row in view["artifacts"] if row["kind"] == "file"]
    told = [one for one in await events_of(helping, ana, view["id"]) if one["type"] == "tool.answered"]
    assert [one["data"]["code"] for one in told] == ["container_gone"]


async def test_a_file_over_the_cap_or_behind_an_error_is_noted(helping: Place) -> None:
    ana = await helping.caller()
    fault(helping, "status", status=500, call="container_content", times=3)
    _, found = await ran(helping, ana, "code-interpreter")
    assert json.loads(found["tool_output container-files.json"])["files"][0]["code"] == "not_copied"
    fault(helping, "status", status=500, call="container_content", times=2)
    _, found = await ran(helping, ana, "code-interpreter")
    assert json.loads(found["tool_output container-files.json"])["files"][0]["code"] is None


@pytest.fixture
async def patient(tmp_path: Path, simulator: Running, ledger: Ledger) -> AsyncIterator[Place]:
    """A service that renews its leases so seldom that no pause of theirs is taken for another."""
    settings = settings_for(tmp_path, simulator, lease=600)
    service = build(settings, types=tool_app(ledger), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, settings)
    await service.drain(grace=5)


@pytest.fixture
async def paused(patient: Place, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The long pauses of the service, milliseconds; they take no time."""
    paused, really = list[int](), patient.service.ports.clock.sleep

    async def sleep(milliseconds: int) -> None:
        """Nobody else here waits so long that exactly."""
        if milliseconds in (7_000, 30_000):
            paused.append(milliseconds)
        else:
            await really(milliseconds)

    monkeypatch.setattr(patient.service.ports.clock, "sleep", sleep)
    return paused


def too_often(place: Place, wait: str, **more: Any) -> None:
    """The next copies of files are refused for a time."""
    fault(place, "status", status=429, call="container_content", headers={"retry-after": wait}, **more)


async def test_a_file_that_is_asked_for_too_often_is_had_after_the_pauses_that_the_provider_asks_for(
    patient: Place, paused: list[int]
) -> None:
    for wait in ("7", "86400"):
        too_often(patient, wait)
    _, found = await ran(patient, await patient.caller(), "code-interpreter")
    assert json.loads(found["tool_output container-files.json"])["files"][0]["code"] is None
    assert paused == [7_000, 30_000]


async def test_many_files_that_are_asked_for_too_often_do_not_hold_a_worker_for_hours(
    patient: Place, paused: list[int]
) -> None:
    files = [{"name": f"part-{number}.csv", "text": "1,2\n"} for number in range(6)]
    script(patient, {"code_interpreter": {"code": "print(42)", "logs": "42\n", "files": files}})
    too_often(patient, "86400", times=None)
    view, found = await ran(patient, await patient.caller(), "code-interpreter")
    codes = [one["code"] for one in json.loads(found["tool_output container-files.json"])["files"]]
    assert (view["status"], codes) == ("completed", ["not_copied"] * 6)
    assert paused == [30_000, 30_000]
    asked = [line for line in patient.simulator.world.log if line["call"] == "container_content"]
    # One file is tried three times; then there is no time for more than one try each.
    assert len(asked) == 3 + 5


async def test_mcp_leaves_its_list_and_calls_errors_included(helping: Place) -> None:
    ana = await helping.caller()
    view, found = await ran(helping, ana, "mcp-free")
    items = json.loads(found["tool_output mcp.json"])["items"]
    assert [one["type"] for one in items] == ["mcp_list_tools", "mcp_call"]
    assert items[1]["output"] and items[1]["error"] is None
    assert view["cost"]["unpriced"] == 0
    fault(helping, "mcp_failed")
    _, found = await ran(helping, ana, "mcp-free")
    assert json.loads(found["tool_output mcp.json"])["items"][1]["error"]["code"] == 502


async def test_an_mcp_approval_is_refused_with_the_reason_and_the_job_goes_on(helping: Place) -> None:
    ana = await helping.caller()
    view, found = await ran(helping, ana, "mcp-asks")
    asked, sent = bodies(helping)
    [answer] = sent["input"]
    assert (answer["type"], answer["approve"]) == ("mcp_approval_response", False)
    assert "may not act on the outside world" in answer["reason"]
    assert sent["previous_response_id"] == view["attempts"][0]["provider_response_id"]
    assert asked["tools"] == sent["tools"]
    told = [one for one in await events_of(helping, ana, view["id"]) if one["type"].startswith("tool.")]
    assert [(one["type"], one["data"]["kind"]) for one in told] == [
        ("tool.called", "mcp_approval"),
        ("tool.answered", "mcp_approval"),
    ]
    assert told[1]["data"]["code"] == "approval_not_available"
    assert json.loads(found["tool_output tool-1-1-approval.json"])["tool"] == "crm/search"
    assert [one["reason"] for one in view["attempts"]] == ["first", "next_turn"]
    assert (creates(helping), view["actions"]) == (2, [])


async def test_a_model_that_asks_for_approval_again_and_again_is_ended(helping: Place) -> None:
    ana = await helping.caller()
    asks = {"type": "mcp_approval_request", "server_label": "crm", "name": "refund", "arguments": "{}"}
    for number in range(5):
        script(helping, {"output": [{**asks, "id": f"mcpr_{number}"}]})
    view = await finished(helping, ana, await submitted(helping, ana, "mcp-asks"))
    assert (view["failure"]["cause"], view["failure"]["code"]) == ("tool", "approvals_refused")
    assert creates(helping) == 4
    verified(helping)


async def test_what_was_asked_of_a_lost_conversation_is_asked_anew_with_its_approval(helping: Place) -> None:
    ana = await helping.caller()
    fault(
        helping,
        "status",
        status=400,
        call="create",
        match={"nth": 2},
        body={
            "error": {
                "message": "Previous response not found.",
                "type": "invalid_request_error",
                "param": "previous_response_id",
                "code": "previous_response_not_found",
            }
        },
    )
    view = await finished(helping, ana, await submitted(helping, ana, "mcp-asks", text=TEXT))
    assert view["status"] == "completed"
    assert [one["reason"] for one in view["attempts"]] == ["first", "next_turn", "refused"]
    kinds = [one["type"] for one in bodies(helping)[-1]["input"]]
    assert kinds == ["message", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"]
    verified(helping)


async def test_files_and_evidence_of_a_gated_job_are_closed_and_nameless(helping: Place) -> None:
    ana = await helping.caller()
    script(helping, {"code_interpreter": {"files": [{"name": "canary-name.csv", "text": "canary"}]}})
    job = await submitted(helping, ana, "code-interpreter", text=TEXT, sensitive=True)
    view = await finished(helping, ana, job)
    assert view["phase"] == "sensitive"
    transport = httpx2.ASGITransport(app=helping.app())
    headers = {"Authorization": f"Bearer {await helping.key()}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        for path in ("", "/events?limit=200", "/artifacts"):
            page = await http.get(f"/v1/jobs/{job.id}{path}")
            assert (page.status_code, "canary" in page.text) == (200, False), path
        for row in view["artifacts"]:
            page = await http.get(f"/v1/artifacts/{row['id']}/content")
            assert (page.status_code, page.json()["code"]) == (409, "awaiting-review")
    rita = await helping.caller("rita", "reviewer")
    names = [row["name"] for row in (await read_job(helping.service.ports, rita, job.id))["artifacts"]]
    assert "canary-name.csv" in names
    verified(helping)


@pytest.mark.parametrize("kind, ends", [("tabled", "failed"), ("tabled-reviewed", "needs_review")])
async def test_an_answer_of_another_form_leaves_the_files_and_evidence_that_were_paid_for(
    helping: Place, kind: str, ends: str
) -> None:
    ana = await helping.caller()
    reader = ana if ends == "failed" else await helping.caller("rita", "reviewer")
    files = [{"name": "table.csv", "text": "a,b\n1,2\n"}, {"name": "lost.csv", "text": "c"}]
    script(helping, {"code_interpreter": {"code": "print(42)", "files": files}, "text": "Just words."})
    fault(helping, "container_expired", call="container_content", match={"nth": 2})
    view = await finished(helping, ana, await submitted(helping, ana, kind, text=TEXT))
    assert view["status"] == ends
    found = await kept(helping, reader, await read_job(helping.service.ports, reader, view["id"]))
    assert {name.partition(" ")[0] for name in found} == {"partial", "citations", "tool_output", "file"}
    assert found["file table.csv"] == b"a,b\n1,2\n"
    assert json.loads(found["tool_output code-interpreter.json"])["items"][0]["code"] == "print(42)"
    copied = json.loads(found["tool_output container-files.json"])["files"]
    assert [(one["name"], one["code"]) for one in copied] == [
        ("table.csv", None),
        ("lost.csv", "container_gone"),
    ]
    rows = json.loads(found["citations citations.json"])
    assert {row["kind"] for row in rows} == {"container_file_citation"}
    told = [one["type"] for one in await events_of(helping, ana, view["id"])]
    # What was lost is told of before it is said how the job ended.
    last = "job.failed" if ends == "failed" else "job.needs_review"
    assert told.count("tool.answered") == 1 and told.index("tool.answered") < told.index(last)
    if ends == "failed":
        assert (view["failure"]["code"], view["failure"]["partial_output"]) == ("invalid_output", True)
    verified(helping)


async def test_a_run_that_a_person_overtakes_leaves_its_files_and_evidence(steering: Place) -> None:
    ana = await steering.caller()
    files = [{"name": "table.csv", "text": "a,b\n1,2\n"}, {"name": "lost.csv", "text": "c"}]
    script(steering, {**WORDS, "code_interpreter": {"code": "print(42)", "files": files}})
    fault(steering, "silent_stream", after=9, seconds=60)
    fault(steering, "container_expired", call="container_content", match={"nth": 2})
    job = await submitted(steering, ana, "chat")
    await seen(steering, ana, job.id, lambda _: "completed" in steering.simulator.world.stats()["runs"])
    script(steering, {**WORDS, "text": "Done."})
    await message(steering.service.ports, ana, job.id, "Shorter, please.")
    view = await finished(steering, ana, job)
    assert view["status"] == "completed"
    assert [one["state"] for one in view["attempts"]] == ["completed", "completed"]
    found = await kept(steering, ana, view)
    assert found["file table.csv"] == b"a,b\n1,2\n" and found["result result.md"] == b"Done."
    assert json.loads(found["tool_output code-interpreter.json"])["items"][0]["code"] == "print(42)"
    told = [one["type"] for one in await events_of(steering, ana, job.id)]
    assert told.count("tool.answered") == 1 and told.index("tool.answered") < told.index("job.requeued")
    verified(steering)
