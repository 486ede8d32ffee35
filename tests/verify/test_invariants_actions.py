"""The checker of actions can fail: each planted corruption of good evidence is found, under the right name."""

import copy
import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from backlane.outbound.folder import ArtifactFolder
from backlane.verify.collect import collect
from backlane.verify.evidence import Evidence
from backlane.verify.invariants import check
from backlane.verify.invariants_actions import ACTION_INVARIANTS
from tests.conftest import Place
from tests.story.acting import REFUND, acting, approve, asked_for, done, review_of, waits, world
from tests.story.action_types import World
from tests.story.acts import script, seen

__all__ = ["acting", "world"]  # fixtures
Rows = dict[str, Any]


async def evidence_of(acting: Place, world: World) -> Evidence:
    """A job with two approvers and an edit, one whose lookup said no, and one that a person resolved."""
    ana, rosa = await acting.caller(), await acting.caller("rosa", "reviewer")
    job, review = await asked_for(acting, ana, type_name="pair-refund")
    script(acting, {"text": "Done."})
    await approve(acting, review, rosa)
    await approve(acting, review, edits={"order": "o-20", "amount": "1"})
    await approve(acting, await review_of(acting, await waits(acting, ana, job)), rosa)
    await seen(acting, ana, job.id, done)
    job, review = await asked_for(acting, ana, {**REFUND, "how": "hangs-before"})
    await approve(acting, review)
    await seen(acting, ana, job.id, done)
    await asked_for(acting, ana)
    folder = ArtifactFolder.from_url(acting.settings.artifacts_url)
    log = list(acting.simulator.world.log)
    return collect(acting.service.store.database, folder.read, provider_log=log, world_log=world.log())


def the_pair(rows: Rows) -> Rows:
    return next(row for row in rows["actions"] if row["state"] == "succeeded")


def the_lost(rows: Rows) -> Rows:
    return next(row for row in rows["actions"] if row["state"] == "failed")


def sent(rows: Rows, action: Rows) -> Rows:
    return next(row for row in rows["dispatches"] if row["action_id"] == action["id"])


def review(rows: Rows) -> Rows:
    return next(row for row in rows["reviews"] if row["id"] == the_pair(rows)["review_id"])


def dispatch_twice(rows: Rows) -> None:
    rows["dispatches"].append(copy.deepcopy(rows["dispatches"][0]))


def act_twice(rows: Rows) -> None:
    rows["world_log"] += rows["world_log"]


def act_unseen(rows: Rows) -> None:
    rows["world_log"].append({"key": "bk_unknown"})


def another_key(rows: Rows) -> None:
    rows["dispatches"][0]["key"] = "bk_other"


def forget_dispatch(rows: Rows) -> None:
    rows["dispatches"].remove(sent(rows, the_pair(rows)))


def send_other_bytes(rows: Rows) -> None:
    sent(rows, the_pair(rows))["arguments"] = json.dumps({"amount": "1", "how": "plainly", "order": "evil"})


def say_other_bytes(rows: Rows) -> None:
    the_pair(rows)["arguments"] = json.dumps({"amount": "1", "how": "plainly", "order": "evil"})


def show_other_bytes(rows: Rows) -> None:
    review(rows)["payload"] = review(rows)["payload"].replace("o-20", "o-21")


def send_late(rows: Rows) -> None:
    the_pair(rows)["expires_at"] = sent(rows, the_pair(rows))["at"]


def send_before_approval(rows: Rows) -> None:
    dispatched(rows)["seq"] = 0


def dispatched(rows: Rows) -> Rows:
    name = the_pair(rows)["id"]
    told = [one for one in rows["events"] if one["type"] == "action.dispatched"]
    return next(one for one in told if json.loads(one["data"])["action"] == name)


def send_what_was_taken_back(rows: Rows) -> None:
    rows["events"].append({**dispatched(rows), "type": "action.undone", "seq": 10_000})


def lose_role(rows: Rows) -> None:
    for key in rows["keys"]:
        if key["name"] == "rosa":
            key["revoked_at"] = key["created_at"]


def turn_into_a_service(rows: Rows) -> None:
    for key in rows["keys"]:
        if key["name"] == "rosa":
            key.update(kind="service", may_decide=False)


def forget_vote(rows: Rows) -> None:
    rows["decisions"] = [one for one in rows["decisions"] if one["version"] == 1]


def without_approval(rows: Rows) -> None:
    sent(rows, the_pair(rows))["review_id"] = None


def send_after_the_end(rows: Rows) -> None:
    event = next(one for one in rows["events"] if one["type"] == "action.dispatched")
    rows["events"].append({**event, "seq": 10_000})


def wait_for_ever(rows: Rows) -> None:
    the_lost(rows)["state"] = "approved"


def reuse_approval(rows: Rows) -> None:
    sent(rows, the_lost(rows))["review_id"] = sent(rows, the_pair(rows))["review_id"]


def two_hashes(rows: Rows) -> None:
    next(one for one in rows["decisions"] if one["version"] == 2)["payload_hash"] = "sha256:0"


def keep_the_hash(rows: Rows) -> None:
    mine = [one for one in rows["decisions"] if one["review_id"] == the_pair(rows)["review_id"]]
    for one in mine:
        one["payload_hash"] = mine[0]["payload_hash"]


def borrow_attempt(rows: Rows) -> None:
    the_pair(rows)["attempt_id"] = the_lost(rows)["attempt_id"]


def vote_twice(rows: Rows) -> None:
    rows["decisions"].append(copy.deepcopy(rows["decisions"][-1]))


def vote_for_oneself(rows: Rows) -> None:
    rows["decisions"][0]["actor"] = "ana"


def vote_as_nobody(rows: Rows) -> None:
    rows["decisions"][0]["actor"] = "the model"


def pass_with_one(rows: Rows) -> None:
    review(rows)["quorum"] = 3


def reject_too(rows: Rows) -> None:
    rows["decisions"][-1]["decision"] = "reject"


def settle_by_nobody(rows: Rows) -> None:
    the_lost(rows)["settled_by"] = None


def settle_by_a_timer(rows: Rows) -> None:
    the_lost(rows)["settled_by"] = "person"


def believe_too_early(rows: Rows) -> None:
    the_lost(rows)["finished_at"] = the_lost(rows)["dispatched_at"] + 500


def succeed_in_silence(rows: Rows) -> None:
    the_pair(rows)["receipt"] = None


SPOILS: list[tuple[str, Callable[[Rows], None]]] = [
    ("I10", dispatch_twice), ("I10", act_twice), ("I10", act_unseen), ("I10", another_key), ("I10", forget_dispatch),
    ("I11", send_other_bytes), ("I11", say_other_bytes), ("I11", show_other_bytes),
    ("I12", send_late), ("I12", send_before_approval), ("I12", lose_role), ("I12", forget_vote),
    ("I12", without_approval), ("I12", send_after_the_end), ("I12", wait_for_ever),
    ("I12", send_what_was_taken_back), ("I12", turn_into_a_service), ("I14", turn_into_a_service),
    ("I13", reuse_approval), ("I13", two_hashes), ("I13", keep_the_hash), ("I13", borrow_attempt),
    ("I14", vote_twice), ("I14", vote_for_oneself), ("I14", vote_as_nobody), ("I14", pass_with_one),
    ("I14", reject_too),
    ("I15", settle_by_nobody), ("I15", settle_by_a_timer), ("I15", believe_too_early), ("I15", succeed_in_silence),
]  # fmt: skip


async def test_every_planted_corruption_of_an_action_is_found_under_its_name(
    acting: Place, world: World
) -> None:
    good = await evidence_of(acting, world)
    report = check(good)
    assert report.ok, report.lines()
    for invariant, spoil in SPOILS:
        rows = copy.deepcopy({field.name: getattr(good, field.name) for field in fields(good)})
        spoil(rows)
        found = {name for name, _ in check(replace(good, **rows)).violations}
        assert invariant in found, f"{spoil.__name__} went unnoticed ({found})"
    assert {name for name, _ in SPOILS} == set(ACTION_INVARIANTS)
