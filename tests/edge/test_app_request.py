"""The Request: the provider's own parameters, one user message, strict schemas; and reading the answer back."""

from typing import Annotated, Any, Generic, Literal, TypeVar, cast

import pytest
from pydantic import BaseModel, Field, RootModel

from backlane import App, Request
from backlane.jobtype import BuiltType

T = TypeVar("T")


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: Annotated[int, Field(ge=1)] = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: Annotated[str, Field(min_length=1, max_length=9)]


class Digest(BaseModel):
    title: str = "none"
    share: float = 0.0
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]] = []
    first: Cat = Field(default=Cat(), description="The first one.")


class Node(BaseModel):
    kids: list["Node"] = []


class Box(BaseModel, Generic[T]):
    held: T


class Listed(RootModel[list[str]]):
    pass


class Free(BaseModel):
    free: dict[str, int]


class Anything(BaseModel):
    held: Any


class Paired(BaseModel):
    pair: tuple[int, str]


class Empty(BaseModel):
    pass


def params(**options: Any) -> dict[str, Any]:
    return cast(Any, Request)(**{"model": "m", "input": "x", **options}).params()


def schema_of(output: type[BaseModel]) -> dict[str, Any]:
    return params(output=output)["text"]["format"]["schema"]


def test_only_what_was_given_is_sent() -> None:
    assert params() == {"model": "m", "input": "x"}
    assert params(instructions="be brief", max_output_tokens=5, extra={"top_p": 0.5}) == {
        "model": "m",
        "input": "x",
        "instructions": "be brief",
        "max_output_tokens": 5,
        "top_p": 0.5,
    }


def test_texts_become_the_parts_of_one_user_message() -> None:
    [message] = params(input=["a", "b"])["input"]
    assert message["role"] == "user"
    assert message["content"] == [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]


def test_the_providers_own_items_pass_as_they_are() -> None:
    items = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert params(input=items)["input"] == items


def test_what_params_gives_is_the_callers_own() -> None:
    request = Request(model="m", input=[{"role": "user", "content": "a"}])
    request.params()["input"].clear()
    assert request.params()["input"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": 1}, "temperature"),
        ({"model": ""}, "model"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["a", {}]}, "input"),
        ({"input": "\ud800"}, "JSON"),
        ({"tools": [{"a": object()}]}, "JSON"),
        ({"extra": {"top_p": float("nan")}}, "JSON"),
        ({"output": 5}, "pydantic model"),
        ({"output": dict}, "pydantic model"),
        ({"metadata": {f"k{i}": "v" for i in range(15)}}, "14 pairs"),
        ({"metadata": {"backlane_job": "x"}}, "backlane_job"),
        ({"metadata": {"backlane_attempt": "x"}}, "backlane_attempt"),
        ({"metadata": {"k" * 65: "v"}}, "64"),
        ({"metadata": {"k": "v" * 513}}, "512"),
        ({"metadata": {"k": 1}}, "texts"),
        ({"metadata": {1: "v"}}, "texts"),
        *[({"extra": {key: None}}, key) for key in ("background", "stream", "store", "metadata", "model")],
        ({"extra": {"text": {"format": {}}}, "output": Digest}, "text"),
    ],
)
def test_what_cannot_be_sent_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        params(**options)


def test_an_output_keeps_the_other_text_options() -> None:
    text = params(output=Digest, extra={"text": {"verbosity": "low"}})["text"]
    assert (text["verbosity"], text["format"]["strict"], text["format"]["name"]) == ("low", True, "Digest")


def test_the_name_of_a_generic_output_is_one_the_provider_takes() -> None:
    assert params(output=Box[int])["text"]["format"]["name"] == "Box_int_"


def nodes(schema: Any) -> list[dict[str, Any]]:
    below = [
        *schema.get("properties", {}).values(),
        *schema.get("$defs", {}).values(),
        *schema.get("anyOf", []),
        *([schema["items"]] if "items" in schema else []),
    ]
    return [schema, *(node for part in below for node in nodes(part))]


@pytest.mark.parametrize("output", [Digest, Node, Box[Digest], Empty])
def test_a_strict_schema_holds_only_what_the_provider_takes(output: type[BaseModel]) -> None:
    schema = schema_of(output)
    assert schema["type"] == "object"
    for node in nodes(schema):
        assert not node.keys() & {"default", "minLength", "maxLength", "oneOf", "discriminator", "allOf"}
        if "$ref" in node:
            assert set(node) == {"$ref"}
        if node.get("type") == "object":
            assert node["required"] == list(node["properties"])
            assert node["additionalProperties"] is False


def test_a_property_may_be_called_like_a_keyword() -> None:
    schema = schema_of(Digest)
    assert schema["properties"]["title"] == {"type": "string"}
    assert schema["properties"]["first"]["description"] == "The first one."


@pytest.mark.parametrize("output", [Listed, Free, Anything, Paired])
def test_an_output_without_a_strict_schema_is_refused(output: type[BaseModel]) -> None:
    with pytest.raises(ValueError, match=output.__name__):
        params(output=output)


def asking(output: type[BaseModel] | None, declared: type[BaseModel] | None = None) -> BuiltType:
    def build(inputs: Empty) -> Request:
        return Request(model="m", input="x", output=output)

    return App().job("digest", authority="draft", output=declared)(build).type


def test_an_answer_is_read_as_its_request_asked() -> None:
    assert asking(None).read_output(Empty(), "# text") == "# text"
    assert asking(Cat).read_output(Empty(), '{"kind": "cat", "lives": 3}') == Cat(lives=3)


@pytest.mark.parametrize(
    "answer",
    ["", "nope", "[]", '{"lives": 0}', '{"new": 1}', '{"lives": "hunter2"}', '{"lives": 1} x', "[" * 9999],
)
def test_an_answer_that_misses_is_refused_in_short(answer: str) -> None:
    with pytest.raises(ValueError) as caught:
        asking(Cat).read_output(Empty(), answer)
    assert "hunter2" not in str(caught.value)
    assert 0 < len(str(caught.value)) < 500


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_an_answer_holds_finite_numbers_only(number: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        asking(Digest).read_output(Empty(), '{"share": ' + number + "}")


def test_a_declared_output_is_known_before_any_request_and_kept_to() -> None:
    assert asking(None).output_schema() is None
    assert asking(Cat, Cat).output_schema() == schema_of(Cat)
    with pytest.raises(TypeError, match="declared output Cat"):
        asking(Dog, Cat).build(Empty())


def test_a_function_that_gives_no_request_is_named() -> None:
    def build(inputs: Empty) -> Request:
        return cast(Any, {"model": "m"})

    with pytest.raises(TypeError, match="'digest' must return a Request"):
        App().job("digest", authority="draft")(build).type.build(Empty())
