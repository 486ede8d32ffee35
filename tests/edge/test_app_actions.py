"""What an action's arguments say has one spelling, and what is approved is what the function is given."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from backlane import ActionFailed, App, Receipt, Request
from backlane.actions import DeclaredAction
from backlane.errors import DeclarationError
from tests.values import Note


class Part(BaseModel):
    name: str
    weight: float = 1.0


class Order(BaseModel):
    amount: Decimal
    at: datetime
    tags: set[str] = set()
    parts: list[Part] = Field(default_factory=list[Part], alias="theParts")
    count: int = 1


async def send(args: Order, *, key: str) -> Receipt:
    """Send it."""
    return Receipt(system="post", type="parcel", id=f"{args.amount} {args.at.isoformat()} {key}")


ACTION = DeclaredAction("send", send, 0, 1_000)
MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@given(
    cents=st.integers(0, 10**9),
    zeros=st.integers(0, 4),
    hours=st.integers(-12, 12),
    tags=st.permutations(["b", "a", "ä"]),
    weight=st.sampled_from(["1", "1.0", "10e-1"]),
    shuffled=st.booleans(),
)
def test_one_meaning_has_one_spelling(
    cents: int, zeros: int, hours: int, tags: list[str], weight: str, shuffled: bool
) -> None:
    plain = {
        "amount": str(Decimal(cents) / 100),
        "at": MOMENT.isoformat(),
        "tags": ["a", "b", "ä"],
        "theParts": [{"name": "x", "weight": 1}],
        "count": 1,
    }
    there = MOMENT.astimezone(timezone(timedelta(hours=hours)))
    amount = f"{Decimal(cents) / 100:.2f}" + "0" * zeros
    parts = [("amount", f'"{amount}"'), ("at", f'"{there.isoformat()}"'), ("tags", json.dumps(tags))]
    parts.append(("theParts", f'[{{"weight": {weight}, "name": "x"}}]'))
    spelled = (
        "{" + ", ".join(f'"{name}": {value}' for name, value in (parts[::-1] if shuffled else parts)) + "}"
    )
    assert ACTION.read(spelled) == ACTION.read(plain)
    assert ACTION.read(ACTION.read(spelled)) == ACTION.read(spelled)


@given(change=st.sampled_from(["amount", "at", "tags", "theParts", "count"]))
def test_another_meaning_has_another_spelling(change: str) -> None:
    plain: dict[str, Any] = {
        "amount": "1",
        "at": MOMENT.isoformat(),
        "tags": ["a"],
        "theParts": [],
        "count": 1,
    }
    other = {"amount": "1.01", "at": (MOMENT + timedelta(seconds=1)).isoformat(), "tags": ["á"], "count": 2}
    changed = {**plain, change: other.get(change, [{"name": "x"}])}
    assert ACTION.read(changed) != ACTION.read(plain)


@pytest.mark.parametrize(
    "wrong",
    [
        "", "[]", "nonsense", '{"amount": "1"}', '{"amount": "NaN", "at": "2026-03-01T12:00:00Z"}',
        '{"amount": "1", "at": "2026-03-01T12:00:00Z", "approved": true}',
        '{"amount": "1", "at": "2026-03-01T12:00:00Z", "count": 9007199254740993}',
        '{"amount": "1", "at": "2026-03-01T12:00:00Z", "tags": ["\\ud800"]}',
        json.dumps({"amount": "1", "at": "2026-03-01T12:00:00Z", "tags": ["x" * 70_000]}),
    ],
)  # fmt: skip
def test_arguments_that_have_no_exact_form_are_refused(wrong: str) -> None:
    with pytest.raises(ValueError) as caught:
        ACTION.read(wrong)
    assert "70000" not in str(caught.value)


async def test_the_function_is_given_exactly_what_was_approved() -> None:
    approved = ACTION.read({"amount": "1.50", "at": "2026-03-01T13:00:00+01:00"})
    receipt = await ACTION.run(approved, "bk_1")
    assert receipt == {
        "system": "post",
        "type": "parcel",
        "id": "1.5 2026-03-01T12:00:00+00:00 bk_1",
        "url": None,
    }


def a_job(authority: str = "external_effect") -> Any:
    def job(inputs: Note) -> Request:
        return Request(model="m", input=inputs.text)

    return App().job("digest", authority=authority)(job)


def test_the_model_is_told_of_an_action_as_of_a_function() -> None:
    job = a_job()
    job.action(send)
    [told] = job.type.build(Note(text="x"))["tools"]
    assert (told["type"], told["name"], told["description"]) == ("function", "send", "Send it.")
    assert "key" not in json.dumps(told["parameters"])


@pytest.mark.parametrize(
    ("declare", "fault"),
    [
        (lambda job: job.action(target=" ")(send), "target in words"),
        (lambda job: [job.action(send).content(lambda args: "x") for _ in "ab"], "two tools or actions"),
        (lambda job: _twice(job.action(send).content), "two contents"),
        (lambda job: job.action(send).content(_nothing), "must take (args)"),
        (lambda job: job.propose(_nothing), "must take (result, job)"),
        (lambda job: (job.propose(_propose), job.propose(_propose)), "two functions that propose"),
    ],
)
def test_faults_of_a_declared_action_are_named(declare: Any, fault: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare(a_job())
    assert fault in str(caught.value)


def test_proposals_need_an_authority_that_may_act() -> None:
    with pytest.raises(DeclarationError):
        a_job("draft").propose(_propose)


def _twice(declare: Any) -> None:
    declare(_content)
    declare(_content)


def _content(args: Order) -> str:
    return ""


def _nothing() -> None: ...


def _propose(result: Any, job: Any) -> list[Any]:
    return result


@pytest.mark.parametrize("wrong", [["x"], [("send", Order)], [(1, 2, 3)]])
async def test_a_proposal_is_an_action_of_its_type_and_its_model(wrong: Any) -> None:
    job = a_job()
    job.action(send)
    job.propose(_propose)
    with pytest.raises(TypeError):
        await job.type.proposals(wrong, None)


def test_an_action_can_be_called_by_a_test() -> None:
    def refuse(args: Order, *, key: str) -> None:
        raise ActionFailed("no")

    action = a_job().action(refuse)
    with pytest.raises(ActionFailed):
        action(Order(amount=Decimal(1), at=MOMENT), key="k")
