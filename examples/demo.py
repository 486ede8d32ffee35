"""The main job, end to end, with real processes: `make demo`. Every step must show what it says, or it fails."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from backlane import Client
from backlane.errors import ServiceError
from backlane.outbound.folder import ArtifactFolder
from backlane.store.database import Database
from backlane.verify.collect import collect
from backlane.verify.invariants import check
from examples.demo_people import drafts, expired, refund, voucher
from examples.demo_provider import files_in, live_through_a_restart, with_tools
from examples.stage import ROOT, Failed, Stage, fresh_stage, until

TEXTS = {"Tickets": "tickets.txt", "River meeting": "meeting.md", "Night trains": "report.txt"}
MANY = 24


def text_of(title: str) -> dict[str, str]:
    """One of the example files as a job's inputs."""
    return {"title": title, "text": (ROOT / "examples" / "texts" / TEXTS[title]).read_text()}


def outputs(client: Client, job_id: str) -> dict[str, str]:
    """A job's artifacts by kind, as text."""
    rows = client.get(job_id).data["artifacts"]
    return {row["kind"]: client.content(row["id"]).decode() for row in rows}


def happy_path(stage: Stage, ana: Client) -> None:
    """Real files through a digest and a report."""
    print("Three files are digested, one is reported on", flush=True)
    jobs = [ana.submit("digest", text_of(title), idempotency_key=f"digest-{title}") for title in TEXTS]
    report = ana.submit("research-report", text_of("Night trains"))
    done = [ana.wait(job.id) for job in jobs]
    stage.check("three digests completed", all(job.status == "completed" for job in done))
    digest = json.loads(done[1].text or "{}")
    in_text = digest["summary"] in text_of("River meeting")["text"]
    stage.check("a digest says what its text says", in_text, digest["summary"][:90])
    written = ana.wait(report.id)
    kept = outputs(ana, report.id)
    rows = json.loads(kept["citations"])
    quoted = all(row["claim"] in text_of("Night trains")["text"] for row in rows)
    stage.check(
        "a report cites its text",
        written.status == "completed" and quoted,
        f"{len(rows)} citations, all verbatim",
    )
    again = ana.submit("digest", text_of("Tickets"), idempotency_key="digest-Tickets")
    stage.check("the same key and body make no second job", again.id == jobs[0].id)
    card = written.data["cost"]
    stage.check(
        "every run has a price",
        card["settled"] is not None and card["unpriced"] == 0,
        f"{card['settled']} {card['currency']} (simulated)",
    )


def provider_faults(stage: Stage, ana: Client) -> None:
    """What a retry can mend is retried; what it cannot is explained."""
    print("The provider fails now and then", flush=True)
    stage.simulator("faults", [{"fault": "failed", "code": "server_error"}])
    job = ana.wait(ana.submit("digest", text_of("Tickets")).id)
    reasons = [one["reason"] for one in job.data["attempts"]]
    stage.check(
        "a failed run was bought again by schedule",
        job.status == "completed" and reasons == ["first", "provider_failed"],
    )
    stage.simulator("faults", [{"fault": "rate_limit", "retry_after": "1"}])
    job = ana.wait(ana.submit("digest", text_of("Tickets")).id)
    states = [one["state"] for one in job.data["attempts"]]
    stage.check("a refused create was sent anew", states == ["refused", "completed"])
    stage.simulator(
        "faults", [{"fault": "failed", "code": "invalid_prompt", "message": "The prompt is not valid."}]
    )
    job = ana.wait(ana.submit("digest", text_of("Tickets")).id)
    failure = job.data["failure"]
    stage.check(
        "what no retry can mend ends as a failure card",
        job.status == "failed" and failure["cause"] == "input",
    )
    for line in (
        failure["message"],
        f"retryable: {failure['retryable']}",
        f"next: {', '.join(failure['next_steps'])}",
    ):
        print(f"      {line}")


def unknown_create(stage: Stage, ana: Client, olga: Client) -> None:
    """A lost reply is not guessed away: a person attaches the run that the provider's log shows."""
    print("A create's reply is lost", flush=True)
    stage.simulator("faults", [{"fault": "lose_create_reply"}])
    before = stage.simulator("stats")["creates"]
    job = ana.wait(ana.submit("digest", text_of("River meeting")).id)
    stage.check(
        "nobody knows, and the job says so",
        job.data["phase"] == "submission_unknown",
        job.data["outcome"]["headline"],
    )
    stage.check("it was not sent again", stage.simulator("stats")["creates"] == before + 1)
    attempt = job.data["attempts"][0]["id"]
    lost = find_run(stage, attempt)
    olga.resolve(job.id, "attach", provider_response_id=lost, notes="found in the provider's log")
    done = ana.wait(job.id)
    stage.check(
        "the found run is attached and completes the job",
        done.status == "completed" and len(done.data["attempts"]) == 1,
    )


def find_run(stage: Stage, attempt: str) -> str:
    """The provider's run that carries this attempt's id."""
    for line in stage.simulator("log"):
        if line["call"] == "create" and line["metadata"].get("backlane_attempt") == attempt:
            return str(line["response_id"])
    raise Failed(f"the provider's log does not know {attempt}")


def people_in_control(stage: Stage, ana: Client) -> None:
    """A cancel is confirmed at the provider; a draft waits for its review."""
    print("A job is canceled, a draft waits for a reviewer", flush=True)
    stage.simulator("script", [{"match": {"input_contains": "Lisbon"}, "then": {"running_seconds": 300}}])
    job = ana.submit("digest", text_of("Tickets"))
    until("the run", lambda: ana.get(job.id).data["provider_response_id"])
    ana.cancel(job.id, "sent by mistake")
    ended = ana.wait(job.id)
    stage.check(
        "cancel means canceled, at the provider too",
        ended.status == "canceled" and stage.simulator("stats")["runs"].get("cancelled") == 1,
    )
    draft = ana.wait(ana.submit("reply-draft", text_of("Tickets")).id)
    stage.check("a draft stops at its review", draft.data["phase"] == "output", str(draft.data["waiting_on"]))
    result = next(row["id"] for row in draft.data["artifacts"] if row["kind"] == "result")
    try:
        ana.content(result)
        refused = ""
    except ServiceError as error:
        refused = error.code
    stage.check("its content is closed until then", refused == "awaiting-review")


def killed(stage: Stage, ana: Client, olga: Client) -> None:
    """kill -9 while creates are in flight: nothing is lost, nothing is bought twice."""
    print(f"The service is killed with {MANY} jobs in the middle", flush=True)
    before = stage.simulator("stats")
    script = {"match": {"model": "gpt-6-luna"}, "then": {"running_seconds": 4}, "times": MANY}
    stage.simulator("script", [script])
    stage.simulator(
        "faults", [{"fault": "slow", "call": "create", "when": "after", "seconds": 3, "times": 5}]
    )
    ids = [
        ana.submit("digest", text_of(list(TEXTS)[n % 3]), idempotency_key=f"many-{n}").id for n in range(MANY)
    ]
    until("creates in flight", lambda: _accepted(stage) >= before["accepted"] + MANY)
    flying = [
        one
        for one in stage.simulator("log")
        if one["call"] == "create" and one["outcome"] == "accepted" and one["status_code"] == 0
    ]
    stage.kill_service()
    print(f"      killed with {len(flying)} creates in flight", flush=True)
    stage.check("the kill fell while creates were in flight", len(flying) > 0)
    stage.start_service()
    settled = [ana.wait(job_id) for job_id in ids]
    doubtful = [job for job in settled if job.data["phase"] == "submission_unknown"]
    stage.check(
        "jobs caught inside a create say so honestly",
        0 < len(doubtful) <= len(flying),
        f"{len(doubtful)} of {MANY}",
    )
    for job in doubtful:
        run = find_run(stage, job.data["attempts"][-1]["id"])
        olga.resolve(job.id, "attach", provider_response_id=run)
    ended = [ana.wait(job_id, until="terminal") for job_id in ids]
    stage.check("no job was lost", [job.status for job in ended] == ["completed"] * MANY)
    after = stage.simulator("stats")
    bought = after["creates"] - before["creates"]
    stage.check(
        "nothing was bought twice",
        bought == MANY and after["duplicates"] == 0,
        f"{bought} creates for {MANY} jobs, by the provider's own count",
    )


def _accepted(stage: Stage) -> int:
    return stage.simulator("stats")["accepted"]


def verified(stage: Stage) -> None:
    """The checker goes over everything, with the provider's truth log beside it."""
    print("Everything is verified", flush=True)
    database = Database(f"sqlite:///{stage.folder}/backlane.db")
    folder = ArtifactFolder(stage.folder / "artifacts")
    seen = {"provider_log": stage.simulator("log"), "world_log": stage.payments()}
    report = check(collect(database, folder.read, **seen))
    database.close()
    for line in report.lines():
        print(f"      {line}")
    stage.check("no invariant is violated", report.ok)
    doctor = stage.command("doctor", "--verify")
    stage.check("'backlane doctor --verify' agrees", doctor.returncode == 0, doctor.stderr.strip()[:200])


def record(stage: Stage, root: Client, seconds: float) -> None:
    """Write build/demo.json."""
    page = root.request("GET", "/v1/jobs", query={"limit": "200", "sort": "created_at"})
    names = ("id", "type", "authority", "lane", "status")
    jobs: list[dict[str, Any]] = [
        {
            **{name: job[name] for name in names},
            "artifacts": len(job["artifacts"]),
            "cost": job["cost"]["settled"],
        }
        for job in page["data"]
    ]
    stats = stage.simulator("stats")
    told = {"jobs": jobs, "checks": stage.checks, "provider": stats, "seconds": round(seconds, 1)}
    target = Path("build")
    target.mkdir(exist_ok=True)
    (target / "demo.json").write_text(json.dumps(told, indent=2) + "\n")
    print(
        f"{len(jobs)} jobs, {stats['creates']} creates, {len(stage.checks)} checks in {seconds:.0f} s: build/demo.json"
    )


def main() -> int:
    """Play the story; 0 only if every step showed what it must."""
    begun = time.monotonic()
    stage = fresh_stage()
    try:
        stage.open()
        ana, olga = stage.client("ana", "submitter"), stage.client("olga", "operator")
        root = stage.client("root", "admin")
        happy_path(stage, ana)
        provider_faults(stage, ana)
        unknown_create(stage, ana, olga)
        people_in_control(stage, ana)
        rita = stage.client("rita", "reviewer")
        drafts(stage, ana, rita)
        refund(stage, ana, rita)
        voucher(stage, ana, rita)
        expired(stage, ana, olga)
        files_in(stage, ana)
        with_tools(stage, ana)
        live_through_a_restart(stage, ana)
        killed(stage, ana, olga)
        verified(stage)
        record(stage, root, time.monotonic() - begun)
        code = stage.close()
        stage.check("SIGTERM drains and exits 0", code == 0)
    except (Failed, ServiceError) as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    finally:
        stage.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
