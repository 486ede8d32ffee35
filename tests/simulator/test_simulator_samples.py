"""The strictness itself: it takes every recorded sample and refuses broken ones."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from openai.types.responses import Response, ResponseItemList
from pydantic import TypeAdapter

from tests.simulator.provider_strictness import checked, checked_response

SAMPLES = Path(__file__).parents[1] / "samples"
NOT_RESPONSES = {"response.compaction.json", "response.input_tokens.json"}
PAYLOADS = sorted(path for path in SAMPLES.glob("response.*.json") if path.name not in NOT_RESPONSES)


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.name)
def test_a_recorded_response_passes(path: Path) -> None:
    payload = json.loads(path.read_text())
    if "annotations" in path.read_text() and "research" in path.name:
        checked(Response, payload)
    else:
        assert checked_response(payload).status == path.name.split(".")[1]


def test_a_recorded_list_of_input_items_passes() -> None:
    checked(ResponseItemList, json.loads((SAMPLES / "input_items.list.json").read_text()))


def _mutants() -> list[dict[str, Any]]:
    good = json.loads((SAMPLES / "response.completed.json").read_text())
    changes = [("status", "done"), ("object", "resp"), ("output", None), ("parallel_tool_calls", None)]
    mutants = [good | {key: value} for key, value in changes]
    mutants.append(good | {"error": {"code": "made_up", "message": "x"}})
    bare = copy.deepcopy(good)
    bare["output"][1]["content"][0].pop("annotations")
    unpriced = copy.deepcopy(good)
    unpriced["usage"]["input_tokens_details"].pop("cache_write_tokens")
    return [*mutants, bare, unpriced]


@pytest.mark.parametrize("mutant", _mutants())
def test_a_broken_response_is_refused(mutant: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        TypeAdapter(Response).validate_python(mutant)


def test_a_field_the_sdk_does_not_know_is_refused() -> None:
    good = json.loads((SAMPLES / "response.completed.json").read_text())
    with pytest.raises(AssertionError):
        checked_response(good | {"mood": "fine"})
