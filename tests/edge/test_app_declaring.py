"""Declaring job types: what is accepted, and that every fault is raised at import, naming type and fault."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any, cast

import pytest
from pydantic import BaseModel, ConfigDict, RootModel

from backlane import App, Request, Review
from backlane.app import DeclaredJob
from backlane.errors import CheckFailed, DeclarationError


class Tickets(BaseModel):
    tickets: list[str] = []


class Digest(BaseModel):
    summary: str


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Nested(BaseModel):
    inner: list[Open]


class Listed(RootModel[list[str]]):
    pass


class Unfinished(BaseModel):
    later: "NeverDefined"  # type: ignore[name-defined] # noqa: F821


class Unspeakable(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    call: Callable[[], int]


def build(inputs: Tickets) -> Request:
    """Sums up tickets."""
    return Request(model="m", input="x")


async def build_async(inputs: Tickets) -> Request: ...
def build_many(inputs: Tickets) -> Iterator[Request]:
    yield build(inputs)


def build_untyped(inputs): ...
def build_str(inputs: str) -> Request: ...
def build_two(inputs: Tickets, more: Tickets) -> Request: ...
def build_nothing() -> Request: ...
def build_text(inputs: Tickets) -> str: ...
def build_lost(inputs: "Lost") -> Request: ...  # noqa: F821
def build_open(inputs: Open) -> Request: ...
def build_nested(inputs: Nested) -> Request: ...
def build_listed(inputs: Listed) -> Request: ...
def build_unfinished(inputs: Unfinished) -> Request: ...
def build_unspeakable(inputs: Unspeakable) -> Request: ...
def build_any_model(inputs: BaseModel) -> Request: ...


def tool(email: str) -> dict[str, str]: ...
async def action(args: Tickets, *, key: str) -> str: ...


def declared(authority: str = "external_effect") -> DeclaredJob[Tickets]:
    return App().job("digest", authority=authority)(build)


def names(fault: DeclarationError, type_name: str, words: str) -> None:
    assert type_name in str(fault)
    assert words in str(fault)


OPTIONS = [
    ({"authority": "boss"}, "authority must be one of"),
    ({"lanes": ["sideways"]}, "lanes must be one of"),
    ({"lanes": "background"}, "lanes must be a list"),
    ({"lanes": 5}, "lanes must be a list"),
    ({"lanes": []}, "lanes must be a list"),
    ({"lanes": ["batch", "batch"]}, "twice"),
    ({"if_unknown": "pray"}, "if_unknown must be one of"),
    ({"if_invalid": "pray"}, "if_invalid must be one of"),
    ({"who_may_cancel": "anyone"}, "who_may_cancel must be one of"),
    ({"useful_for": "soon"}, "useful_for must be a duration"),
    ({"useful_for": "0s"}, "useful_for must be a duration"),
    ({"useful_for": 30}, "useful_for must be a duration"),
    ({"useful_for": timedelta(0)}, "useful_for must be a duration"),
    ({"useful_for": "-5m"}, "useful_for must be a duration"),
    ({"useful_for": "9" * 400 + "w"}, "useful_for must be a duration"),
    ({"useful_for": "999999w"}, "ten years"),
    ({"latency_budget": "٣h"}, "latency_budget must be a duration"),
    ({"max_cost": 0.5}, "not a float"),
    ({"max_cost": "0"}, "above 0"),
    ({"max_cost": "-1"}, "above 0"),
    ({"max_cost": "NaN"}, "above 0"),
    ({"max_cost": "1e5"}, "above 0"),
    ({"max_cost": "1_000"}, "above 0"),
    ({"max_attempts": 0}, "max_attempts must be a whole number"),
    ({"max_attempts": True}, "max_attempts must be a whole number"),
    ({"max_attempts": 2.5}, "max_attempts must be a whole number"),
    ({"live": "no"}, "live must be True or False"),
    ({"review": "yes"}, "review must be a Review"),
    ({"review": Review(role="support")}, "review role must be one of"),
    ({"review": Review(quorum=0)}, "review quorum"),
    ({"review": Review(respond_within="later")}, "respond_within must be a duration"),
    ({"review": Review(separate=cast(Any, "no"))}, "review separate"),
    ({"review": Review(escalate_to=("support",))}, "review escalate_to must be one of"),
    (
        {"review": Review(role="admin", escalate_to=("reviewer",))},
        "'digest': review escalate_to leads from admin",
    ),
    (
        {"review": Review(escalate_to=("reviewer", "admin", "reviewer"))},
        "from admin to reviewer, a lesser role",
    ),
    ({"authority": "external_effect", "review": Review(separate=False)}, "separate=False"),
    ({"cases": ["expired"]}, "cases must be a dict"),
    ({"cases": {"expierd": True}}, "'expierd' is no end"),
    ({"cases": {"expired": "yes"}}, "cases 'expired' must be True or False"),
    ({"output": 5}, "output must be a pydantic model"),
    ({"output": Listed}, "named fields"),
    ({"uesful_for": "1h"}, "uesful_for"),
]


@pytest.mark.parametrize(("options", "words"), OPTIONS)
def test_a_wrong_option_is_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        cast(Any, App()).job("digest", **{"authority": "read_only", **options})(build)
    names(caught.value, "digest", words)


FUNCTIONS = [
    (build_async, "async"),
    (build_many, "generator"),
    (build_untyped, "pydantic model"),
    (build_str, "pydantic model"),
    (build_two, "exactly its inputs"),
    (build_nothing, "exactly its inputs"),
    (build_text, "return a Request"),
    (build_lost, "Lost"),
    (build_open, "extra='allow'"),
    (build_nested, "Open has extra='allow'"),
    (build_listed, "RootModel"),
    (build_unfinished, "NeverDefined"),
    (build_unspeakable, "JSON Schema"),
    (build_any_model, "BaseModel"),
    (partial(build), "plain function"),
    (Tickets, "plain function"),
]


@pytest.mark.parametrize(("function", "words"), FUNCTIONS)
def test_a_wrong_function_is_named(function: Any, words: str) -> None:
    app = App()
    with pytest.raises(DeclarationError) as caught:
        app.job("digest", authority="read_only")(function)
    names(caught.value, "digest", words)
    assert app.names() == []


def no_key(args: Tickets) -> str: ...
def wide_key(args: Tickets, key: str) -> str: ...
def number_key(args: Tickets, *, key: int) -> str: ...
def no_arguments(*, key: str) -> str: ...
def loose_arguments(args: dict[str, str], *, key: str) -> str: ...
def more_arguments(args: Tickets, *, key: str, more: int = 0) -> str: ...
def no_return(args: Tickets, *, key: str): ...
def half_typed(email) -> str: ...
def no_answer(email: str): ...
def wild(*emails: str) -> str: ...
def unspeakable_tool(call: Callable[[], int]) -> str: ...
def job_for_the_model(job: str) -> str: ...
def größe() -> str: ...  # noqa: PLC2401
def many_tools() -> Iterator[int]:
    yield 1


def two_inputs(a: Tickets, b: Tickets) -> str: ...
async def summary_async(inputs: Tickets) -> str: ...
async def many(result: Any, job: Any) -> AsyncIterator[int]:
    yield 1


PARTS: list[tuple[Callable[[DeclaredJob[Tickets]], Any], str]] = [
    (lambda job: job.action(no_key), "keyword-only key"),
    (lambda job: job.action(wide_key), "keyword-only key"),
    (lambda job: job.action(number_key), "key as str"),
    (lambda job: job.action(no_arguments), "one pydantic model"),
    (lambda job: job.action(loose_arguments), "one pydantic model"),
    (lambda job: job.action(more_arguments), "nothing else"),
    (lambda job: job.action(no_return), "no return type"),
    (lambda job: job.action(undo="-1s")(action), "undo must be a duration"),
    (lambda job: job.action(timeout="0s")(action), "timeout must be a duration"),
    (lambda job: (job.action(action), job.action(action)), "two tools or actions"),
    (lambda job: job.action(action).lookup(no_arguments), "must take (key)"),
    (lambda job: job.tool(half_typed), "no type for email"),
    (lambda job: job.tool(no_answer), "no return type"),
    (lambda job: job.tool(wild), "name each argument"),
    (lambda job: job.tool(unspeakable_tool), "JSON Schema"),
    (lambda job: job.tool(cast(Any, 5)), "plain function"),
    (lambda job: (job.tool(tool), job.tool(tool)), "two tools or actions"),
    (lambda job: job.tool(timeout="0s")(tool), "tool timeout must be a duration"),
    (lambda job: job.tool(output_at_most=0)(tool), "output_at_most must be a whole number"),
    (lambda job: job.tool(job_for_the_model), "job keyword-only"),
    (lambda job: job.tool(größe), "letters, digits"),
    (lambda job: job.tool(cast(Any, many_tools)), "generator"),
    (lambda job: job.check(lambda result: None), "must take (result, job)"),
    (lambda job: job.check(many), "generator"),
    (lambda job: (job.check(two_inputs), job.check(two_inputs)), "two checks"),
    (lambda job: job.summary(cast(Any, summary_async)), "async"),
    (lambda job: job.summary(cast(Any, two_inputs)), "must take (inputs)"),
    (lambda job: (job.summary(str), job.summary(str)), "plain function"),
    (lambda job: (job.summary(lambda i: ""), job.summary(lambda i: "")), "two summaries"),
]


@pytest.mark.parametrize(("declare", "words"), PARTS)
def test_a_wrong_part_is_named(declare: Callable[[DeclaredJob[Tickets]], Any], words: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        declare(declared())
    names(caught.value, "digest", words)


@pytest.mark.parametrize("authority", ["read_only", "draft"])
def test_an_action_needs_an_authority_that_may_act(authority: str) -> None:
    with pytest.raises(DeclarationError, match="low_risk_write or external_effect"):
        declared(authority).action(action)


@pytest.mark.parametrize("name", ["", "A", "1a", "a_b", "a" * 65, "a\n", "ä", "-a"])
def test_a_wrong_name_is_refused(name: str) -> None:
    with pytest.raises(DeclarationError, match="a name starts with"):
        App().job(name, authority="draft")


def test_a_forgotten_authority_or_name_is_named() -> None:
    with pytest.raises(DeclarationError, match=r"'digest'.*authority"):
        cast(Any, App()).job("digest")
    with pytest.raises(DeclarationError, match=r"'build'.*name"):
        cast(Any, App()).job(build, authority="draft")


def test_a_name_is_declared_once() -> None:
    app = App()
    first, second = app.job("digest", authority="draft"), app.job("digest", authority="draft")
    first(build)
    with pytest.raises(DeclarationError, match="declared twice"):
        second(build)
    with pytest.raises(DeclarationError, match="declared twice"):
        app.job("digest", authority="draft")


def test_a_declared_job_is_still_its_function() -> None:
    app = App()
    job = app.job("digest", authority="draft", useful_for="2d", latency_budget=timedelta(minutes=5))(build)
    kind = app.get("digest")
    assert kind is not None
    assert job(Tickets()).params()["model"] == "m"
    assert (kind.useful_for, kind.latency_budget, kind.description) == (
        172_800_000,
        300_000,
        "Sums up tickets.",
    )
    assert (list(app.names()), app.get("other")) == (["digest"], None)


def test_every_option_and_part_moves_the_version() -> None:
    plain = declared().type.version
    with_check, with_tool = declared(), declared()
    with_check.check(two_inputs)
    with_tool.tool(tool)
    longer = App().job("digest", authority="external_effect", useful_for="1h")(build)
    versions = {plain, with_check.type.version, with_tool.type.version, longer.type.version}
    assert len(versions) == 4
    assert declared().type.version == plain


def test_the_version_is_the_same_in_every_process() -> None:
    code = (
        "from pydantic import BaseModel\nfrom backlane import App, Request\n"
        "class In(BaseModel):\n    tags: set[str] = {'alpha', 'beta', 'gamma', 'delta'}\n"
        "def f(i: In) -> Request: ...\n"
        "print(App().job('t', authority='draft')(f).type.version)\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


def test_importing_the_package_stays_light() -> None:
    code = (
        "import sys, backlane; print([m for m in ('pydantic', 'openai', 'sqlalchemy') if m in sys.modules])"
    )
    env = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def ran(check: Callable[..., Any], result: Any = None) -> Any:
    job = declared()
    job.check(check)
    return await job.type.checks[0].run(result, None)


async def test_a_check_may_be_sync_or_async_and_its_report_is_json() -> None:
    async def slow(result: Any, job: Any) -> Any:
        return {"cited": (1, 2)}

    assert await ran(slow) == {"cited": [1, 2]}
    assert await ran(lambda result, job: Digest(summary="x")) == {"summary": "x"}
    assert await ran(lambda result, job: float("nan")) == "nan"
    assert (
        await ran(
            lambda result, job: {
                1,
            }
        )
        == "{1}"
    )


async def test_a_failed_check_says_so() -> None:
    def failing(result: Any, job: Any) -> None:
        raise CheckFailed("ticket 3 is not cited")

    with pytest.raises(CheckFailed, match="ticket 3"):
        await ran(failing)


@pytest.mark.timeout(10)
async def test_a_check_that_runs_out_of_items_does_not_hang() -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await ran(lambda result, job: next(iter([])))
