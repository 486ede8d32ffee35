"""Commands about jobs; each talks to a running service through the client."""

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import quote

from cyclopts import Parameter

from backlane.cli.files import file_paths, submit_with_files
from backlane.cli.given import given_inputs, given_time
from backlane.cli.printing import event_line, job_card, job_line, put, put_json, put_lines, put_text, say

if TYPE_CHECKING:
    from backlane.asking import JobHandle
    from backlane.client import Client

_Json = Annotated[bool, Parameter(name="--json", negative=())]
_GOOD = ("completed", "needs_review")


def client_here() -> "Client":
    """A client for BACKLANE_URL and BACKLANE_API_KEY."""
    from backlane.client import Client

    return Client()


def _ended(job: "JobHandle", *, as_json: bool) -> int:
    """Print a job somebody waited for; whether it ended well, as an exit code."""
    if as_json:
        put_json(dict(job.data))
    else:
        put_lines(job_card(job.data))
        if job.text is not None:
            put_lines(job.text)
    return 0 if job.status in _GOOD else 1


def submit(
    type: str,  # noqa: A002 - the contract's name
    *,
    input: Annotated[list[str] | None, Parameter(name="--input", negative=())] = None,  # noqa: A002
    inputs: str | None = None,
    file: Annotated[list[str] | None, Parameter(name="--file", negative=())] = None,
    user: str | None = None,
    account: str | None = None,
    max_cost: str | None = None,
    sensitive: Annotated[bool, Parameter(negative=())] = False,
    lane: Literal["interactive", "background", "batch"] | None = None,
    live: Annotated[bool, Parameter(negative=())] = False,
    window: Literal["soonest", "2h", "8h"] | None = None,
    idempotency_key: str | None = None,
    wait: Annotated[bool, Parameter(negative=())] = False,
    watch: Annotated[bool, Parameter(negative=())] = False,
    as_json: _Json = False,
) -> int:
    """Submit a job: backlane submit ticket-digest --inputs tickets.json --wait

    Parameters
    ----------
    type: the job type's name.
    input: one input as name=value; a repeated name makes a list.
    inputs: a JSON file with all inputs, or - for standard input.
    file: one file input as name=path; it is uploaded first. A repeated name makes a list.
    user: for whom; service keys and admins only.
    account: your own customer reference.
    max_cost: the most this job may cost, such as 0.50.
    sensitive: have its output reviewed before it is released.
    lane: how it is to run; else the type's declaration and the work decide.
    live: stream its text; follow it with --watch.
    window: when it must be done: soonest, or cheaper within 2h or 8h.
    idempotency_key: the same key and body make no second job.
    wait: wait until it ends or needs a review.
    watch: print its events until it ends.
    as_json: print JSON.
    """
    files = file_paths(file or [])
    given = {"user": user, "account": account, "max_cost": max_cost, "lane": lane, "window": window}
    flags = {"sensitive": sensitive, "live": live}
    options: dict[str, Any] = {name: value for name, value in {**given, **flags}.items() if value}
    with client_here() as client:
        options["idempotency_key"] = idempotency_key
        job = submit_with_files(client, type, given_inputs(input or [], inputs), files, options)
        if watch:
            return _watch(client, job.id, as_json)
        if wait:
            return _ended(client.wait(job.id), as_json=as_json)
    return _submitted(job, as_json)


def _submitted(job: "JobHandle", as_json: bool) -> int:
    if as_json:
        put_json(dict(job.data))
    else:
        put(job_line(job.data))
        say(f"follow it with: backlane watch {job.id}")
    return 0


def list_jobs(
    *,
    status: str | None = None,
    type: str | None = None,  # noqa: A002
    user: str | None = None,
    account: str | None = None,
    q: str | None = None,
    archived: Annotated[bool, Parameter(negative=())] = False,
    limit: int = 50,
    cursor: str | None = None,
    as_json: _Json = False,
) -> int:
    """List jobs, newest first: backlane jobs --status failed

    Parameters
    ----------
    status: one or more statuses, separated by commas.
    type: only this job type.
    user: only jobs for this user.
    account: only jobs of this customer reference.
    q: search ids, provider ids, users and summaries.
    archived: the archived ones instead.
    limit: at most so many.
    cursor: where the former page ended.
    as_json: print JSON.
    """
    filters = {"status": status, "type": type, "user": user, "account": account, "q": q, "cursor": cursor}
    query = {name: value for name, value in filters.items() if value is not None} | {"limit": str(limit)}
    if archived:
        query["archived"] = "true"
    with client_here() as client:
        page = client.request("GET", "/v1/jobs", query=query)
    if as_json:
        put_json(page)
        return 0
    for job in page["data"]:
        put(job_line(job))
    if not page["data"]:
        say(
            "no jobs"
            + (" match these filters" if len(query) > 1 else "; make one with: backlane submit TYPE")
        )
    if page["next_cursor"]:
        say(f"more: --cursor {page['next_cursor']}")
    return 0


def show(job_id: str, *, as_json: _Json = False) -> int:
    """Show a job and its result: backlane show job_…

    Parameters
    ----------
    job_id: the job's id.
    as_json: print JSON.
    """
    with client_here() as client:
        job = client.get(job_id)
    _ended(job, as_json=as_json)
    return 0


def watch(job_id: str, *, as_json: _Json = False) -> int:
    """Print a job's events and its text as it comes; survives restarts of the service: backlane watch job_…

    Parameters
    ----------
    job_id: the job's id.
    as_json: print each event as JSON, one per line.
    """
    with client_here() as client:
        return _watch(client, job_id, as_json)


def _watch(client: "Client", job_id: str, as_json: bool) -> int:
    in_text = False
    for number, event in enumerate(client.watch(job_id)):
        # Asked once the service answers, as it may be away at first; said apart from what is piped on.
        if number == 0 and client.request("GET", f"/v1/jobs/{job_id}")["simulated"]:
            say("(simulated)")
        text = event["data"].get("text") if event["type"] == "output.delta" else None
        if text is not None and not as_json:
            put_text(text)
            in_text = True
            continue
        if in_text:
            put_text("\n")
        put(json.dumps(event) if as_json else event_line(event))
        in_text = False
        if event["type"] == "output.reset":
            say("the text above is void; it comes anew")
        after: dict[str, Any] = event["data"].get("after") or {}
        if after.get("status") == "needs_review":
            say("it needs a person now; see: backlane reviews")
    job = client.get(job_id)
    say(f"{job.status}: {job.data['outcome']['headline']}")
    return 0 if job.status in _GOOD else 1


def cancel(job_id: str, *, reason: str | None = None, as_json: _Json = False) -> int:
    """Stop a job: backlane cancel job_… --reason "sent twice"

    Parameters
    ----------
    job_id: the job's id.
    reason: kept with the event.
    as_json: print JSON.
    """
    with client_here() as client:
        return changed(client.cancel(job_id, reason), as_json)


def retry(
    job_id: str,
    *,
    start: Annotated[Literal["start", "partial"] | None, Parameter(name="--from")] = None,
    lane: Literal["interactive", "background", "batch"] | None = None,
    inputs: str | None = None,
    useful_until: str | None = None,
    as_json: _Json = False,
) -> int:
    """Make a new job in place of one that ended: backlane retry job_… --from partial

    Parameters
    ----------
    job_id: the ended job's id.
    start: from the start, or from the unfinished answer that the job kept (its partial output).
    lane: how it is to run this time.
    inputs: a JSON file with other inputs, or - for standard input; only for who asked for the job.
    useful_until: until when it is of use, such as 2026-11-25T16:00:00Z.
    as_json: print JSON.
    """
    until = None if useful_until is None else given_time("--useful-until", useful_until)
    other = None if inputs is None else given_inputs([], inputs)
    with client_here() as client:
        known = client.request("GET", f"/v1/jobs/{quote(job_id, safe='')}")["retried_as"]
        job = client.retry(job_id, from_=start, lane=lane, inputs=other, useful_until=until)
    if known == job.id:
        say("it was made again before: this is that job, and nothing that you ask for changes it")
    return changed(job, as_json)


def resolve(
    job_id: str,
    choice: Literal["run_again", "give_up", "attach"],
    *,
    provider_response_id: str | None = None,
    notes: str | None = None,
    as_json: _Json = False,
) -> int:
    """Settle an unknown submission: backlane resolve job_… attach --provider-response-id resp_…

    Parameters
    ----------
    job_id: the job's id.
    choice: run it again, give it up, or attach the run that was found.
    provider_response_id: the found run, with attach.
    notes: kept with the event.
    as_json: print JSON.
    """
    options = {"provider_response_id": provider_response_id, "notes": notes}
    known = {name: value for name, value in options.items() if value is not None}
    with client_here() as client:
        return changed(client.resolve(job_id, choice, **known), as_json)


def changed(job: "JobHandle", as_json: bool) -> int:
    """Print a job that a verb was used on."""
    if as_json:
        put_json(dict(job.data))
    else:
        put(job_line(job.data))
    return 0
