"""Whatever schema is asked for, the answer satisfies it, with values found in the input."""

import json
import random
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import OpenAI

from backlane.simulator.schema import Filler
from backlane.simulator.text import Source
from tests.simulator.conftest import ARTICLE
from tests.simulator.provider_strictness import checked_response

TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
    "required": ["name", "children"],
    "additionalProperties": False,
}


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


SCHEMAS: dict[str, dict[str, Any]] = {
    "summary": closed(summary={"type": "string"}, key_terms={"type": "array", "items": {"type": "string"}}),
    "numbers": closed(
        ferries={"type": "integer", "minimum": 1, "maximum": 100},
        share={"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        step={"type": "integer", "multipleOf": 7, "minimum": 5},
        low={"type": "integer", "maximum": -3},
    ),
    "enum": closed(material={"enum": ["marble", "granite"]}, level={"type": "string", "enum": ["a", "b"]}),
    "const": closed(kind={"const": "report"}, version={"const": 2}),
    "nullable": closed(
        a={"anyOf": [{"type": "string"}, {"type": "null"}]},
        b={"type": ["integer", "null"]},
        c={"type": "null"},
    ),
    "one_of": closed(a={"oneOf": [closed(x={"type": "boolean"}), {"type": "string"}]}),
    "all_of": closed(a={"allOf": [{"type": "string", "minLength": 400}, {"maxLength": 900}]}),
    "lengths": closed(
        a={"type": "string", "maxLength": 9},
        b={"type": "string", "minLength": 700, "maxLength": 710},
        c={"type": "string", "maxLength": 0},
    ),
    "formats": closed(
        **{
            kind.replace("-", "_"): {"type": "string", "format": kind}
            for kind in (
                "date",
                "date-time",
                "time",
                "email",
                "uri",
                "uuid",
                "ipv4",
                "ipv6",
                "hostname",
                "duration",
            )
        }
    ),
    "patterns": closed(
        a={"type": "string", "pattern": r"^R-\d+$"}, b={"type": "string", "pattern": "^[A-Z]{3}$"}
    ),
    "arrays": closed(
        a={"type": "array", "items": {"type": "integer"}, "minItems": 5, "maxItems": 6},
        b={"type": "array", "items": {"type": "string"}, "minItems": 30, "uniqueItems": True},
        c={"type": "array", "items": {"type": "string"}, "maxItems": 0},
        d={"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
    ),
    "nested": closed(a=closed(b=closed(c={"type": "array", "items": closed(d={"type": "string"})}))),
    "defs": {
        **closed(first={"$ref": "#/$defs/claim"}, all={"type": "array", "items": {"$ref": "#/$defs/claim"}}),
        "$defs": {"claim": closed(quote={"type": "string"}, score={"type": "number", "maximum": 10})},
    },
    "recursive": TREE,
    "linked": {
        **closed(head={"$ref": "#/$defs/node"}),
        "$defs": {
            "node": closed(
                value={"type": "string"}, next={"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}
            )
        },
    },
    "map": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 3},
    "untyped": closed(anything={}, text={"description": "free"}),
}


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("text", [ARTICLE, "Hi", ""], ids=["article", "short", "empty"])
def test_the_answer_satisfies_the_schema(name: str, text: str) -> None:
    answer = Filler(SCHEMAS[name], Source(text), random.Random(1)).fill()
    if name == "patterns" and text != ARTICLE:
        return  # A pattern is met from the input; there is nothing in this one.
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(SCHEMAS[name], format_checker=checker).validate(answer)


def test_values_are_taken_from_the_input() -> None:
    schema = closed(
        summary={"type": "string"},
        ferries={"type": "integer"},
        order_id={"type": "string"},
        material={"enum": ["marble", "granite"]},
        rebuilt={"type": "string", "format": "date"},
        key_terms={"type": "array", "items": {"type": "string", "maxLength": 20}},
    )
    answer = Filler(schema, Source(ARTICLE), random.Random(1)).fill()
    assert answer["summary"] in ARTICLE
    assert (answer["ferries"], answer["order_id"], answer["material"]) == (42, "R-17", "granite")
    assert answer["rebuilt"] == "2019-05-04"
    assert answer["key_terms"][0] == "harbour"
    assert all(term in ARTICLE.lower() for term in answer["key_terms"])


def test_a_strict_schema_is_answered_over_the_wire(finish: Callable[..., dict[str, Any]]) -> None:
    form = {"type": "json_schema", "name": "claims", "strict": True, "schema": SCHEMAS["defs"]}
    read = checked_response(finish(text={"format": form}))
    jsonschema.validate(json.loads(read.output_text), SCHEMAS["defs"])


@pytest.mark.parametrize(
    "schema", [{"type": "object", "properties": {"a": {}}}, {"type": "array", "items": {}}]
)
def test_an_open_schema_is_refused_in_strict_mode(client: OpenAI, schema: dict[str, Any]) -> None:
    form = {"type": "json_schema", "name": "open", "strict": True, "schema": schema}
    with pytest.raises(Exception, match="Invalid schema for response_format 'open'") as refused:
        client.responses.create(model="m", input="x", text={"format": form})
    assert refused.value.code == "invalid_json_schema"


LEAVES = st.one_of(
    st.builds(
        lambda low, size: {"type": "string", "minLength": low, "maxLength": low + size},
        st.integers(0, 60),
        st.integers(0, 60),
    ),
    st.builds(
        lambda low, size: {"type": "integer", "minimum": low, "maximum": low + size},
        st.integers(-50, 50),
        st.integers(0, 9),
    ),
    st.builds(lambda low: {"type": "number", "minimum": low}, st.floats(-10, 10)),
    st.sampled_from(
        [
            {"type": "boolean"},
            {"type": ["string", "null"]},
            {"enum": ["a", "b", 3]},
            {"format": "date", "type": "string"},
        ]
    ),
)
NODES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(["name", "count", "summary", "items"]), inner, max_size=3).map(
            lambda some: closed(**some)
        ),
        st.builds(
            lambda item, low, more: {"type": "array", "items": item, "minItems": low, "maxItems": low + more},
            inner,
            st.integers(0, 4),
            st.integers(0, 3),
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: {"anyOf": some}),
    ),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(NODES, st.sampled_from([ARTICLE, "12 and -7.5", ""]))
def test_any_generated_schema_is_satisfied(schema: dict[str, Any], text: str) -> None:
    jsonschema.validate(Filler(schema, Source(text), random.Random(1)).fill(), schema)
