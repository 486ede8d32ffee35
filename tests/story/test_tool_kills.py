"""Workers killed around a tool: what was answered is not run again, what was bought is not bought again."""

import signal
from pathlib import Path

import pytest

from backlane.service.read import read_job
from tests.conftest import Place
from tests.story.acts import creates, script, submitted, verified
from tests.story.test_processes import resolve_all, work


def noting(place: Place, notes: Path, *lines: str) -> None:
    """The next run calls the tool that writes these lines down."""
    calls = [{"name": "note_down", "arguments": {"path": str(notes), "line": line}} for line in lines]
    script(place, {"tool_calls": calls})


POINTS = [
    ("tool_called:1", ["a", "b", "c"]),
    ("tool_answered:1", ["a", "b", "b", "c"]),
    ("tool_answered:2", ["a", "b", "c"]),
    ("tools_done:1", ["a", "b", "c"]),
    ("planned:2", ["a", "b", "c"]),
    ("sending:2", ["a", "b", "c"]),
    ("answered:2", ["a", "b", "c"]),
    ("tool_called:2", ["a", "b", "c"]),
    ("tool_answered:3", ["a", "b", "c"]),
    ("tools_done:2", ["a", "b", "c"]),
]


@pytest.mark.parametrize(("armed", "noted"), POINTS)
async def test_a_worker_killed_around_a_tool_goes_on_where_it_was(
    outside: Place, tmp_path: Path, armed: str, noted: list[str]
) -> None:
    ana, notes = await outside.caller(), tmp_path / "notes"
    noting(outside, notes, "a", "b")
    noting(outside, notes, "c")
    script(outside, {"text": "Noted."})
    job = await submitted(outside, ana, "noting")
    assert await work(outside, tmp_path, armed) == -signal.SIGKILL
    assert await work(outside, tmp_path) == 0
    lost = await resolve_all(outside, [job.id])
    if lost:
        assert await work(outside, tmp_path) == 0
    view = await read_job(outside.service.ports, ana, job.id)
    assert view["status"] == "completed"
    assert sorted(notes.read_text().split()) == noted
    assert outside.simulator.world.stats()["duplicates"] == 0
    never_sent = 1 if armed.startswith("sending") else 0
    assert creates(outside) == len(view["attempts"]) - never_sent == 3
    assert [one["reason"] for one in view["attempts"] if one["reason"] != "person"][:2] == [
        "first",
        "next_turn",
    ]
    verified(outside)
