"""The rule of release, as a table: who may find which things of a job, by what became of its gate.

It states the contract, not the code: everything that is not named here must be found nowhere.
"""

from collections.abc import Mapping
from types import MappingProxyType

from tests.release.kinds import ACTS, Thing

# What a run leaves behind, by how far it came. OUTPUT is everything that a model or a tool wrote.
_BEGUN = frozenset({Thing.LIVE, Thing.TOOL, Thing.CALL})
_ANSWER = frozenset({Thing.TEXT, Thing.SOURCE, Thing.NAME, Thing.FILE, Thing.CODE})
OUTPUT = _BEGUN | _ANSWER | {Thing.PARTIAL, Thing.ACTION, Thing.RECEIPT, Thing.EDIT, Thing.PROVIDER}
# Those who see every job of the workspace, and reviewers those that were under review for their role.
COLLEAGUES = ("rita", "olga", "adam", "sue with a reason")
# The requester, whatever else they may be.
REQUESTER = ("ana", "ana the reviewer", "ana the admin")
STRANGERS = ("bob", "robot", "eve", "nobody")

_STOPPED = ("running", "incomplete", "failed")
# Nobody is asked about these.
_UNREVIEWED = ("read", "spared", "policed")
REVIEWED = ("pending", "approved", "edited", "rejected", "told why", "silence", "window", "canceled")
STATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "read": ("not_required", *_STOPPED),
        "sensitive": (*REVIEWED, *_STOPPED, "sent back"),
        "draft": (*REVIEWED, *_STOPPED, "sent back", "changed", "late"),
        "low": (*REVIEWED, *_STOPPED, "sent back"),
        "effect": (*REVIEWED, *_STOPPED, "sent back"),
        "missed": ("pending", "edited", "rejected"),
        "drawn": ("pending", "approved"),
        "spared": ("not_required",),
        "policed": ("not_required", "refused"),
        "pair": ("half",),
        "slow": ("undone",),
        "beside": ("unread",),
        "remote": ("pending", "approved"),
    }
)


def made(kind: str, state: str) -> frozenset[Thing]:
    """Everything that exists of a job."""
    found = {Thing.INPUT, Thing.ASIDE, *_BEGUN}
    if kind == "remote":
        there = frozenset({Thing.INPUT, Thing.ASIDE, Thing.ACTION})
        return there | {Thing.RECEIPT, Thing.TEXT} if state == "approved" else there
    if kind == "beside":
        return frozenset(found | {Thing.ACTION, Thing.RECEIPT, Thing.PARTIAL})
    if state in ("edited", "told why", "half"):
        found.add(Thing.TOLD)
    if state == "edited":
        found.add(Thing.EDIT)
    if state in _STOPPED:
        # The provider's words about a sensitive job may quote it: nobody is told them.
        words = {Thing.PROVIDER} if kind != "sensitive" else set[Thing]()
        return frozenset(found | {"incomplete": {Thing.PARTIAL}, "failed": words}.get(state, set()))
    if state == "late":
        found.add(Thing.PARTIAL)
    if kind == "missed":
        return frozenset(found - _BEGUN | {Thing.PARTIAL})
    if kind not in ACTS:
        return frozenset(found | _ANSWER)
    found.add(Thing.ACTION)
    return (
        frozenset(found | _ANSWER | {Thing.RECEIPT}) if state in ("approved", "edited") else frozenset(found)
    )


def gate(kind: str, state: str) -> str:
    """What became of its gate: `whole`, `edited` (the edited version only), or `closed`."""
    if kind in ("read", "spared") or state in ("approved", "not_required", "changed", "late"):
        return "whole"
    if state == "edited":
        # Of an action its arguments are edited: what is written after it did happen is released whole.
        return "whole" if kind in ACTS else "edited"
    return "closed"


def _never(kind: str, state: str) -> frozenset[Thing]:
    """What stays closed to the requester, however the job is released."""
    if state == "late":
        return frozenset({Thing.PARTIAL})
    if state == "changed":
        # Of a draft that was sent back what its tools brought is the next one's evidence; its words are nobody's.
        return frozenset({Thing.LIVE, Thing.TEXT, Thing.FILE})
    # New arguments take the place of those that were proposed.
    return frozenset({Thing.ACTION}) if state == "edited" and kind in ACTS else frozenset()


def may_find(who: str, kind: str, state: str) -> frozenset[Thing]:
    """What this caller finds over all surfaces together: exactly this, no more and no less."""
    there = made(kind, state)
    if who in STRANGERS:
        return frozenset()
    if who == "sue":
        return there - OUTPUT - {Thing.INPUT, Thing.TOLD}
    if who in REQUESTER:
        own = there - {Thing.ASIDE} - _never(kind, state)
        if state == "half":
            own -= {Thing.TOLD}
        released = {"whole": OUTPUT, "edited": frozenset({Thing.EDIT}), "closed": frozenset[Thing]()}
        return own - OUTPUT | (own & released[gate(kind, state)])
    if who == "rita" and (kind in _UNREVIEWED or state in _STOPPED):
        return frozenset()
    if who == "sue with a reason":
        # Support reads no reviews: not what was first shown in one, nor a note in it.
        there -= {Thing.TOLD} if state == "half" else set[Thing]()
        there -= {Thing.ACTION} if state == "edited" and kind in ACTS else set[Thing]()
    return there
