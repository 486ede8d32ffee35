"""Nobody decides on what was not shown: each deciding command prints it first, with the policy's word and each edit."""

import json
from pathlib import Path

import pytest

from backlane.service.claim import claim
from backlane.service.decide import decide
from backlane.service.read import read_job
from backlane.service.show_review import read_review
from tests.conftest import Place
from tests.story.acting import REFUND, acting, approve, asked_for
from tests.story.action_types import World
from tests.story.acts import finished, script, verified
from tests.story.commands import served
from tests.story.policed import credited, policed, world
from tests.story.test_changes import FIRST
from tests.story.test_decisions import answered, asked
from tests.story.test_reviewing import HOSTILE, Reviewer, Terminal

__all__ = ["acting", "policed", "world"]
WORDS = {"reject": "rejected", "request-changes": "sent back"}


@pytest.mark.parametrize("verb", WORDS)
async def test_rejecting_and_sending_back_show_it_first_and_ask_at_a_terminal(
    working: Place, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    ana = await working.caller()
    script(working, {"text": FIRST})
    job, review = await asked(working, ana)
    async with served(working) as url:
        rita = Reviewer(url, await working.key("rita", "reviewer"))
        monkeypatch.setattr("sys.stdin", Terminal("no\n"))
        told = await rita.types(verb, review["id"], "--notes", "Shorter.", code=1)
        assert any(line.startswith("│") and "Otters float." in line for line in told.out.splitlines())
        assert review["payload_hash"] in told.err and f"nothing was {WORDS[verb]}" in told.err
        assert (await finished(working, ana, job))["status"] == "needs_review"
        assert (await read_review(working.service.ports, ana, review["id"]))["decisions"] == []
        # With the hash of what was seen it is neither printed again nor asked about.
        monkeypatch.setattr("sys.stdin", Terminal(""))
        seen = ["--hash", review["payload_hash"]]
        stale = await rita.types(verb, review["id"], "--notes", "Shorter.", "--hash", "sha256:00", code=3)
        assert "look at it again" in stale.err
        done = await rita.types(verb, job.id, "--notes", "Shorter.", *seen)
        assert "Otters float." not in done.out
    ended = await read_review(working.service.ports, ana, review["id"])
    assert ended["state"] == {"reject": "rejected"}.get(verb, "changes_requested")
    verified(working)


@pytest.mark.parametrize("verb", WORDS)
async def test_a_script_that_names_no_hash_decides_on_what_is_printed_to_it(
    working: Place, verb: str
) -> None:
    ana = await working.caller()
    script(working, {"text": FIRST})
    _, review = await asked(working, ana)
    async with served(working) as url:
        rita = Reviewer(url, await working.key("rita", "reviewer"))
        told = await rita.types(verb, review["id"], "--notes", "Shorter.")
        assert "│" in told.out and "Otters float." in told.out and review["payload_hash"] in told.out
    [decision] = (await read_review(working.service.ports, ana, review["id"]))["decisions"]
    assert decision["by"] == "rita"
    verified(working)


async def test_a_claim_is_taken_over_with_the_decision_and_a_reason(working: Place) -> None:
    ana, rob = await working.caller(), await working.caller("rob", "reviewer")
    async with served(working) as url:
        rita = Reviewer(url, await working.key("rita", "reviewer"))
        for verb in ("approve", *WORDS):
            script(working, {"text": FIRST})
            _, review = await asked(working, ana)
            await claim(working.service.ports, rob, review["id"])
            words = [verb, review["id"], "--notes", "Shorter.", "--hash", review["payload_hash"]]
            assert "rob is looking at it" in (await rita.types(*words, code=3)).err
            assert "/reason" in (await rita.types(*words, "--take-over", " ", code=1)).err
            await rita.types(*words, "--take-over", "rob is away")
    verified(working)


async def test_the_card_says_what_the_policy_said_and_hides_nothing_of_it(
    policed: Place, world: World
) -> None:
    ana = await policed.caller()
    job = await credited(policed, ana, type_name="credit-pair")
    await finished(policed, ana, job)
    async with served(policed) as url:
        rita = Reviewer(url, await policed.key("rita", "reviewer"))
        shown = (await rita.types("review", job.id)).out
        review = json.loads((await rita.types("review", job.id, "--json")).out)
    said = review["policy"]
    assert said["answer"] == "review" and said["reason"]
    [line] = [line for line in shown.splitlines() if line.startswith("  policy  ")]
    for part in (said["answer"], said["reason"], said["policy"], said["version"]):
        assert part in line
    verified(policed, world.log())


async def test_after_an_edit_the_next_reviewer_sees_what_was_changed(acting: Place, world: World) -> None:
    ana = await acting.caller()
    rosa = await acting.caller("rosa", "reviewer")
    _, review = await asked_for(acting, ana, {**REFUND, "order": "o-17"}, type_name="pair-refund")
    assert review["former_payload"] is None
    await approve(acting, review, by=rosa, edits={**REFUND, "order": f"o-99{HOSTILE}"})
    async with served(acting) as url:
        rita = Reviewer(url, await acting.key("rita", "reviewer"))
        shown = (await rita.types("review", review["id"])).out
    lines = [line for line in shown.splitlines() if line.startswith("┊")]
    assert '┊ -   "order": "o-17"' in "\n".join(lines)
    [now] = [line for line in lines if line.startswith("┊ + ") and '"order"' in line]
    assert "o-99" in now and "⟨U+202E⟩" in now and "\u202e" not in shown
    assert not any('"amount"' in line for line in lines if line.startswith(("┊ +", "┊ -")))
    verified(acting, world.log())


async def test_an_edited_draft_is_shown_beside_the_draft_and_the_draft_stays_closed(
    working: Place, tmp_path: Path
) -> None:
    ports, ana = working.service.ports, await working.caller()
    rosa, rita = await working.caller("rosa", "reviewer"), await working.caller("rita", "reviewer")
    script(working, {"text": json.dumps({"summary": "A canary-5d sings.", "themes": ["birds"]})})
    job, review = await asked(working, ana, "pair")
    edits = {"summary": "A bird sings.", "themes": ["birds"]}
    await decide(ports, rosa, review["id"], answered(review, edits=edits))
    async with served(working) as url:
        shown = (await Reviewer(url, await working.key("rita", "reviewer")).types("review", job.id)).out
    changed = [line for line in shown.splitlines() if line.startswith(("┊ -", "┊ +"))]
    assert changed == ['┊ -   "summary": "A canary-5d sings.",', '┊ +   "summary": "A bird sings.",']
    newer = await read_review(ports, rita, review["id"])
    assert newer["former_payload"] == review["payload"]
    for caller in (ana, await working.caller("ana", "admin")):
        assert (await read_review(ports, caller, review["id"]))["former_payload"] is None
    await decide(ports, rita, review["id"], answered(newer))
    await finished(working, ana, job)
    assert (await read_job(ports, ana, job.id))["status"] == "completed"
    assert (await read_review(ports, ana, review["id"]))["former_payload"] is None
    verified(working)
