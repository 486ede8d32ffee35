"""Commands for whoever looks after jobs: escalate, archive, hold, note, cases; each talks to a running service."""

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter

from backlane.cli.jobs import changed, client_here
from backlane.cli.printing import put, put_json, put_lines, say
from backlane.cli.visible import in_line
from backlane.errors import SettingsError

_Json = Annotated[bool, Parameter(name="--json", negative=())]
_Flag = Annotated[bool, Parameter(negative=())]


def escalate(job_id: str, *, reason: str, to: str | None = None, as_json: _Json = False) -> int:
    """Hand a job on to whoever can help: backlane escalate job_… --reason "it is due today"

    Parameters
    ----------
    job_id: the job's id.
    reason: why; kept with it.
    to: a role that decides, for a review; the owner, for what failed or expired.
    as_json: print JSON.
    """
    with client_here() as client:
        return changed(client.escalate(job_id, reason, to), as_json)


def archive(job_id: str, *, as_json: _Json = False) -> int:
    """Hide an ended job from default lists: backlane archive job_…

    Parameters
    ----------
    job_id: the job's id.
    as_json: print JSON.
    """
    with client_here() as client:
        return changed(client.archive(job_id), as_json)


def unarchive(job_id: str, *, as_json: _Json = False) -> int:
    """Show an archived job in default lists again: backlane unarchive job_…

    Parameters
    ----------
    job_id: the job's id.
    as_json: print JSON.
    """
    with client_here() as client:
        return changed(client.unarchive(job_id), as_json)


def hold(job_id: str, *, reason: str | None = None, as_json: _Json = False) -> int:
    """Put a legal hold on a job, so that retention waits: backlane hold job_… --reason "court, case 7"

    Parameters
    ----------
    job_id: the job's id.
    reason: kept with the event.
    as_json: print JSON.
    """
    with client_here() as client:
        return changed(client.hold(job_id, reason), as_json)


def release(job_id: str, *, reason: str | None = None, as_json: _Json = False) -> int:
    """Lift a legal hold: backlane release job_…

    Parameters
    ----------
    job_id: the job's id.
    reason: kept with the event.
    as_json: print JSON.
    """
    with client_here() as client:
        return changed(client.release(job_id, reason), as_json)


def sensitive(job_id: str, *, reason: str | None = None, as_json: _Json = False) -> int:
    """Say that an open job is sensitive, so that it is reviewed: backlane sensitive job_… --reason "names a child"

    Parameters
    ----------
    job_id: the job's id.
    reason: kept with the event, behind the gate.
    as_json: print JSON.
    """
    with client_here() as client:
        return changed(client.mark_sensitive(job_id, reason), as_json)


def note(job_id: str, text: str, *, for_requester: _Flag = False, as_json: _Json = False) -> int:
    """Note something about a job: backlane note job_… "the customer rang"

    Parameters
    ----------
    job_id: the job's id.
    text: the note, for colleagues.
    for_requester: the requester may read it too.
    as_json: print JSON.
    """
    with client_here() as client:
        made = client.note(job_id, text, for_requester=for_requester)
    if as_json:
        put_json(made)
    else:
        put(_note_line(made))
    return 0


def cases(
    case_id: str | None = None,
    *,
    state: str | None = "open",
    owner: str | None = None,
    promise: str | None = None,
    promise_by: str | None = None,
    note: str | None = None,
    for_requester: _Flag = False,
    close: _Flag = False,
    reopen: _Flag = False,
    as_json: _Json = False,
) -> int:
    """List open cases, show one, or change it: backlane cases case_… --owner sue --promise "an answer by four"

    Parameters
    ----------
    case_id: one case; without it the cases are listed.
    state: open or closed, when listing.
    owner: who looks after it; when listing, only theirs.
    promise: what was promised.
    promise_by: until when, such as 2026-11-25T16:00:00Z.
    note: a note for colleagues.
    for_requester: the requester may read the note too.
    close: it is over.
    reopen: it is not over after all.
    as_json: print JSON.
    """
    told = {"owner": owner, "promise": promise, "promise_by": promise_by, "notes": note}
    changes: dict[str, Any] = {name: value for name, value in told.items() if value is not None}
    if for_requester:
        changes["for_requester"] = True
    if close or reopen:
        changes["state"] = "closed" if close else "open"
    if case_id is None:
        if changes.keys() - {"owner"}:
            raise SettingsError("cases: name the case to change: backlane cases case_… --close")
        return _list({"state": state, "owner": owner}, as_json)
    with client_here() as client:
        case = client.case(case_id, **changes)
    if as_json:
        put_json(case)
    else:
        put_lines(_case_card(case))
    return 0


def _list(filters: Mapping[str, str | None], as_json: bool) -> int:
    query = {name: value for name, value in filters.items() if value is not None}
    with client_here() as client:
        page = client.request("GET", "/v1/cases", query=query)
    if as_json:
        put_json(page)
        return 0
    for case in page["data"]:
        until = f"  by {case['promise_by']}" if case["promise_by"] else ""
        put(
            f"{case['id']}  {case['state']:<6} {case['owner'] or '-':<12} {case['job']}{until}  {_why(case)[:60]}"
        )
    if not page["data"]:
        say("no cases")
    if page["next_cursor"]:
        say("there are more; narrow them by --owner or --state")
    return 0


def _why(case: Mapping[str, Any]) -> str:
    return in_line(str(case["failure"] or case["reason"] or ""))


def _case_card(case: Mapping[str, Any]) -> str:
    lines = [f"{case['id']}  {case['state']}", f"  job          {case['job']} ({case['job_status']})"]
    for label, value in (
        ("failure", case["failure"]),
        ("reason", case["reason"]),
        ("owner", case["owner"]),
        ("promise", case["promise"]),
        ("until", case["promise_by"]),
        ("made again", case["retried_as"]),
        ("opened by", case["opened_by"]),
        ("closed by", case["closed_by"]),
    ):
        if value:
            lines.append(f"  {label:<12} {value}")
    lines += [f"  {_note_line(one)}" for one in case["notes"]]
    return "\n".join(map(in_line, lines))


def _note_line(note: Mapping[str, Any]) -> str:
    mark = " (the requester reads it)" if note["for_requester"] else ""
    return f"{note['at'][:19]}  {note['by']}: {note['text']}{mark}"
