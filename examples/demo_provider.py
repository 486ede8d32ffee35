"""The demo's acts around the provider: files in, a job with tools, a live job that outlives its server."""

import json
import threading
from pathlib import Path
from typing import Any

from backlane import Client
from examples.stage import ROOT, Stage, until

PAPERS = ("levels.pdf", "gauge.csv", "board.png")


def files_in(stage: Stage, ana: Client) -> None:
    """A real PDF, a table and a picture are sent in, digested, and forgotten at the provider."""
    print("A PDF, a table and a picture are digested", flush=True)
    texts = ROOT / "examples" / "texts"
    sent = [ana.upload(texts / name) for name in PAPERS]
    job = ana.wait(ana.submit("paper-digest", {"attachments": [one.id for one in sent]}).id)
    read = _files_read(stage)
    stage.check(
        "the provider read what was really sent",
        job.status == "completed" and len(read) == len(PAPERS),
        ", ".join(sorted({one["media_type"] for one in read})),
    )
    quoted = [word for word in ("gauge", "level") if word in (job.text or "").lower()]
    stage.check("the digest quotes its files", len(quoted) > 0, (job.text or "")[:90].replace("\n", " "))
    before = stage.simulator("stats")["files"]["uploads"]
    large = _large_table(stage.folder)
    jobs = [ana.submit("paper-digest", {"attachments": [ana.upload(large).id]}) for _ in range(2)]
    done = [ana.wait(one.id) for one in jobs]
    files = stage.simulator("stats")["files"]
    stage.check(
        "a large file is uploaded once for two jobs",
        all(one.status == "completed" for one in done) and files["uploads"] == before + 1,
    )
    until("the copy to be deleted", lambda: stage.simulator("stats")["files"]["alive"] == 0)
    stage.check("nothing of it is left at the provider afterwards", True)
    refused = stage.refused(lambda: ana.upload(b"MZ\x90\x00", name="tool.exe"))
    stage.check("what is no file to work on is refused with the reason", refused is not None, refused or "")


def _files_read(stage: Stage) -> list[dict[str, Any]]:
    line = [one for one in stage.simulator("log") if one["call"] == "create"][-1]
    return line["files"]


def _large_table(folder: Path) -> Path:
    """A table that does not travel inside a request."""
    rows = "\n".join(f"gauge {n},{n * 7 % 311},calm water" for n in range(30_000))
    path = folder / "large.csv"
    path.write_text("gauge,level,remark\n" + rows)
    return path


def with_tools(stage: Stage, ana: Client) -> None:
    """The model calls functions of ours; each turn is an attempt with its own price."""
    print("A ticket is answered with tools", flush=True)
    before = stage.simulator("stats")["creates"]
    ticket = {"email": "ana@example.test", "text": "Where is my order A-17? It has not come yet."}
    calls = [
        {"name": "look_up_customer", "arguments": {"email": "ana@example.test"}},
        {"name": "order_state", "arguments": {"order_id": "A-17"}},
    ]
    stage.simulator("script", [{"match": {"input_contains": "A-17"}, "then": {"tool_calls": calls}}])
    job = ana.wait(ana.submit("ticket-answer", ticket).id)
    reasons = [one["reason"] for one in job.data["attempts"]]
    kept = [row for row in job.data["artifacts"] if row["kind"] == "tool_output"]
    stage.check(
        "two functions were called and the model went on with what they said",
        job.status == "completed" and reasons == ["first", "next_turn"] and len(kept) == 2,
    )
    stage.check(
        "the answer rests on them", "shipped on monday" in (job.text or "").lower(), (job.text or "")[:90]
    )
    bought = stage.simulator("stats")["creates"] - before
    prices = [one["cost"] for one in job.data["attempts"]]
    stage.check(
        "each turn was bought once and has its price", bought == 2 and None not in prices, " + ".join(prices)
    )


def live_through_a_restart(stage: Stage, ana: Client) -> None:
    """Text comes as it is written; the server is killed in the middle; the follower gets exactly the rest."""
    print("A live job is followed while its server is killed", flush=True)
    before = stage.simulator("stats")["creates"]
    script = {"match": {"model": "gpt-6-sol"}, "then": {"queued_seconds": 0, "running_seconds": 6}}
    stage.simulator("script", [script])
    inputs = {"title": "Night trains", "text": (ROOT / "examples" / "texts" / "report.txt").read_text()}
    job = ana.submit("research-report", inputs, live=True)
    events: list[dict[str, Any]] = []
    following = threading.Thread(target=lambda: events.extend(ana.watch(job.id)), daemon=True)
    following.start()
    until("some text", lambda: _deltas(ana, job.id) >= 3)
    stage.kill_service()
    stage.start_service()
    ended = ana.wait(job.id)
    following.join(60)
    numbers = [event["seq"] for event in events]
    stage.check(
        "each event came once, in order, across the restart",
        numbers == list(range(1, len(numbers) + 1)) and ended.status == "completed",
        f"{len(numbers)} events",
    )
    text = ""
    for event in events:
        text = "" if event["type"] == "output.reset" else text + event["data"].get("text", "")
    stage.check("the pieces join to the answer, byte for byte", text == ended.text, f"{len(text)} characters")
    bought = stage.simulator("stats")["creates"] - before
    stage.check("the run was bought once", bought == 1 and len(ended.data["attempts"]) == 1)


def _deltas(client: Client, job_id: str) -> int:
    page = client.request("GET", f"/v1/jobs/{job_id}/events", query={"limit": "200"})
    return json.dumps(page).count('"output.delta"')
