"""The checker can fail: each planted corruption of good evidence is found, under the right name."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from backlane.outbound.folder import ArtifactFolder
from backlane.verify.collect import collect
from backlane.verify.evidence import Evidence
from backlane.verify.invariants import INVARIANTS, check
from backlane.verify.invariants_actions import ACTION_INVARIANTS
from backlane.verify.invariants_budgets import BUDGET_INVARIANTS
from backlane.verify.invariants_files import FILE_INVARIANTS
from backlane.verify.invariants_policy import POLICY_INVARIANTS
from backlane.verify.invariants_review import REVIEW_INVARIANTS
from backlane.verify.invariants_steer import STEER_INVARIANTS
from backlane.verify.invariants_stream import STREAM_INVARIANTS
from tests.conftest import Place
from tests.story.acts import fault, finished, script, submitted
from tests.verify.spoils_case import SPOILS_OF_CASES, look_after
from tests.verify.spoils_limits import SPOILS_OF_LIMITS

Spoil = Callable[[dict[str, Any]], None]


async def evidence_of(working: Place) -> Evidence:
    """Evidence of a completed job with a second attempt, one of two turns, a lost one and a draft under review."""
    ana = await working.caller()
    script(working, {"tool_calls": [{"name": "a", "arguments": {}}, {"name": "b", "arguments": {}}]})
    turned = await finished(working, ana, await submitted(working, ana))
    assert (turned["status"], len(turned["attempts"])) == ("completed", 2)
    fault(working, "failed", code="server_error")
    done = await finished(working, ana, await submitted(working, ana, "checked"))
    fault(working, "lose_create_reply")
    lost = await finished(working, ana, await submitted(working, ana))
    draft = await finished(working, ana, await submitted(working, ana, "draft"))
    assert (done["status"], lost["phase"], draft["phase"]) == ("completed", "submission_unknown", "output")
    await look_after(working, done["id"])
    submits = [
        {"key": job["id"], "body_hash": "h", "job": job["id"], "outcome": "ok"}
        for job in (done, turned, lost, draft)
    ]
    folder = ArtifactFolder.from_url(working.settings.artifacts_url)
    log = list(working.simulator.world.log)
    watches = [list(range(1, done["progress"]["seq"] + 1)), []]
    return collect(
        working.service.store.database,
        folder.read,
        provider_log=log,
        submits=submits,
        watches=watches,
        world_log=[],
    )


def event(rows: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(row for row in rows["events"] if row["type"] == kind)


def told(row: dict[str, Any], **changes: Any) -> None:
    row["data"] = json.dumps({**json.loads(row["data"]), **changes})


def job_in(rows: dict[str, Any], status: str) -> dict[str, Any]:
    return next(row for row in rows["jobs"] if row["status"] == status)


def drop_attempt(rows: dict[str, Any]) -> None:
    rows["attempts"].pop(0)


def send_first(rows: dict[str, Any]) -> None:
    rows["attempts"][0]["sent_at"] += 60_000


def buy_twice(rows: dict[str, Any]) -> None:
    rows["provider_log"].append(next(line for line in rows["provider_log"] if line["call"] == "create"))


def forget_why(rows: dict[str, Any]) -> None:
    rows["attempts"][0]["reason"] = "refused"


def resend_doubtful(rows: dict[str, Any]) -> None:
    lost = next(row for row in rows["attempts"] if row["state"] == "unknown")
    rows["attempts"].append({**lost, "id": "att_again", "number": 2, "reason": "refused"})


def sent_again(rows: dict[str, Any]) -> None:
    rows["events"].append(event(rows, "attempt.sent"))


def alter_inputs(rows: dict[str, Any]) -> None:
    rows["inputs"][rows["jobs"][0]["id"]] = '{"text": "other"}'


def lose_job(rows: dict[str, Any]) -> None:
    rows["submits"].append({"key": None, "body_hash": "h", "job": "job_lost", "outcome": "ok"})


def two_jobs_for_a_key(rows: dict[str, Any]) -> None:
    rows["submits"].append({**rows["submits"][0], "job": rows["submits"][1]["job"]})


def skip_the_table(rows: dict[str, Any]) -> None:
    told(event(rows, "job.completed"), before={"status": "queued", "phase": "ready"})


def row_without_event(rows: dict[str, Any]) -> None:
    job_in(rows, "completed")["status"] = "failed"


def wake_the_dead(rows: dict[str, Any]) -> None:
    done = job_in(rows, "completed")["id"]
    last = max((row for row in rows["events"] if row["job_id"] == done), key=lambda row: row["seq"])
    change = {"before": None, "after": {"status": "running", "phase": "model"}}
    rows["events"].append({**last, "seq": last["seq"] + 1, "data": json.dumps(change)})


def late_result(rows: dict[str, Any]) -> None:
    done = job_in(rows, "completed")["id"]
    added = next(row for row in rows["events"] if row["job_id"] == done and row["type"] == "artifact.added")
    rows["events"].append({**added, "seq": 10_000})


def bought_and_refused(rows: dict[str, Any]) -> None:
    bought = {
        line["metadata"]["backlane_attempt"] for line in rows["provider_log"] if line["outcome"] == "accepted"
    }
    next(row for row in rows["attempts"] if row["id"] in bought)["state"] = "refused"


def lose_answer(rows: dict[str, Any]) -> None:
    job_in(rows, "completed")["failure"] = {"code": "result_gone"}


def pass_the_gate(rows: dict[str, Any]) -> None:
    job_in(rows, "completed")["gate"] = "output"


def lose_event(rows: dict[str, Any]) -> None:
    rows["events"].remove(event(rows, "attempt.accepted"))


def alter_event(rows: dict[str, Any]) -> None:
    told(event(rows, "attempt.accepted"), provider_response_id="resp_other")


def alter_actor(rows: dict[str, Any]) -> None:
    event(rows, "job.submitted")["actor"] = "eve"


def follower_saw_double(rows: dict[str, Any]) -> None:
    rows["watches"].append([1, 2, 2, 3])


def forget_cost(rows: dict[str, Any]) -> None:
    rows["cost_lines"].pop()


def settle_twice(rows: dict[str, Any]) -> None:
    rows["events"].append({**event(rows, "cost.settled"), "seq": 10_000})


def two_writers(rows: dict[str, Any]) -> None:
    told(event(rows, "job.completed"), version=1)


def forget_job(rows: dict[str, Any]) -> None:
    open_job = {
        **job_in(rows, "completed"),
        "status": "running",
        "phase": "model",
        "due_at": None,
        "finished_at": None,
    }
    rows["jobs"].append(open_job)


def forget_review(rows: dict[str, Any]) -> None:
    rows["reviews"].clear()


def damage(rows: dict[str, Any]) -> None:
    rows["broken_artifacts"].append("art_x")


def mark_as_real(rows: dict[str, Any]) -> None:
    rows["cost_lines"][0]["simulated"] = False


def hold_the_lane(rows: dict[str, Any], code: str, *, probe: int | None = None) -> None:
    """As if the lane had been held before everything was sent."""
    held = {"code": code, "account": "default", "lane": "background"}
    first = rows["events"][0]
    line = {
        "type": "lane.held",
        "job_id": None,
        "seq": None,
        "feed_seq": 0,
        "at": 0,
        "data": json.dumps(held),
    }
    rows["events"].insert(0, {**first, **line})
    for row in rows["events"]:
        if row["type"] == "attempt.sent" and probe is not None:
            told(row, probe=probe)


def send_on_a_held_lane(rows: dict[str, Any]) -> None:
    hold_the_lane(rows, "provider_trouble")


def try_a_held_lane_in_a_herd(rows: dict[str, Any]) -> None:
    hold_the_lane(rows, "provider_trouble", probe=1)


def try_a_lane_that_a_person_holds(rows: dict[str, Any]) -> None:
    hold_the_lane(rows, "held_by_person", probe=1)


def buy_another_window(rows: dict[str, Any]) -> None:
    rows["attempts"][0]["window"] = "8h"


def price_without_the_window(rows: dict[str, Any]) -> None:
    done = job_in(rows, "completed")
    done["window"] = "2h"
    for row in rows["attempts"]:
        row["window"] = "2h" if row["job_id"] == done["id"] else row["window"]


def a_webhook(rows: dict[str, Any], number: int, *statuses: int) -> dict[str, Any]:
    """A delivery of the provider about the completed job's run, and the row it left."""
    done = next(row for row in rows["attempts"] if row["state"] == "completed")["provider_response_id"]
    row = {
        "provider_account": "default", "webhook_id": f"wh_{number}", "type": "response.completed",
        "response_id": done, "attempt_id": None, "state": "applied", "tries": 0, "note": "looked at",
        "received_at": 1, "due_at": None, "applied_at": 1,
    }  # fmt: skip
    line = {"call": "webhook", "path": "http://x/v1/providers/openai/webhooks", "webhook_id": f"wh_{number}",
            "statuses": list(statuses), "at": 1.0, "response_id": done, "metadata": {}}  # fmt: skip
    rows["provider_log"].append(line)
    rows["inbox"].append(row)
    assert not (number == 1 and check_rows(rows)), "a genuine webhook is no violation"
    return row


def check_rows(rows: dict[str, Any]) -> set[str]:
    names = Evidence.__dataclass_fields__
    return {name for name, _ in check(Evidence(**{name: rows[name] for name in names})).violations}


def event_twice(rows: dict[str, Any]) -> None:
    rows["inbox"].append(a_webhook(rows, 1, 204))


def taken_and_lost(rows: dict[str, Any]) -> None:
    a_webhook(rows, 1, 400, 204)
    rows["inbox"].clear()


def refused_and_stored(rows: dict[str, Any]) -> None:
    a_webhook(rows, 2, 400, 400)


def ended_and_due(rows: dict[str, Any]) -> None:
    a_webhook(rows, 1, 204)["due_at"] = 5


def believed(rows: dict[str, Any]) -> None:
    a_webhook(rows, 1, 204)
    rows["provider_log"] = [line for line in rows["provider_log"] if line["call"] != "retrieve"]


def adopted_by_hearsay(rows: dict[str, Any]) -> None:
    run = a_webhook(rows, 1, 204)["response_id"]
    line = next(
        line for line in rows["provider_log"] if line["call"] == "create" and line["response_id"] == run
    )
    line["metadata"] = {**line["metadata"], "backlane_attempt": "att_other"}


def answer_twice(rows: dict[str, Any]) -> None:
    items = json.loads(rows["turns"][0]["items"])
    rows["turns"][0]["items"] = json.dumps([*items, items[0]])


def leave_unanswered(rows: dict[str, Any]) -> None:
    rows["tool_calls"][0] |= {"state": "called", "output": None}


def answer_nothing(rows: dict[str, Any]) -> None:
    rows["tool_calls"][0]["output"] = None


def run_a_tool_again(rows: dict[str, Any]) -> None:
    rows["events"].append({**event(rows, "tool.answered"), "seq": 10_000})


def forget_turn(rows: dict[str, Any]) -> None:
    rows["turns"].clear()


def go_on_from_itself(rows: dict[str, Any]) -> None:
    rows["turns"][0]["previous_attempt"] = rows["turns"][0]["attempt_id"]


def go_on_from_nothing(rows: dict[str, Any]) -> None:
    rows["turns"][0]["previous_attempt"] = "att_none"


def go_on_from_another_response(rows: dict[str, Any]) -> None:
    rows["turns"][0]["previous_response_id"] = "resp_other"


def send_another_turn(rows: dict[str, Any]) -> None:
    line = next(line for line in rows["provider_log"] if line.get("previous_response_id"))
    line["previous_response_id"] = "resp_other"


def former_of(rows: dict[str, Any]) -> dict[str, Any]:
    return next(row for row in rows["attempts"] if row["id"] == rows["turns"][0]["previous_attempt"])


def go_on_from_a_failed_run(rows: dict[str, Any]) -> None:
    former_of(rows)["state"] = "failed"


def forget_a_turns_cost(rows: dict[str, Any]) -> None:
    former = former_of(rows)["id"]
    rows["cost_lines"][:] = [row for row in rows["cost_lines"] if row["attempt_id"] != former]


SPOILS: list[tuple[str, Spoil]] = [
    ("I01", drop_attempt), ("I01", send_first), ("I02", buy_twice), ("I02", forget_why), ("I03", resend_doubtful),
    ("I03", sent_again), ("I03", bought_and_refused), ("I16", pass_the_gate), ("I21", lose_answer),
    ("I04", alter_inputs), ("I04", lose_job), ("I05", two_jobs_for_a_key),
    ("I06", skip_the_table), ("I06", row_without_event), ("I07", wake_the_dead), ("I07", late_result),
    ("I08", lose_event), ("I08", alter_event), ("I08", alter_actor), ("I08", follower_saw_double),
    ("I17", forget_cost), ("I17", settle_twice), ("I21", two_writers), ("I22", forget_job), ("I22", forget_review),
    ("A1", mark_as_real), ("A2", send_on_a_held_lane), ("A2", try_a_held_lane_in_a_herd),
    ("A2", try_a_lane_that_a_person_holds), ("A3", buy_another_window), ("A3", price_without_the_window),
    ("I29", damage), ("I19", event_twice), ("I19", taken_and_lost), ("I19", refused_and_stored), ("I19", ended_and_due),
    ("I20", believed), ("I20", adopted_by_hearsay),
    ("T1", answer_twice), ("T1", leave_unanswered), ("T1", answer_nothing), ("T1", run_a_tool_again),
    ("T2", forget_turn), ("T2", go_on_from_itself), ("T2", go_on_from_nothing),
    ("T2", go_on_from_another_response), ("T2", send_another_turn),
    ("T3", go_on_from_a_failed_run), ("T3", forget_a_turns_cost),
    *SPOILS_OF_CASES, *SPOILS_OF_LIMITS,
]  # fmt: skip


async def test_every_planted_corruption_is_found_under_its_name(working: Place) -> None:
    good = await evidence_of(working)
    report = check(good)
    assert report.ok, report.lines()
    assert report.not_judged == {}
    names = good.__dataclass_fields__ if hasattr(good, "__dataclass_fields__") else {}
    for invariant, spoil in SPOILS:
        rows = copy.deepcopy({name: getattr(good, name) for name in names})
        spoil(rows)
        found = {name for name, _ in check(replace(good, **rows)).violations}
        assert invariant in found, f"{spoil.__name__} went unnoticed ({found})"
    elsewhere = {*FILE_INVARIANTS, *STREAM_INVARIANTS, *ACTION_INVARIANTS, *STEER_INVARIANTS}
    elsewhere |= {*POLICY_INVARIANTS, *REVIEW_INVARIANTS, *BUDGET_INVARIANTS}
    assert {name for name, _ in SPOILS} | elsewhere == set(INVARIANTS), (
        "an invariant that was never seen to fail"
    )


async def test_what_cannot_be_judged_is_named(working: Place) -> None:
    report = check(collect(working.service.store.database))
    assert report.ok
    unjudged = "I01 I02 I04 I05 I08 I10 I19 I20 I29 I31 I32 S3"
    assert set(report.not_judged) == set(unjudged.split())
    assert any(line.startswith("I01: not judged") for line in report.lines())


async def test_the_real_thing_is_damaged_and_the_checker_says_so(working: Place) -> None:
    ana = await working.caller()
    await finished(working, ana, await submitted(working, ana))
    database = working.service.store.database
    database.write_now(
        lambda connection: connection.exec_driver_sql("UPDATE events SET actor='eve' WHERE seq=3")
    )
    database.write_now(lambda connection: connection.exec_driver_sql("UPDATE artifacts SET inline=x'00'"))
    folder = ArtifactFolder.from_url(working.settings.artifacts_url)
    assert {name for name, _ in check(collect(database, folder.read)).violations} == {"I08", "I29"}


@pytest.mark.parametrize("name", sorted(INVARIANTS))
def test_each_invariant_says_what_it_is(name: str) -> None:
    assert (INVARIANTS[name].__doc__ or "").startswith(f"{name}: ")
