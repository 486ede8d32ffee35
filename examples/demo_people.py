"""The demo's acts of people: drafts decided, an action carried out exactly once, an expiry turned into a case."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from backlane import Client
from examples.stage import ROOT, Stage, until


def _decide(reviewer: Client, job: dict[str, Any], decision: str, **more: Any) -> dict[str, Any]:
    """Decide on exactly what the reviewer is shown now."""
    review = reviewer.request("GET", f"/v1/reviews/{job['review']['id']}")
    body = {"decision": decision, "payload_hash": review["payload_hash"], **more}
    return reviewer.request("POST", f"/v1/reviews/{review['id']}/decisions", body=body)


def _draft(ana: Client, title: str) -> dict[str, Any]:
    text = (ROOT / "examples" / "texts" / "meeting.md").read_text()
    return dict(ana.wait(ana.submit("reply-draft", {"title": title, "text": text}).id).data)


def drafts(stage: Stage, ana: Client, rita: Client) -> None:
    """Three drafts: one approved, one rejected, one edited."""
    print("A reviewer approves a draft, rejects one, edits one", flush=True)
    approved, rejected, edited = (_draft(ana, title) for title in ("One", "Two", "Three"))
    _decide(rita, approved, "approve", notes="fine as it is")
    done = ana.get(approved["id"])
    stage.check("an approval releases what was shown", done.status == "completed" and bool(done.text))
    _decide(rita, rejected, "reject", reason_code="tone", notes="not like this", tell_requester=True)
    ended = ana.get(rejected["id"])
    stage.check(
        "a rejected draft ends failed and stays closed",
        ended.status == "failed" and ended.data["failure"]["cause"] == "review" and not ended.text,
    )
    _decide(rita, edited, "approve", edits="Dear neighbours, the meeting is on Monday.")
    shown = ana.get(edited["id"])
    closed = [row for row in shown.data["artifacts"] if row["kind"] == "result" and row["sha256"] is None]
    stage.check(
        "an edit releases the edited version only",
        shown.text == "Dear neighbours, the meeting is on Monday." and len(closed) == 1,
    )
    own = stage.refused(lambda: _decide(ana, _draft(ana, "Four"), "approve"))
    stage.check("nobody approves their own work", own is not None, own or "")


def refund(stage: Stage, ana: Client, rita: Client) -> None:
    """The model proposes a refund; a person approves its bytes; the worker is killed around it; it happens once."""
    print("A refund is proposed, approved, and made once although the worker is killed", flush=True)
    call = {"name": "issue_refund", "arguments": {"order": "A-17", "amount": "12.50"}}
    stage.simulator("script", [{"match": {"input_contains": "came broken"}, "then": {"tool_calls": [call]}}])
    text = "Order A-17 came broken. I want my 12.50 back."
    job = ana.wait(ana.submit("refund", {"title": "Broken", "text": text}).id)
    stage.check(
        "the action waits for a person", job.data["phase"] == "action", job.data["outcome"]["headline"]
    )
    stage.check(
        "nothing has happened yet", stage.payments() == [] and not job.data["outcome"]["anything_sent"]
    )
    _decide(rita, dict(job.data), "approve")
    until("the refund", stage.payments)
    [action] = ana.get(job.id).data["actions"]
    stage.kill_service()
    stage.check("the kill fell during the dispatch", action["state"] == "dispatching")
    stage.start_service()
    ended = ana.wait(job.id, until="terminal")
    made = stage.payments()
    [action] = ended.data["actions"]
    stage.check(
        "it was made exactly once, under one key",
        ended.status == "completed" and len(made) == 1 and made[0]["key"] == action["key"],
        json.dumps(action["receipt"]),
    )
    records = [row for row in ended.data["artifacts"] if row["kind"] == "record"]
    stage.check("what was made is on record", action["state"] == "succeeded" and len(records) == 1)


def voucher(stage: Stage, ana: Client, rita: Client) -> None:
    """A small voucher goes out by the policy's word, a larger one waits for a person, who wants it changed."""
    print("A policy lets a small voucher out and shows a large one to a person", flush=True)
    for amount in ("15", "120"):
        call = {"name": "send_voucher", "arguments": {"order": f"V-{amount}", "amount": amount}}
        rule = {"match": {"input_contains": f"V-{amount}"}, "then": {"tool_calls": [call]}, "times": 1}
        stage.simulator("script", [rule])
    small, large = (
        ana.wait(ana.submit("goodwill", {"title": "Late", "text": f"Order V-{amount} came late."}).id)
        for amount in ("15", "120")
    )
    sent = [one for one in stage.payments() if "voucher" in one]
    stage.check(
        "the policy allowed the small one, and it was sent once",
        small.status == "completed" and [one["order"] for one in sent] == ["V-15"],
    )
    stage.check("the large one waits", large.data["phase"] == "action", str(large.data["waiting_on"]))
    less = {"name": "send_voucher", "arguments": {"order": "V-120", "amount": "40"}}
    rule = {"match": {"input_contains": "Forty is enough"}, "then": {"tool_calls": [less]}, "times": 1}
    stage.simulator("script", [rule])
    _decide(rita, dict(large.data), "request_changes", notes="Forty is enough.")
    again = ana.wait(large.id)
    _decide(rita, dict(again.data), "approve")
    ended = ana.wait(large.id, until="terminal")
    sent = [one["voucher"] for one in stage.payments() if one["order"] == "V-120"]
    stage.check(
        "what was sent back came again, smaller, and was sent once",
        ended.status == "completed" and sent == ["40"],
    )


def expired(stage: Stage, ana: Client, olga: Client) -> None:
    """A run is not done in its useful time: it is stopped, and a person looks after what is left."""
    print("A job is not done in time, and becomes a case", flush=True)
    late = {"running_seconds": 300, "queued_seconds": 0}
    stage.simulator("script", [{"match": {"input_contains": "Late"}, "then": late}])
    until_then = (datetime.now(UTC) + timedelta(seconds=3)).isoformat()
    text = (ROOT / "examples" / "texts" / "meeting.md").read_text()
    job = ana.submit("research-report", {"title": "Late", "text": f"Late. {text}"}, useful_until=until_then)
    ended = ana.wait(job.id)
    run = ended.data["provider_response_id"]
    stage.check(
        "it expired, and its run was stopped at the provider",
        ended.status == "expired"
        and any(line["call"] == "cancel" and line["response_id"] == run for line in stage.simulator("log")),
        ended.data["outcome"]["headline"],
    )
    ana.request("POST", f"/v1/jobs/{job.id}/escalate", body={"reason": "I still need it"})
    case = olga.request("GET", f"/v1/cases/{ana.get(job.id).data['case']}")
    kept = olga.request(
        "PATCH", f"/v1/cases/{case['id']}", body={"owner": "olga", "promise": "tomorrow noon"}
    )
    stage.check("it is a case that somebody owns", (kept["owner"], kept["state"]) == ("olga", "open"))
