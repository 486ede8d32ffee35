"""The command that says something to a job."""

import sys
from typing import Annotated

from cyclopts import Parameter

from backlane.cli.printing import job_line, put, put_json, say


def message(
    job_id: str,
    text: str,
    *,
    idempotency_key: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """Say something to a job, running or ended: backlane message job_… "Shorter, please."

    Parameters
    ----------
    job_id: the job's id.
    text: what you say; - reads it from standard input.
    idempotency_key: the same key and text are said once.
    as_json: print JSON.
    """
    from backlane.client import Client

    words = sys.stdin.read() if text == "-" else text
    with Client() as client:
        job = client.message(job_id, words, idempotency_key=idempotency_key)
    if job.id != job_id:
        say(f"that job had ended; {job.id} goes on from it")
    if as_json:
        put_json(dict(job.data))
    else:
        put(job_line(job.data))
    return 0
