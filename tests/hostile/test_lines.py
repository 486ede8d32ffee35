"""What others wrote stays in the line it is quoted in, in every command that quotes it."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from backlane.service.access import Caller
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.hostile.corpus import framing, hidden
from tests.hostile.quoting import app
from tests.story.acts import script, seen, submitted, verified
from tests.story.commands import Told, command, served

PLAIN = "an order of otters"
# What ends a line, drives a terminal or turns text around, and can be sent at all; NUL is refused at the door.
TEXTS = [
    text
    for text in (*list(framing())[::6], *list(hidden())[::14], "approved\nrev_1  output  approved\x1b[2J")
    if text.strip()
    and len(text) < 120
    and "\x00" not in text
    and text.encode(errors="ignore").decode() == text
]
Environment = Mapping[str, str]


@pytest.fixture
async def place(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A service with the quoting type whose worker runs."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=app, log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    await service.drain(grace=5)


async def told(here: Environment, *words: str, code: int = 0) -> list[str]:
    """The lines of a command, as a terminal or an editor might break them; none holds a control character."""
    answer: Told = await command(here, *words)
    assert answer.code == code, (words, answer)
    said = answer.out + answer.err
    assert not {char for char in said if not char.isprintable() and char != "\n"}, words
    return said.splitlines()


async def counted(here: Environment, *words: str) -> None:
    """A list prints one line for each thing in it, and one of talk at most where there is none."""
    rows = json.loads((await command(here, *words, "--json")).out)
    found = rows["findings"] if "findings" in rows else rows["data"]
    lines = [line for line in (await told(here, *words)) if not line.startswith("    ")]
    talk = 2 if words[0] == "policy" else 0
    assert len(lines) == len(found) + talk, (words, lines)


async def about_an_action(place: Place, here: Environment, ana: Caller, text: str) -> dict[str, int]:
    """How many lines each command takes for a job whose model, policy and receipt say this."""
    olga = await place.caller("olga", "operator")
    script(place, {"tool_calls": [{"name": "pay", "arguments": {"order": text}}]})
    job = await submitted(place, ana, "quotes")
    view = await seen(place, olga, job.id, lambda view: view["status"] == "needs_review")
    review, action = view["review"]["id"], view["actions"][0]["id"]
    case = {"job": job.id, "reason": text, "notes": text}
    made = await _posted(place, "/cases", case)
    found = {
        "review": await told(here, "review", review),
        "refused": await told(here, "approve", review, "--hash", f"sha256:{text}", code=3),
        "confirmed": await told(here, "approve", review, f"--notes={text}"),
        "case": await told(here, "cases", made["id"], f"--owner={text[:100]}", f"--promise={text[:400]}"),
    }
    await seen(place, olga, job.id, lambda view: view["status"] == "completed")
    found["action"] = await told(here, "actions", "show", action)
    found["show"] = [line for line in await told(here, "show", job.id) if line.startswith("  ")]
    return {name: len(lines) for name, lines in found.items()}


async def _posted(place: Place, path: str, body: Any) -> Any:
    from tests.story.asking import asking

    async with asking(place, "rita", "admin") as http:
        answer = await http.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()


async def about_a_held_lane(place: Place, here: Environment, ana: Caller, text: str) -> dict[str, int]:
    """The same for a job that waits for a held lane, and that somebody asked operators to look at."""
    olga = await place.caller("olga", "operator")
    await told(here, "lanes", "hold", "background", f"--reason={text}")
    job = await submitted(place, ana, "quotes")
    await seen(place, olga, job.id, lambda view: view["phase"] == "incident")
    await told(here, "escalate", job.id, f"--reason={text}")
    await counted(here, "lanes")
    await counted(here, "doctor")
    waits = await told(here, "show", job.id)
    assert any("waiting on" in line for line in waits)
    await told(here, "cancel", job.id, f"--reason={text}")
    await told(here, "lanes", "release", "background", f"--reason={text}")
    await seen(place, olga, job.id, lambda view: view["status"] == "canceled")
    return {"waits": len(waits), "watch": len(await told(here, "watch", job.id, code=1))}


async def test_what_others_wrote_begins_no_line_of_its_own(place: Place) -> None:
    assert len(TEXTS) >= 5
    ana = await place.caller()
    async with served(place) as url:
        here = {
            "BACKLANE_URL": url, "BACKLANE_API_KEY": await place.key("rita", "admin"),
            "BACKLANE_DATABASE_URL": place.settings.database_url, "BACKLANE_APP": "tests.hostile.quoting:app",
            "BACKLANE_ARTIFACTS_URL": place.settings.artifacts_url, "OPENAI_API_KEY": "sk-test-canary-5f2d",
            "OPENAI_BASE_URL": place.settings.openai_base_url or "",
        }  # fmt: skip
        plain = await about_an_action(place, here, ana, PLAIN) | await about_a_held_lane(
            place, here, ana, PLAIN
        )
        for text in TEXTS:
            lines = await about_an_action(place, here, ana, text)
            lines |= await about_a_held_lane(place, here, ana, text)
            assert lines == plain, repr(text)
        await counted(here, "policy", "replay", "--every")
        await counted(here, "reviews", "--state", "all")
        await counted(here, "cases")
        await counted(here, "jobs")
    verified(place)
