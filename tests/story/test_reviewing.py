"""A reviewer with a terminal and nothing else: sees exactly what is decided on, and decides exactly that."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from backlane import AsyncClient
from backlane.errors import ServiceError
from backlane.service.claim import claim
from tests.conftest import Place
from tests.story.acting import REFUND, acting, asked_for, done, waits, world
from tests.story.action_types import World
from tests.story.acts import TEXT, finished, script, seen, submitted, verified
from tests.story.commands import Told, command, served
from tests.story.test_changes import FIRST, NOTE, SECOND
from tests.story.test_decisions import asked, content

__all__ = ["acting", "world"]
# What turns the text around, draws nothing, drives a terminal, or looks like what it is not.
HOSTILE = (
    "Pay o-17\u202e71-o yap\u202c\u200b to \x1b[31mp\u0430ypal.com\x1b[0m\x07 \u2800⟨U+0041⟩ \x9b2J "
    "e\u0301\u0301\u0301\u0301"
)


class Reviewer:
    """Somebody at a terminal."""

    def __init__(self, url: str, key: str) -> None:
        self._environment: Mapping[str, str] = {"BACKLANE_URL": url, "BACKLANE_API_KEY": key}

    async def types(self, *words: str, code: int = 0) -> Told:
        told = await command(self._environment, *words)
        assert told.code == code, told
        return told

    async def waiting(self, *filters: str) -> list[str]:
        """The ids of the reviews that wait."""
        return [line.split()[0] for line in (await self.types("reviews", *filters)).out.splitlines()]


async def test_every_command_that_shows_an_output_says_that_it_is_simulated(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana)
    assert review["simulated"] is True
    async with served(acting) as url:
        rita = Reviewer(url, await acting.key("rita", "reviewer"))
        root = Reviewer(url, await acting.key("root", "admin"))
        assert "(simulated)" in (await rita.types("review", review["id"])).out
        await rita.types("approve", review["id"])
        view = await finished(acting, ana, job)
        assert view["status"] == "completed" and view["actions"][0]["simulated"] is True
        for words in (("show", job.id), ("jobs",), ("lanes",), ("actions", "show", view["actions"][0]["id"])):
            assert "simulated" in (await root.types(*words)).out, words
        for more in ((), ("--json",)):
            # Beside what is printed, so that what is piped on is the text alone, and once.
            watched = await root.types("watch", job.id, *more)
            assert watched.err.splitlines()[0] == "(simulated)"
            assert (watched.out + watched.err).count("(simulated)") == 1


async def test_a_reviewer_using_only_commands_does_the_whole_job(
    acting: Place, world: World, tmp_path: Path
) -> None:
    ana = await acting.caller()
    for text in ("A first draft.", "A draft to reject.", "A draft that is too long.", "A short draft."):
        script(acting, {"text": text})
    jobs = [await submitted(acting, ana, "refund")]
    await waits(acting, ana, jobs[0], "output")
    jobs.append(await submitted(acting, ana, "refund"))
    await waits(acting, ana, jobs[1], "output")
    jobs.append(await submitted(acting, ana, "refund"))
    await waits(acting, ana, jobs[2], "output")
    async with served(acting) as url:
        rita = Reviewer(url, await acting.key("rita", "reviewer"))
        first, second, third = await rita.waiting()
        shown = (await rita.types("review", first)).out
        assert "│ A first draft." in shown and "from the model · 14 bytes, 14 characters" in shown
        assert "may       approve, request_changes, reject, claim" in shown
        await rita.types("claim", first)
        assert await rita.waiting("--mine") == [first]
        assert "│ A first draft." in (await rita.types("approve", first, "--notes", "fine")).out
        await rita.types("reject", second, "--notes", "no", "--reason-code", "tone")
        await rita.types("request-changes", third, "--notes", "Shorter.")
        await seen(acting, ana, jobs[2].id, lambda view: view["review"]["id"] != third)
        await waits(acting, ana, jobs[2], "output")
        better = tmp_path / "better.md"
        better.write_text("The shortest draft.")
        # A job's id names its newest review.
        edited = await rita.types("approve", jobs[2].id, "--edits", str(better))
        assert "│ A short draft." in edited.out
        job, review = await asked_for(acting, ana)
        act = await rita.types("review", review["id"])
        assert 'order = "o-17"' in act.out and "proposed by the model" in act.out
        assert "── evidence" not in act.out and TEXT not in act.out
        with_inputs = (await rita.types("review", review["id"], "--inputs")).out
        assert any(line.startswith("┊") and TEXT in line for line in with_inputs.splitlines())
        assert not any(line.startswith("│") and TEXT in line for line in with_inputs.splitlines())
        assert await rita.waiting("--kind", "action", "--job", job.id) == [review["id"]]
        script(acting, {"text": "Done."})
        await rita.types("approve", review["id"], "--hash", review["payload_hash"])
        await seen(acting, ana, job.id, done)
        assert (await rita.types("reviews")).err.strip() == "nothing waits for a decision"
    views = [await seen(acting, ana, one.id, done) for one in jobs]
    assert [view["status"] for view in views] == ["completed", "failed", "completed"]
    assert await content(acting, ana, views[0]) == "A first draft."
    assert await content(acting, ana, views[2]) == "The shortest draft."
    assert world.orders() == ["o-17"]
    verified(acting, world.log())


async def test_what_is_hidden_is_shown_and_nothing_reaches_the_terminal(acting: Place, world: World) -> None:
    ana = await acting.caller()
    script(acting, {"text": HOSTILE})
    job = await submitted(acting, ana, "refund", text=HOSTILE)
    await waits(acting, ana, job, "output")
    async with served(acting) as url:
        rita = Reviewer(url, await acting.key("rita", "reviewer"))
        for words in (["review", job.id], ["show", job.id], ["reviews"], ["jobs"]):
            told = await rita.types(*words)
            for char in told.out + told.err:
                assert char.isprintable() or char == "\n", (words, hex(ord(char)))
        shown = (await rita.types("review", job.id)).out
        for code in ("202E", "202C", "200B", "001B", "0007", "2800", "009B", "0430", "27E8", "0301"):
            assert f"⟨U+{code}⟩" in shown
        raw = HOSTILE.encode()
        assert f"{len(raw)} bytes, {len(HOSTILE)} characters" in shown
        assert "scripts: CYRILLIC, LATIN" in shown
        exact = json.loads((await rita.types("review", job.id, "--json")).out)
        assert HOSTILE in exact["contents"].values()
        await rita.types("approve", job.id, "--json")
        for words in (["watch", job.id], ["show", job.id]):
            told = await rita.types(*words)
            assert all(char.isprintable() or char == "\n" for char in told.out + told.err), words
        assert "⟨U+202E⟩" in told.out
    verified(acting, world.log())


async def test_hostile_arguments_of_an_action_are_shown_as_they_are(acting: Place, world: World) -> None:
    ana = await acting.caller()
    _, review = await asked_for(acting, ana, {**REFUND, "order": f"{HOSTILE}\n│ amount = 1"})
    async with served(acting) as url:
        rita = Reviewer(url, await acting.key("rita", "reviewer"))
        shown = (await rita.types("review", review["id"])).out
        lines = [line for line in shown.splitlines() if line.startswith("│ amount")]
        assert lines == ['│ amount = "12.5"']
        assert "⟨U+202E⟩" in shown
        assert "\u202e" not in shown
        # Exactly the bytes that the hash covers.
        at = shown.index("byte by byte · ")
        assert shown[at:].split()[4] == str(len(review_bytes(review)))
    verified(acting, world.log())


def review_bytes(review: dict[str, Any]) -> bytes:
    import rfc8785

    return rfc8785.dumps(review["payload"])


async def test_only_the_version_that_was_shown_is_decided(working: Place, tmp_path: Path) -> None:
    ana = await working.caller()
    script(working, {"text": FIRST})
    job, review = await asked(working, ana)
    async with served(working) as url:
        rita = Reviewer(url, await working.key("rita", "reviewer"))
        stale = await rita.types("approve", review["id"], "--hash", "sha256:00", code=3)
        assert stale.err.count("\n") == 1 and "look at it again" in stale.err
        await rita.types("reject", review["id"], "--hash", "sha256:00", "--notes", "no", code=3)
        for edits, code in (("none.json", 2), ("bad.json", 2), ("wrong.json", 1)):
            (tmp_path / "bad.json").write_text("{")
            (tmp_path / "wrong.json").write_text('{"summary": 1}')
            refused = await rita.types("approve", review["id"], "--edits", str(tmp_path / edits), code=code)
            assert "edits" in refused.err and refused.err.count("\n") == 1
        await rita.types("reject", review["id"], code=2)
        await rita.types("review", "rev_unknown", code=3)
        await rita.types("request-changes", review["id"], "--notes", " ", code=1)
        mine = Reviewer(url, await working.key())
        await mine.types("approve", review["id"], code=3)
        await mine.types("approve", job.id, code=3)
        (tmp_path / "good.json").write_text(SECOND)
        await rita.types("approve", review["id"], "--edits", str(tmp_path / "good.json"))
        again = await rita.types("approve", review["id"], "--hash", review["payload_hash"], code=3)
        assert "approved" in again.err
    assert json.loads(await content(working, ana, await finished(working, ana, job))) == json.loads(SECOND)
    verified(working)


async def test_a_claim_keeps_others_waiting_until_it_is_taken_over(working: Place, tmp_path: Path) -> None:
    ana, rob = await working.caller(), await working.caller("rob", "reviewer")
    _, review = await asked(working, ana)
    await claim(working.service.ports, rob, review["id"])
    async with served(working) as url:
        rita = Reviewer(url, await working.key("rita", "reviewer"))
        assert "claimed by rob" in (await rita.types("reviews")).out
        assert "rob is looking at it" in (await rita.types("approve", review["id"], code=3)).err
        await rita.types("claim", review["id"], code=3)
        await rita.types("claim", review["id"], "--take-over", "rob is away")
        given_back = await rita.types("release-claim", review["id"], "--json")
        assert json.loads(given_back.out)["claim"] is None
        await rita.types("review", review["id"], "--save", str(tmp_path / "all"))
        saved = {file.name: file.read_bytes() for file in (tmp_path / "all").iterdir()}
        assert set(saved) == {one["id"] for one in review["payload"]["artifacts"]}
    verified(working)


async def test_a_program_decides_through_the_client(working: Place) -> None:
    ana = await working.caller()
    for text in (FIRST, SECOND, FIRST):
        script(working, {"text": text})
    job, review = await asked(working, ana)
    async with served(working) as url, AsyncClient(url, await working.key("rita", "reviewer")) as rita:
        page = await rita.reviews(state="pending", mine=False, job=job.id)
        assert [one["id"] for one in page["data"]] == [review["id"]]
        await rita.claim(review["id"])
        assert [one["id"] for one in (await rita.reviews(mine=True))["data"]] == [review["id"]]
        assert (await rita.release_claim(review["id"]))["claim"] is None
        back = await rita.request_changes(review["id"], review["payload_hash"], NOTE)
        assert back["state"] == "changes_requested"
        view = await seen(working, ana, job.id, lambda view: view["review"]["state"] == "pending")
        newer = await rita.review(view["review"]["id"])
        with pytest.raises(ServiceError, match="look at it again"):
            await rita.reject(newer["id"], review["payload_hash"], notes="no")
        done = await rita.approve(
            newer["id"], newer["payload_hash"], edits={"summary": "Mine.", "themes": []}
        )
        assert done["state"] == "approved"
    verified(working)


async def test_what_does_not_fit_its_hash_is_neither_shown_nor_decided(working: Place) -> None:
    ana = await working.caller()
    script(working, {"text": FIRST})
    job, review = await asked(working, ana)
    working.service.store.database.write_now(
        lambda connection: connection.exec_driver_sql(
            'UPDATE reviews SET payload = replace(payload, \'"policy_version":"1"\', \'"policy_version":"2"\')'
        )
    )
    async with served(working) as url:
        rita = Reviewer(url, await working.key("rita", "reviewer"))
        notes = ("--notes", "no")
        for verb, words in (("review", ()), ("approve", ()), ("reject", notes), ("request-changes", notes)):
            told = await rita.types(verb, review["id"], *words, code=1)
            assert "does not hash to its payload_hash" in told.err and told.out == ""
    assert (await finished(working, ana, job))["status"] == "needs_review"


async def test_what_an_action_rests_on_is_shown_beside_it(acting: Place, world: World) -> None:
    ana = await acting.caller()
    for orders in ("a", "b"):
        script(acting, {"text": json.dumps({"orders": [orders], "words": f"words of {orders}"})})
    job = await submitted(acting, ana, "planned")
    first = (await waits(acting, ana, job))["review"]["id"]
    async with served(acting) as url:
        rita = Reviewer(url, await acting.key("rita", "reviewer"))
        shown = (await rita.types("review", first)).out
        assert "── evidence, no part of what is decided on: result result.json" in shown
        assert [line[0] for line in shown.splitlines() if "words of a" in line] == ["┊"]
        await rita.types("request-changes", first, "--notes", NOTE)
        await seen(acting, ana, job.id, lambda view: view["review"]["id"] != first)
        again = (await rita.types("review", job.id)).out
        assert "words of b" in again and "words of a" not in again
    verified(acting, world.log())


class Terminal(io.StringIO):
    """Somebody who types at a terminal."""

    def isatty(self) -> bool:
        return True


async def test_at_a_terminal_nothing_is_approved_without_a_yes(
    working: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await working.caller()
    script(working, {"text": FIRST})
    job, review = await asked(working, ana)
    async with served(working) as url:
        rita = Reviewer(url, await working.key("rita", "reviewer"))
        monkeypatch.setattr("sys.stdin", Terminal("no\n"))
        told = await rita.types("approve", review["id"], code=1)
        assert "Otters float." in told.out and "nothing was approved" in told.err
        assert (await finished(working, ana, job))["status"] == "needs_review"
        monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
        assert review["payload_hash"] in (await rita.types("approve", review["id"])).err
    assert (await finished(working, ana, job))["status"] == "completed"
    verified(working)
