"""Linking a job to the uploaded files its inputs name, in the transaction that makes it."""

import json
from collections.abc import Sequence

from backlane.core.job import Job
from backlane.core.media import IMAGES, FileInput
from backlane.core.ports import JobType
from backlane.core.storage import Transaction
from backlane.errors import InvalidRequest
from backlane.service.access import Caller
from backlane.service.ports import Ports


def takes_files(ports: Ports, job: Job) -> bool:
    """Whether the job's inputs can name files."""
    job_type = ports.types.get(job.type)
    return job_type is not None and job_type.takes_files


def files_of(ports: Ports, job: Job, stored: str) -> Sequence[FileInput]:
    """Each file that a job's stored inputs name. Raises InvalidRequest as reading inputs does."""
    job_type: JobType | None = ports.types.get(job.type)
    if job_type is None or not job_type.takes_files:
        return ()
    return job_type.files(job_type.read_inputs(json.loads(stored)))


def link_files(
    tx: Transaction,
    caller: Caller,
    job: Job,
    files: Sequence[FileInput],
    *,
    carried_from: str | None = None,
) -> None:
    """Link a job that was just made.

    Raises InvalidRequest for a file that is not the caller's to use, or is none of the kind that its place takes.

    A file is the caller's own, any of the workspace's where the role sees everything, or one of the job that this
    one carries on (`carried_from`). A foreign file and one that does not exist are refused alike.
    """
    if not files:
        return
    carried = (
        set[str]()
        if carried_from is None
        else {row["id"] for row in tx.files_of([carried_from])[carried_from]}
    )
    faults: list[tuple[str, str]] = []
    for pointer, upload_id, is_image in files:
        row = tx.upload(upload_id)
        usable = row is not None and row["workspace"] == caller.workspace
        own = row is not None and (row["submitted_by"] == caller.name or caller.sees_everything)
        if row is None or not usable or not (own or upload_id in carried):
            faults.append((pointer, "names no file of yours; upload it first with POST /v1/files"))
        elif is_image and row["media_type"] not in IMAGES:
            faults.append(
                (pointer, f"must be a picture (PNG, JPEG, GIF or WebP), this file is {row['media_type']}")
            )
        else:
            tx.link_file(job.id, upload_id)
    if faults:
        raise InvalidRequest(faults[:100])
