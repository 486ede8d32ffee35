"""What the provider is told of a tool, what arguments it may be called with, and what becomes of what it answers."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from backlane import App, Request
from backlane.tools import DeclaredTool, with_tools


class Inputs(BaseModel):
    text: str = "x"


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Place(BaseModel):
    city: str
    tags: list[str] = []


def find(
    place: Place,
    on: date,
    size: Size,
    limit: Annotated[int, Field(ge=1, le=9, description="how many")] = 3,
    schema: str | None = None,
) -> str:
    """Find something.

    In a place.
    """
    return f"{place.city} {on.isoformat()} {size} {limit} {schema}"


def free(filters: dict[str, str]) -> str:
    return str(filters)


def nothing() -> None: ...


FOUND = DeclaredTool("find", find)


def test_the_provider_is_told_a_strict_schema_where_its_subset_can_say_it() -> None:
    told = FOUND.definition()
    assert (told["type"], told["name"], told["strict"]) == ("function", "find", True)
    assert told["description"] == "Find something.\n\nIn a place."
    schema = told["parameters"]
    assert schema["required"] == ["place", "on", "size", "limit", "schema"]
    assert (schema["additionalProperties"], schema["properties"]["limit"]["description"]) == (
        False,
        "how many",
    )
    loose = DeclaredTool("free", free).definition()
    assert (loose["strict"], loose["parameters"]["required"]) == (False, ["filters"])
    assert DeclaredTool("nothing", nothing).definition()["parameters"]["properties"] == {}


async def test_arguments_are_read_by_their_types_and_defaults_are_the_functions_own() -> None:
    given = FOUND.read('{"place": {"city": "Bonn"}, "on": "2026-11-25", "size": "large"}')
    assert isinstance(given["place"], Place) and given["on"] == date(2026, 11, 25)
    assert await FOUND.run(given, None) == "Bonn 2026-11-25 large 3 None"
    assert DeclaredTool("nothing", nothing).read("") == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("", "place: Field required"),
        ("no", "arguments: Invalid JSON"),
        ("[]", "arguments: "),
        ('{"place": {}, "on": "2026-11-25", "size": "small"}', "place/city: Field required"),
        ('{"place": {"city": "x"}, "on": "soon", "size": "small"}', "on: "),
        ('{"place": {"city": "x"}, "on": "2026-11-25", "size": "huge"}', "size: "),
        ('{"place": {"city": "x"}, "on": "2026-11-25", "size": "small", "limit": 10}', "limit: "),
        ('{"place": {"city": "x"}, "on": "2026-11-25", "size": "small", "more": 1}', "more: "),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FOUND.read(arguments)


ANSWERS: list[tuple[Any, Any]] = [
    (None, None),
    ({"a": Place(city="x")}, {"a": {"city": "x", "tags": []}}),
    ([Decimal("1.5"), date(2026, 1, 2)], ["1.5", "2026-01-02"]),
    (Place(city="x"), {"city": "x", "tags": []}),
    (float("nan"), "nan"),
]


@pytest.mark.parametrize(("answer", "told"), ANSWERS, ids=str)
async def test_what_a_tool_answers_becomes_json(answer: Any, told: Any) -> None:
    assert await DeclaredTool("t", lambda: answer).run({}, None) == told


async def test_a_tool_that_raises_stop_iteration_does_not_hang() -> None:
    def stops() -> None:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        await DeclaredTool("stops", stops).run({}, None)


def test_declared_tools_join_the_requests_own_and_a_second_of_a_name_is_refused() -> None:
    own = {"type": "function", "name": "other", "parameters": {}}
    params = with_tools({"model": "m", "tools": [own, {"type": "web_search"}]}, [FOUND])
    assert [one.get("name") for one in params["tools"]] == ["other", None, "find"]
    assert params["include"] == ["web_search_call.action.sources"]
    assert with_tools({"model": "m"}, []) == {"model": "m"}
    with pytest.raises(ValueError, match="'find'"):
        with_tools({"tools": [{**own, "name": "find"}]}, [FOUND])


def test_what_hosted_tools_found_is_asked_for_once() -> None:
    tools = [{"type": "file_search"}, {"type": "code_interpreter"}, {"type": "web_search_preview"}]
    asked = ["file_search_call.results", "message.input_image.image_url"]
    params = with_tools({"tools": tools, "include": asked}, [])
    assert params["include"] == [*asked, "web_search_call.action.sources", "code_interpreter_call.outputs"]


def test_a_tools_schema_and_caps_are_part_of_the_version() -> None:
    def version(tool: Any = None, **options: Any) -> str:
        job = App().job("finder", authority="read_only", **options)(build)
        if tool is not None:
            job.tool(tool)
        return job.type.version

    def build(inputs: Inputs) -> Request:
        return Request(model="m", input=inputs.text)

    def one(a: int) -> int: ...

    def same_name(a: str) -> int: ...

    same_name.__name__ = "one"
    versions = [version(), version(one), version(same_name), version(max_turns=3), version(max_tool_calls=3)]
    assert len(set(versions)) == 5
