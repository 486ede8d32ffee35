"""Commands of reviewers: what waits, exactly what it shows, and the decision on exactly that."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from backlane.cli.jobs import client_here
from backlane.cli.printing import put, put_json, put_lines, say
from backlane.errors import ServiceError, SettingsError

if TYPE_CHECKING:
    from backlane.cli.review_card import Shown
    from backlane.client import Client

_Json = Annotated[bool, Parameter(name="--json", negative=())]
_Flag = Annotated[bool, Parameter(negative=())]
_Code = Literal[
    "wrong", "incomplete", "unsupported", "tone", "policy", "sensitive", "duplicate", "not_needed", "other"
]


def reviews(
    *,
    state: str = "pending",
    kind: str | None = None,
    role: str | None = None,
    job: str | None = None,
    mine: _Flag = False,
    limit: int = 50,
    cursor: str | None = None,
    as_json: _Json = False,
) -> int:
    """What waits for a decision, oldest first: backlane reviews --kind action

    Parameters
    ----------
    state: pending, another state of a review, or all.
    kind: output, action, sensitive, sampled, effect_unknown or submission_unknown.
    role: only what this role decides.
    job: only this job's.
    mine: only what you have claimed.
    limit: at most so many.
    cursor: where the former page ended.
    as_json: print JSON.
    """
    filters = {"state": None if state == "all" else state, "kind": kind, "role": role, "job": job}
    with client_here() as client:
        page = client.reviews(**filters, mine=mine, limit=limit, cursor=cursor)
    if as_json:
        put_json(page)
        return 0
    for one in page["data"]:
        by = f"  claimed by {one['claim']['by']}" if one["claim"] else ""
        until = one["respond_by"] or "-"
        put(
            f"{one['id']}  {one['kind']:<18} {one['state']:<17} {one['role']:<9} until {until}  {one['job']}{by}"
        )
    if not page["data"]:
        say("nothing waits for a decision" if state == "pending" else "no reviews match these filters")
    if page["next_cursor"]:
        say(f"more: --cursor {page['next_cursor']}")
    return 0


def review(review_id: str, *, inputs: _Flag = False, save: str | None = None, as_json: _Json = False) -> int:
    """Show exactly what is decided on, hidden characters made visible: backlane review rev_…

    Parameters
    ----------
    review_id: the review's id, or its job's.
    inputs: show what was submitted too; that you read it is a line of the audit log.
    save: a folder; every artifact that is decided on is written there as it is, named by its id.
    as_json: print JSON: the review, and with `contents` the text of each artifact as it is.
    """
    from backlane.cli.review_card import card

    with client_here() as client:
        shown = _shown(client, review_id, inputs=inputs)
    if save is not None:
        _save(shown, Path(save))
    if as_json:
        contents = {
            one.row["id"]: one.content.decode(errors="replace") for one in (*shown.pieces, *shown.evidence)
        }
        put_json({**shown.review, "contents": contents})
    else:
        put_lines(card(shown))
    return 0


def _shown(client: "Client", review_id: str, *, inputs: bool = False) -> "Shown":
    from backlane.cli.review_card import read_shown

    return read_shown(client, client.review(_named(client, review_id)), inputs=inputs)


def _named(client: "Client", given: str) -> str:
    """The review's id; a job's id names its newest review."""
    if not given.startswith("job_"):
        return given
    found = client.get(given).data["review"]["id"]
    if found is None:
        raise ServiceError(f"{given} has no review; see: backlane reviews", status=404)
    return str(found)


def _save(shown: "Shown", folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in (*shown.pieces, *shown.evidence):
            # A name that a model gave is never part of a path.
            (folder / str(one.row["id"])).write_bytes(one.content)
    except OSError as error:
        raise SettingsError(f"--save {folder}: {error.strerror}; name a folder you may write to") from None
    say(f"{len(shown.pieces) + len(shown.evidence)} artifacts are in {folder}")


def approve(
    review_id: str,
    *,
    edits: str | None = None,
    notes: str | None = None,
    payload_hash: Annotated[str | None, Parameter(name="--hash")] = None,
    take_over: _Flag = False,
    tell_requester: _Flag = False,
    as_json: _Json = False,
) -> int:
    """Show a review, then approve exactly what was shown: backlane approve rev_… --edits better.json

    At a terminal you are asked first. With --hash, nothing but the version of that hash is approved.

    Parameters
    ----------
    review_id: the review's id, or its job's.
    edits: a file with the whole new value, - for standard input; only the edited version is then released or done.
    notes: why; kept with the decision.
    payload_hash: the hash you saw; another version is refused.
    take_over: decide although somebody else has claimed it.
    tell_requester: the requester may read the notes.
    as_json: print JSON.
    """
    from backlane.cli.review_card import card

    fields: dict[str, Any] = {"notes": notes, "take_over": take_over, "tell_requester": tell_requester}
    with client_here() as client:
        shown = _shown(client, review_id)
        if edits is not None:
            fields["edits"] = _edits(edits, as_text=shown.is_text)
        if payload_hash is None:
            if as_json:
                say(f"this is approved: {shown.hash}")
            else:
                put_lines(card(shown))
            _confirm(shown, edits)
        done = client.approve(shown.review["id"], payload_hash or shown.hash, **fields)
    return _decided(done, as_json)


def _edits(source: str, *, as_text: bool) -> Any:
    """The edited value: text for a text result, JSON for everything else."""
    try:
        raw = sys.stdin.read() if source == "-" else Path(source).read_text()
        return raw if as_text else json.loads(raw)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"--edits {source}: {error}; name a readable file") from None
    except ValueError:
        raise SettingsError(f"--edits {source}: is not JSON; write the whole new value") from None


def _confirm(shown: "Shown", edits: str | None) -> None:
    """Ask a person at a terminal; a script that names no hash approves what was just printed."""
    if not sys.stdin.isatty() or edits == "-":
        return
    sys.stderr.write(f"Approve {shown.hash}{' with your edits' if edits else ''}? Type yes: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ServiceError("nothing was approved")


def reject(
    review_id: str,
    *,
    notes: str,
    reason_code: _Code | None = None,
    payload_hash: Annotated[str | None, Parameter(name="--hash")] = None,
    take_over: _Flag = False,
    tell_requester: _Flag = False,
    as_json: _Json = False,
) -> int:
    """Reject it, which ends the job: backlane reject rev_… --notes "not our tone" --reason-code tone

    Parameters
    ----------
    review_id: the review's id, or its job's.
    notes: why; kept with the decision.
    reason_code: the same in one word, to count by.
    payload_hash: the hash you saw; another version is refused.
    take_over: decide although somebody else has claimed it.
    tell_requester: the requester may read the notes.
    as_json: print JSON.
    """
    flags = {"take_over": take_over, "tell_requester": tell_requester}
    with client_here() as client:
        found = client.review(_named(client, review_id))
        seen = payload_hash or found["payload_hash"] or ""
        done = client.reject(found["id"], seen, notes=notes, reason_code=reason_code, **flags)
    return _decided(done, as_json)


def request_changes(
    review_id: str,
    *,
    notes: str,
    payload_hash: Annotated[str | None, Parameter(name="--hash")] = None,
    take_over: _Flag = False,
    as_json: _Json = False,
) -> int:
    """Send it back to the model with your words: backlane request-changes rev_… --notes "Shorter, and name the source."

    Parameters
    ----------
    review_id: the review's id, or its job's.
    notes: what to change; the model is given exactly this.
    payload_hash: the hash you saw; another version is refused.
    take_over: decide although somebody else has claimed it.
    as_json: print JSON.
    """
    with client_here() as client:
        found = client.review(_named(client, review_id))
        seen = payload_hash or found["payload_hash"] or ""
        done = client.request_changes(found["id"], seen, notes, take_over=take_over)
    if not as_json:
        say("the model works on it again; what it makes comes as a new review")
    return _decided(done, as_json)


def claim(review_id: str, *, take_over: str | None = None, as_json: _Json = False) -> int:
    """Say that you are looking at it, for a quarter of an hour: backlane claim rev_…

    Parameters
    ----------
    review_id: the review's id, or its job's.
    take_over: why you override somebody else's claim.
    as_json: print JSON.
    """
    with client_here() as client:
        return _claimed(client.claim(_named(client, review_id), take_over=take_over), as_json)


def release_claim(review_id: str, *, as_json: _Json = False) -> int:
    """Give your claim back: backlane release-claim rev_…

    Parameters
    ----------
    review_id: the review's id, or its job's.
    as_json: print JSON.
    """
    with client_here() as client:
        return _claimed(client.release_claim(_named(client, review_id)), as_json)


def _claimed(found: dict[str, Any], as_json: bool) -> int:
    if as_json:
        put_json(found)
    elif found["claim"]:
        put(f"{found['id']}  claimed by {found['claim']['by']}, until {found['claim']['until']}")
    else:
        put(f"{found['id']}  nobody's")
    return 0


def _decided(found: dict[str, Any], as_json: bool) -> int:
    if as_json:
        put_json(found)
        return 0
    put(f"{found['id']}  {found['state']}  {found['job']}")
    if found["state"] == "pending":
        say(f"it waits for more people: {found['quorum']} must approve this version, {found['payload_hash']}")
    return 0
