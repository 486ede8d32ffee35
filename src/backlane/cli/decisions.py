"""Commands that decide a review: exactly what was printed here, or the version of the hash that is named."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from backlane.cli.jobs import client_here
from backlane.cli.printing import put, put_json, put_lines, say
from backlane.cli.reviews import named, read_here
from backlane.errors import ServiceError, SettingsError

if TYPE_CHECKING:
    from backlane.cli.review_card import Shown
    from backlane.client import Client

_Json = Annotated[bool, Parameter(name="--json", negative=())]
_Flag = Annotated[bool, Parameter(negative=())]
_Hash = Annotated[str | None, Parameter(name="--hash")]
_Code = Literal[
    "wrong", "incomplete", "unsupported", "tone", "policy", "sensitive", "duplicate", "not_needed", "other"
]


def approve(
    review_id: str,
    *,
    edits: str | None = None,
    notes: str | None = None,
    payload_hash: _Hash = None,
    take_over: str | None = None,
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
    take_over: why you decide although somebody else has claimed it.
    tell_requester: the requester may read the notes.
    as_json: print JSON.
    """
    fields: dict[str, Any] = {"notes": notes, "take_over": take_over, "tell_requester": tell_requester}
    with client_here() as client:
        shown = read_here(client, review_id)
        if edits is not None:
            fields["edits"] = _edits(edits, as_text=shown.is_text)
        if payload_hash is None:
            _agree(shown, "approve", "approved", edits, as_json)
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


def _agree(shown: "Shown", verb: str, done: str, edits: str | None, as_json: bool) -> None:
    """Print what is decided on, and ask a person at a terminal; a script decides on what was just printed."""
    from backlane.cli.review_card import card

    if as_json:
        say(f"this is {done}: {shown.hash}")
    else:
        put_lines(card(shown))
    if not sys.stdin.isatty() or edits == "-":
        return
    sys.stderr.write(f"{verb.capitalize()} {shown.hash}{' with your edits' if edits else ''}? Type yes: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ServiceError(f"nothing was {done}")


def _agreed(
    client: "Client", review_id: str, payload_hash: str | None, verb: str, done: str, *, as_json: bool
) -> tuple[str, str]:
    """The review's id and the hash to decide on: the one that is named, else that of what is printed here."""
    if payload_hash is not None:
        return named(client, review_id), payload_hash
    shown = read_here(client, review_id)
    _agree(shown, verb, done, None, as_json)
    return str(shown.review["id"]), shown.hash


def reject(
    review_id: str,
    *,
    notes: str,
    reason_code: _Code | None = None,
    payload_hash: _Hash = None,
    take_over: str | None = None,
    tell_requester: _Flag = False,
    as_json: _Json = False,
) -> int:
    """Show it, then reject it, which ends the job: backlane reject rev_… --notes "not our tone" --reason-code tone

    At a terminal you are asked first. With --hash, nothing but the version of that hash is rejected.

    Parameters
    ----------
    review_id: the review's id, or its job's.
    notes: why; kept with the decision.
    reason_code: the same in one word, to count by.
    payload_hash: the hash you saw; another version is refused.
    take_over: why you decide although somebody else has claimed it.
    tell_requester: the requester may read the notes.
    as_json: print JSON.
    """
    fields: dict[str, Any] = {"take_over": take_over, "tell_requester": tell_requester}
    with client_here() as client:
        found, seen = _agreed(client, review_id, payload_hash, "reject", "rejected", as_json=as_json)
        done = client.reject(found, seen, notes=notes, reason_code=reason_code, **fields)
    return _decided(done, as_json)


def request_changes(
    review_id: str,
    *,
    notes: str,
    payload_hash: _Hash = None,
    take_over: str | None = None,
    as_json: _Json = False,
) -> int:
    """Show it, then send it back with a note: backlane request-changes rev_… --notes "Shorter, and name the source."

    At a terminal you are asked first. With --hash, nothing but the version of that hash is sent back.

    Parameters
    ----------
    review_id: the review's id, or its job's.
    notes: what to change; the model is given exactly this.
    payload_hash: the hash you saw; another version is refused.
    take_over: why you decide although somebody else has claimed it.
    as_json: print JSON.
    """
    with client_here() as client:
        found, seen = _agreed(client, review_id, payload_hash, "send back", "sent back", as_json=as_json)
        done = client.request_changes(found, seen, notes, take_over=take_over)
    if not as_json:
        say("the model works on it again; what it makes comes as a new review")
    return _decided(done, as_json)


def _decided(found: dict[str, Any], as_json: bool) -> int:
    if as_json:
        put_json(found)
        return 0
    put(f"{found['id']}  {found['state']}  {found['job']}")
    if found["state"] == "pending":
        say(f"it waits for more people: {found['quorum']} must approve this version, {found['payload_hash']}")
    return 0
