"""Inputs: validated strictly, refused with pointers that quote nothing, summed up without text."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator
from typing_extensions import TypedDict

from backlane import App, File, Image, Request, Sensitive
from backlane.errors import InvalidRequest
from backlane.jobtype import BuiltType

SECRET = "hunter2"


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str]


class Keyed(TypedDict):
    secret: Sensitive[str]


class KeyedFile(TypedDict):
    paper: File


@dataclasses.dataclass
class Held:
    secret: Sensitive[str]


class Pair(NamedTuple):
    secret: Sensitive[str]


class Tree(BaseModel):
    note: Sensitive[str] = ""
    kids: list["Tree"] = []


class Inputs(BaseModel):
    tickets: list[str] = []
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    either: Cat | int | None = None
    counts: dict[str, int] = {}
    held: Held | None = None
    keyed: Keyed | None = None
    checked: str = ""
    amount: int = 0
    share: float = 0.0
    uuid: UUID | None = None

    @field_validator("checked")
    @classmethod
    def _checked(cls, value: str) -> str:
        if value == "crash":
            raise KeyError(SECRET)
        if value:
            raise ValueError(f"{value.upper()} is not wanted")
        return value


def typed(model: type[BaseModel]) -> BuiltType:
    def build(inputs: Any) -> Request:
        return Request(model="m", input="x")

    build.__annotations__["inputs"] = model
    return App().job("digest", authority="draft")(build).type


def faults(raw: Any, model: type[BaseModel] = Inputs) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        typed(model).read_inputs(raw)
    return [(fault["pointer"], fault["detail"]) for fault in caught.value.errors]


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        ({"new": 1}, "/inputs/new"),
        ({"pet": {"kind": "cat", "lives": 9, "new": 1}}, "/inputs/pet/new"),
        ({"either": {"lives": 9, "new": 1}}, "/inputs/either/new"),
        ({"held": {"secret": "x", "new": 1}}, "/inputs/held/new"),
        ({"keyed": {"secret": "x", "new": 1}}, "/inputs/keyed/new"),
    ],
)
def test_unknown_keys_are_refused_at_every_level(raw: Any, pointer: str) -> None:
    assert pointer in [where for where, _ in faults(raw)]


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        ({"tickets": ["a", SECRET, 5]}, "/inputs/tickets/2"),
        ({"counts": {"a/b~c": SECRET}}, "/inputs/counts/a~1b~0c"),
        ({"pet": {"kind": SECRET}}, "/inputs/pet"),
        ({"pet": {"kind": "dog"}}, "/inputs/pet/tricks"),
        ({"either": SECRET}, "/inputs/either"),
        ({"checked": SECRET}, "/inputs/checked"),
        ({"checked": "crash"}, "/inputs"),
        ({"uuid": SECRET}, "/inputs/uuid"),
        ({"amount": 10**5000}, "/inputs/amount"),
        ({"share": float("nan")}, "/inputs/share"),
        ({"share": float("inf")}, "/inputs/share"),
        ({"tickets": [SECRET + "\0"]}, "/inputs/tickets/0"),
        ({"tickets": [SECRET + "\ud800"]}, "/inputs/tickets/0"),
        ({"counts": {"\0": 1}}, "/inputs/counts"),
        ([SECRET], "/inputs"),
        (SECRET, "/inputs"),
        (None, "/inputs"),
    ],
)
def test_a_fault_is_where_it_is_and_quotes_nothing(raw: Any, pointer: str) -> None:
    found = faults(raw)
    assert pointer in [where for where, _ in found]
    assert SECRET not in str(found).casefold()
    str(found).encode()


def test_deep_nesting_is_refused_without_a_crash() -> None:
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert faults(deep)


def test_a_thousand_faults_are_cut_at_a_hundred() -> None:
    assert len(faults({"tickets": list(range(1000))})) == 100


def test_a_strict_model_reads_its_dates_as_json() -> None:
    class Dated(BaseModel):
        model_config = ConfigDict(strict=True)
        at: datetime

    assert typed(Dated).read_inputs({"at": "2026-11-24T00:00:00Z"}).model_dump()["at"].year == 2026


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_read_or_refused(raw: Any) -> None:
    kind = typed(Inputs)
    try:
        assert isinstance(kind.read_inputs(raw), Inputs)
    except InvalidRequest as refused:
        assert all(fault["pointer"].startswith("/inputs") for fault in refused.errors)


def test_the_schema_refuses_unknown_keys_everywhere() -> None:
    schema = typed(Inputs).input_schema()
    held = [schema, *schema["$defs"].values()]
    assert all(part["additionalProperties"] is False for part in held)
    assert schema["properties"]["counts"]["additionalProperties"] == {"type": "integer"}


@pytest.mark.parametrize(
    ("kind", "full", "empty"),
    [
        (Sensitive[str], "x", ""),
        (Sensitive[str] | None, "x", None),
        (Sensitive[list[str]], ["x"], []),
        (list[Sensitive[str]], ["x"], [""]),
        (Sequence[Sensitive[str]], ["x"], []),
        (frozenset[Sensitive[str]], ["x"], []),
        (tuple[int, Sensitive[str]], [1, "x"], [1, ""]),
        (dict[str, Sensitive[str]], {"a": "x"}, {"a": ""}),
        (Mapping[str, list[Sensitive[str]]], {"a": ["x"]}, {"a": []}),
        (Annotated[Sensitive[str], Field(max_length=9)], "x", ""),
        (Keyed, {"secret": "x"}, {"secret": ""}),
        (Held, {"secret": "x"}, {"secret": ""}),
        (Pair, ["x"], [""]),
        (list[Held] | None, [{"secret": "x"}], None),
        (Tree, {"kids": [{"kids": [{"note": "x"}]}]}, {"kids": [{"kids": [{}]}]}),
    ],
)
def test_something_sensitive_is_found_at_any_depth(kind: Any, full: Any, empty: Any) -> None:
    class Holder(BaseModel):
        held: kind
        other: str = "open"

    job_type = typed(Holder)
    given_one = job_type.read_inputs({"held": full})
    assert job_type.why_sensitive(given_one) == "field"
    assert job_type.why_sensitive(job_type.read_inputs({"held": empty})) is None
    assert job_type.summarize(given_one).startswith("held: sensitive")


HOLDING = [File, list[File], File | None, dict[str, File], Sensitive[File], KeyedFile, Image, list[Image]]


@pytest.mark.parametrize("kind", HOLDING)
def test_a_file_is_found_at_any_depth(kind: Any) -> None:
    class Holder(BaseModel):
        held: kind

    assert typed(Holder).takes_files


def test_a_recursive_model_without_files_ends() -> None:
    assert not typed(Tree).takes_files


ONE, TWO = "art_" + "0" * 25 + "1", "art_" + "0" * 25 + "2"


def test_every_file_is_told_with_its_place_as_it_was_given() -> None:
    class Inner(BaseModel):
        papers: dict[str, list[File]] = {}
        cover: File = Field(alias="front/page")

    class Holder(BaseModel):
        inner: list[Inner]
        keyed: KeyedFile
        either: File | None = None
        boards: list[Image | None] = []
        name: str = ONE

    raw = {
        "inner": [{"papers": {"a": [ONE, TWO]}, "front/page": TWO}],
        "keyed": {"paper": ONE},
        "boards": [None, TWO],
    }
    kind = typed(Holder)
    found = list(kind.files(kind.read_inputs(raw)))
    assert found == [
        ("/inputs/inner/0/papers/a/0", ONE, False),
        ("/inputs/inner/0/papers/a/1", TWO, False),
        ("/inputs/inner/0/front~1page", TWO, False),
        ("/inputs/keyed/paper", ONE, False),
        ("/inputs/boards/1", TWO, True),
    ]
    schema = kind.input_schema()["properties"]
    assert schema["either"]["anyOf"][0]["format"] == "backlane-file"
    assert schema["boards"]["items"]["anyOf"][0]["format"] == "backlane-image"


@given(st.lists(st.text(alphabet="xyzQ", min_size=5)))
def test_the_default_summary_never_holds_text(tickets: list[str]) -> None:
    said = typed(Inputs).summarize(Inputs(tickets=tickets))
    assert f"tickets: {len(tickets)} item" in said
    assert not any(ticket in said for ticket in tickets)


@pytest.mark.parametrize(
    ("answer", "said"),
    [("12 tickets", "12 tickets"), ("a\x00b\nc", "a b c"), ("x" * 999, "x" * 200)],
)
def test_a_types_own_summary_is_cut_and_cleaned(answer: str, said: str) -> None:
    kind = typed(Tree)
    kind.summary = lambda inputs: answer
    assert kind.summarize(Tree()) == said


@pytest.mark.parametrize("answer", [None, 5, b"secret", "", "  "])
def test_a_summary_that_is_no_text_falls_back(answer: Any) -> None:
    kind = typed(Tree)
    kind.summary = lambda inputs: answer
    assert kind.summarize(Tree(note=SECRET)).startswith("note: sensitive")


def test_a_summary_that_breaks_falls_back() -> None:
    kind = typed(Tree)
    kind.summary = lambda inputs: str(1 / 0)
    assert kind.summarize(Tree(note=SECRET)).startswith("note: sensitive")
