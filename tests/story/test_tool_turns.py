"""Jobs whose model uses tools: each turn is an attempt of its own, bought once; what goes wrong is told, then ends it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane.core.storage import Search
from backlane.service import show
from backlane.service.access import Caller
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import creates, ended, events_of, fault, finished, script, seen, submitted, verified
from tests.story.tool_types import SECRET, Ledger, tool_app

ANNA = {"email": "anna@example.test"}


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
async def helping(tmp_path: Path, simulator: Running, ledger: Ledger) -> AsyncIterator[Place]:
    """A service with tool types whose worker runs."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=tool_app(ledger), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    ledger.held.set()
    await service.drain(grace=5)


def calls(place: Place, *named: tuple[str, Any], **match: Any) -> None:
    """The next matching run calls these tools."""
    script(place, {"tool_calls": [{"name": name, "arguments": given} for name, given in named]}, **match)


def bodies(place: Place) -> list[dict[str, Any]]:
    """What each create sent, in order."""
    return [dict(run.body) for run in place.simulator.world.runs.values()]


def told(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The tool answers that a create carries, as the model reads them."""
    outputs = [one for one in body["input"] if one["type"] == "function_call_output"]
    return [json.loads(one["output"]) for one in outputs]


async def tool_outputs(place: Place, caller: Caller, view: dict[str, Any]) -> list[tuple[str, Any]]:
    """The tool_output artifacts: name and content."""
    found: list[tuple[str, Any]] = []
    for row in view["artifacts"]:
        if row["kind"] == "tool_output":
            content = await show.read_content(place.service.ports, caller, row["id"], "a test")
            found.append((row["name"], json.loads(content.content)))
    return found


async def test_a_tool_is_called_and_its_answer_becomes_the_next_turn(helping: Place, ledger: Ledger) -> None:
    ana = await helping.caller()
    calls(helping, ("look_up_customer", ANNA))
    script(helping, {"text": "Ana has the old plan."})
    view = await finished(helping, ana, await submitted(helping, ana, "helped"))
    assert (view["status"], view["failure"]) == ("completed", None)
    assert ledger.calls == [("look_up_customer", "anna@example.test")]
    first, second = view["attempts"]
    assert [one["reason"] for one in view["attempts"]] == ["first", "next_turn"]
    assert [one["state"] for one in view["attempts"]] == ["completed", "completed"]
    assert view["provider_response_id"] == second["provider_response_id"]
    sent = bodies(helping)[1]
    assert sent["previous_response_id"] == first["provider_response_id"]
    assert (sent["instructions"], [one["name"] for one in sent["tools"]][0]) == ("Answer.", "look_up_customer")
    assert told(sent) == [
        {
            "tool": "look_up_customer",
            "untrusted": True,
            "output": {"name": "Ana of anna@example.test", "plan": SECRET},
        }
    ]
    kinds = [row["kind"] for row in view["artifacts"]]
    assert kinds == ["tool_output", "result"]
    [(name, evidence)] = await tool_outputs(helping, ana, view)
    assert name == "tool-1-1-look_up_customer.json"
    assert evidence["answer"] == told(sent)[0]
    total = sum(float(one["cost"]) for one in view["attempts"])
    assert float(view["cost"]["settled"]) == pytest.approx(total)
    assert min(float(one["cost"]) for one in view["attempts"]) > 0
    assert view["timing"]["tool_seconds"] > 0
    assert creates(helping) == 2
    verified(helping)
