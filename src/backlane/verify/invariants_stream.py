"""The invariants of live text, S1 to S3: followers have the answer, nothing follows its end, the cursor rises."""

import hashlib
from collections.abc import Callable, Iterator

from backlane.verify.evidence import Evidence, Row, data_of

Finding = Iterator[str]
_OUTPUT = ("output.delta", "output.reset", "output.final")


def _told(evidence: Evidence) -> dict[str, list[Row]]:
    """The events of each job's text, in order."""
    found: dict[str, list[Row]] = {}
    for event in sorted(evidence.events, key=lambda row: row["seq"] or 0):
        if event["type"] in _OUTPUT:
            found.setdefault(event["job_id"], []).append(event)
    return found


def followers_have_the_answer(evidence: Evidence) -> Finding:
    """S1: what was streamed of a live job since the last reset is its final text, byte for byte."""
    live = {job["id"] for job in evidence.jobs if job["live"]}
    completed = {job["id"] for job in evidence.jobs if job["live"] and job["status"] == "completed"}
    results = {row["attempt_id"]: row for row in evidence.artifacts if row["name"] == "result.md"}
    for job_id, told in _told(evidence).items():
        text = hashlib.sha256()
        for event in told:
            data = data_of(event)
            if event["type"] == "output.reset":
                text = hashlib.sha256()
            elif event["type"] == "output.delta":
                text.update(str(data.get("text", "")).encode())
            elif job_id in live:
                completed.discard(job_id)
                row = results.get(data.get("attempt"))
                if text.hexdigest() != data.get("sha256"):
                    yield f"{job_id} #{event['seq']}: what was streamed is not the text that is final"
                elif row is not None and row["sha256"] != data["sha256"]:
                    yield f"{job_id}: what was streamed is not {row['id']}, its result"
    for job_id in sorted(completed):
        yield f"{job_id} is live and completed, and no text was called final"


def nothing_after_the_end(evidence: Evidence) -> Finding:
    """S2: after a final text nothing is added but by a reset first; a job that is not live streams nothing."""
    live = {job["id"]: job["live"] for job in evidence.jobs}
    for job_id, told in _told(evidence).items():
        is_final = False
        for event in told:
            if event["type"] == "output.delta" and is_final:
                yield f"{job_id} #{event['seq']}: text after the final text"
            if event["type"] == "output.delta" and not live.get(job_id, True):
                yield f"{job_id} #{event['seq']}: text of a job that is not live"
            is_final = event["type"] == "output.final" or (is_final and event["type"] != "output.reset")


def the_cursor_rises(evidence: Evidence) -> Finding:
    """S3: a stream is taken up where its text is committed, never further back than before."""
    asked: dict[str, int] = {}
    for line in evidence.provider_log or ():
        after = str(line.get("starting_after") or "")
        if line["call"] != "stream" or not after.isdecimal():
            continue
        run = str(line["response_id"])
        if int(after) < asked.get(run, -1):
            yield f"{run} was taken up after {after}, and had been after {asked[run]}"
        asked[run] = int(after)
    for row in evidence.attempts:
        before = asked.get(str(row["provider_response_id"]))
        if before is not None and (row["stream_seq"] is None or row["stream_seq"] < before):
            yield f"{row['id']} was read from {before} on, its cursor is {row['stream_seq']}"


STREAM_INVARIANTS: dict[str, Callable[[Evidence], Finding]] = {
    "S1": followers_have_the_answer,
    "S2": nothing_after_the_end,
    "S3": the_cursor_rises,
}
STREAM_NEEDS = {"S3": ("provider_log", "needs the provider's truth log")}
