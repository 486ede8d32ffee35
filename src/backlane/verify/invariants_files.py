"""The invariants about files, as pure functions: uploads to the provider have intents, and nothing is left there."""

from collections import Counter
from collections.abc import Callable, Iterator

from backlane.verify.evidence import Evidence, Row

_SLACK = 50  # milliseconds between two clocks of one machine
_GONE = frozenset({"refused", "deleted"})


def _uploads(evidence: Evidence) -> list[tuple[str, Row]]:
    """The uploads for runs that the provider took, by the name they were sent under."""
    lines = (line for line in evidence.provider_log or () if line["call"] == "file_upload")
    return [(line["filename"], line) for line in lines if line.get("purpose") == "user_data"]


def upload_intents(evidence: Evidence) -> Iterator[str]:
    """I31: every upload the provider took has an intent, committed before its first byte, and is its only one."""
    rows = {row["filename"]: row for row in evidence.provider_files}
    uploads = _uploads(evidence)
    for name, line in uploads:
        row = rows.get(name)
        sent_at = None if row is None else row["sent_at"]
        if row is None:
            if evidence.restored_at is None or line["at"] * 1000 > evidence.restored_at:
                yield f"the provider took a file {name!r}, which has no row"
        elif sent_at is None or sent_at > line["at"] * 1000 + _SLACK:
            yield f"{row['id']} was uploaded before its intent was committed"
        elif row["sha256"] != line["sha256"]:
            yield f"{row['id']} was uploaded with other bytes than its row names"
    for name, count in Counter(name for name, _ in uploads).items():
        if count > 1:
            yield f"{name!r} was uploaded {count} times"


def nothing_left_there(evidence: Evidence) -> Iterator[str]:
    """I32: a file at the provider is deleted after its jobs' end, or its row still knows that it must be."""
    asked = {line["object_id"] for line in evidence.provider_log or () if line["call"] == "file_delete"}
    stored = {name: line["object_id"] for name, line in _uploads(evidence)}
    for row in evidence.provider_files:
        if row["state"] not in _GONE and row["due_at"] is None:
            yield f"{row['id']} is {row['state']} and nobody will delete it"
        if row["state"] == "ready" and row["provider_file_id"] is None:
            yield f"{row['id']} is ready and has no id at the provider"
        if row["state"] in _GONE and row["filename"] in stored and stored[row["filename"]] not in asked:
            yield f"{row['id']} is {row['state']}, and the provider still has the file"


def links_resolve(evidence: Evidence) -> Iterator[str]:
    """I33: every file a job uses is there, in the job's own workspace."""
    jobs = {job["id"]: job for job in evidence.jobs}
    uploads = {row["id"]: row for row in evidence.uploads}
    for link in evidence.job_files:
        job, upload = jobs.get(link["job_id"]), uploads.get(link["upload_id"])
        if job is None or upload is None:
            yield f"{link['job_id']} uses {link['upload_id']}, and one of them is not there"
        elif job["workspace"] != upload["workspace"]:
            yield f"{job['id']} uses {upload['id']} of another workspace"


FILE_INVARIANTS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "I31": upload_intents,
    "I32": nothing_left_there,
    "I33": links_resolve,
}
FILE_NEEDS: dict[str, tuple[str, str]] = {
    "I31": ("provider_log", "needs the provider's truth log"),
    "I32": ("provider_log", "judged from our rows only; the provider's truth log was not given"),
}
