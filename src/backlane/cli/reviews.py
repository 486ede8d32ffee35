"""Commands of reviewers: what waits, exactly what it shows, and who is looking at it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from backlane.cli.jobs import client_here
from backlane.cli.printing import put, put_json, put_lines, say
from backlane.errors import ServiceError, SettingsError

if TYPE_CHECKING:
    from backlane.cli.review_card import Shown
    from backlane.client import Client

_Json = Annotated[bool, Parameter(name="--json", negative=())]
_Flag = Annotated[bool, Parameter(negative=())]


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
        shown = read_here(client, review_id, inputs=inputs)
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


def read_here(client: "Client", review_id: str, *, inputs: bool = False) -> "Shown":
    """The review, by its id or its job's, with everything it shows."""
    from backlane.cli.review_card import read_shown

    return read_shown(client, client.review(named(client, review_id)), inputs=inputs)


def named(client: "Client", given: str) -> str:
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


def claim(review_id: str, *, take_over: str | None = None, as_json: _Json = False) -> int:
    """Say that you are looking at it, for a quarter of an hour: backlane claim rev_…

    Parameters
    ----------
    review_id: the review's id, or its job's.
    take_over: why you override somebody else's claim.
    as_json: print JSON.
    """
    with client_here() as client:
        return _claimed(client.claim(named(client, review_id), take_over=take_over), as_json)


def release_claim(review_id: str, *, as_json: _Json = False) -> int:
    """Give your claim back: backlane release-claim rev_…

    Parameters
    ----------
    review_id: the review's id, or its job's.
    as_json: print JSON.
    """
    with client_here() as client:
        return _claimed(client.release_claim(named(client, review_id)), as_json)


def _claimed(found: dict[str, Any], as_json: bool) -> int:
    if as_json:
        put_json(found)
    elif found["claim"]:
        put(f"{found['id']}  claimed by {found['claim']['by']}, until {found['claim']['until']}")
    else:
        put(f"{found['id']}  nobody's")
    return 0
