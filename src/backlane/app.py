"""How users declare job types. Every fault in a declaration is raised at import, naming the type and the fault."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Generic, NoReturn, TypeVar, overload

from pydantic import BaseModel

from backlane.acting import Action, declare_action, declare_proposals
from backlane.core.authority import Authority
from backlane.declaring import (
    Review,
    inputs_model,
    milliseconds,
    naming_faults,
    one_of,
    plain,
    read_cases,
    read_count,
    read_flag,
    read_lanes,
    read_money,
    read_name,
    read_output_model,
    read_review,
    read_tool,
    read_window,
    takes,
)
from backlane.errors import DeclarationError
from backlane.jobtype import BuiltType
from backlane.judging import DeclaredPolicy, Judged, Judging, Rules
from backlane.parts import DeclaredCheck, Options
from backlane.request import Request
from backlane.sampling import read_sampled, read_waiver
from backlane.tools import DeclaredTool

M = TypeVar("M", bound=BaseModel)
F = TypeVar("F", bound=Callable[..., Any])


class DeclaredJob(Judged, Generic[M]):
    """A declared job type: still callable as the function it decorates, and open for its parts."""

    def __init__(self, built: BuiltType, function: Callable[[M], Request]) -> None:
        self.type = built
        self._function = function
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__

    def __call__(self, inputs: M) -> Request:
        """Build the request for these inputs."""
        return self._function(inputs)

    def _rules(self) -> tuple[str, Rules]:
        return self.type.name, self.type.rules

    def _fault(self, fault: str) -> NoReturn:
        raise DeclarationError(self.type.name, fault)

    def summary(self, function: Callable[[M], str]) -> Callable[[M], str]:
        """Declare the submitted-inputs summary that support may see."""
        plain(self.type.name, "the summary", function, sync=True)
        takes(self.type.name, "the summary", function, "inputs")
        if self.type.summary is not None:
            self._fault("has two summaries")
        self.type.summary = function
        return function

    @overload
    def check(self, function: F) -> F: ...
    @overload
    def check(self, *, name: str | None = None) -> Callable[[F], F]: ...

    def check(self, function: F | None = None, *, name: str | None = None) -> F | Callable[[F], F]:
        """Declare a check `(result, job)`, sync or async; it raises CheckFailed if the result must not pass.

        What it returns is kept as evidence. After a crash it runs again from its beginning.
        """

        def declare(function: F) -> F:
            plain(self.type.name, "a check", function)
            known = name or function.__name__
            takes(self.type.name, f"check {known!r}", function, "result", "job")
            if known in [check.name for check in self.type.checks]:
                self._fault(f"has two checks named {known!r}")
            self.type.checks.append(DeclaredCheck(known, function))
            self.type.touched()
            return function

        return declare if function is None else declare(function)

    @overload
    def tool(self, function: F) -> F: ...
    @overload
    def tool(self, *, timeout: str | timedelta = "30s", output_at_most: int = 65_536) -> Callable[[F], F]: ...

    def tool(
        self, function: F | None = None, *, timeout: str | timedelta = "30s", output_at_most: int = 65_536
    ) -> F | Callable[[F], F]:
        """Declare a read-only function tool, run by the worker with typed arguments.

        It is given up after `timeout`; the model is told at most `output_at_most` bytes of what it answers.
        After a crash a call that was not answered runs again. A keyword-only `job` is the job it works for.
        """
        waits = milliseconds(self.type.name, "tool timeout", timeout)
        size = read_count(self.type.name, "tool output_at_most", output_at_most)

        def declare(function: F) -> F:
            plain(self.type.name, "a tool", function)
            name = function.__name__
            read_tool(self.type.name, f"tool {name!r}", function)
            if name in self.type.callables():
                self._fault(f"has two tools or actions named {name!r}")
            declared = DeclaredTool(name, function, waits, size)
            try:
                declared.definition()
            except Exception as error:
                self._fault(f"tool {name!r} has arguments without a JSON Schema: {error}")
            self.type.tools.append(declared)
            self.type.touched()
            return function

        return declare if function is None else declare(function)

    @overload
    def action(self, function: Callable[..., Any]) -> Action: ...
    @overload
    def action(
        self,
        *,
        undo: str | timedelta = "0s",
        timeout: str | timedelta = "30s",
        target: str | None = None,
        unbound: bool = False,
    ) -> Callable[[Callable[..., Any]], Action]: ...

    def action(
        self,
        function: Callable[..., Any] | None = None,
        *,
        undo: str | timedelta = "0s",
        timeout: str | timedelta = "30s",
        target: str | None = None,
        unbound: bool = False,
    ) -> Action | Callable[[Callable[..., Any]], Action]:
        """Declare an external action `(args, *, key)`: proposed by the model, approved by a person, done once.

        It is given up after `timeout`, and its outcome is unknown then. For `undo` after its approval it can
        still be taken back. `target` names what it acts on (default: the type's name).
        Arguments that hold an address (`://`) are refused unless its `content` is declared: what it shows could be
        another after the approval. `unbound` allows them all the same; the review then says so.
        """

        def declare(function: Callable[..., Any]) -> Action:
            return declare_action(
                self.type, function, undo=undo, timeout=timeout, target=target, unbound=unbound
            )

        return declare if function is None else declare(function)

    def propose(self, function: F) -> F:
        """Declare `(result, job)` that answers with the (action, arguments) pairs to propose from a result."""
        return declare_proposals(self.type, function)


class App(Judging):
    """The job types of a product. `BACKLANE_APP=module:attribute` names it."""

    def __init__(self) -> None:
        super().__init__()
        self._types: dict[str, BuiltType] = {}

    def get(self, name: str) -> BuiltType | None:
        """The job type by this name, or None."""
        return self._types.get(name)

    def names(self) -> Sequence[str]:
        """The names of all job types, in order."""
        return sorted(self._types)

    def _refuse_twice(self, name: str) -> None:
        if name in self._types:
            raise DeclarationError(name, "is declared twice")

    @naming_faults
    def job(
        self,
        name: str,
        *,
        authority: str,
        useful_for: str | timedelta = "24h",
        latency_budget: str | timedelta | None = None,
        max_cost: str | None = None,
        lanes: Sequence[str] = ("background",),
        live: bool = False,
        window: str = "soonest",
        continuation: str | None = None,
        max_attempts: int = 4,
        max_turns: int = 16,
        max_tool_calls: int = 64,
        if_unknown: str = "ask",
        if_invalid: str = "fail",
        who_may_cancel: str = "requester",
        finish_after_actions: bool = False,
        unbound_remote: bool = False,
        review: Review | None = None,
        sampled: float | None = None,
        unreviewed_because: str | None = None,
        cases: Mapping[str, bool] | None = None,
        output: type[BaseModel] | None = None,
    ) -> Callable[[Callable[[M], Request]], DeclaredJob[M]]:
        """Declare a job type on a function from its inputs (a pydantic model) to a Request.

        Durations are "30m" or timedeltas, `max_cost` USD as "0.50", `cases` what opens one. `unbound_remote` lets
        remote (MCP) calls hold addresses, whose content could be another after the approval. Raises DeclarationError.
        """
        self._refuse_twice(read_name(name))
        given = {
            "authority": authority, "useful_for": useful_for, "latency_budget": latency_budget,
            "max_cost": max_cost, "lanes": lanes, "live": live, "window": window,
            "continuation": continuation, "max_attempts": max_attempts, "max_turns": max_turns,
            "max_tool_calls": max_tool_calls, "if_unknown": if_unknown, "if_invalid": if_invalid,
            "who_may_cancel": who_may_cancel, "finish_after_actions": finish_after_actions,
            "sampled": sampled, "unreviewed_because": unreviewed_because, "unbound_remote": unbound_remote,
        }  # fmt: skip
        options = _options(name, given, review, cases or {})
        read_output_model(name, output)

        def declare(function: Callable[[M], Request]) -> DeclaredJob[M]:
            built = _built(name, function, options, output, self.policies)
            self._refuse_twice(name)
            self._types[name] = built
            return DeclaredJob(built, function)

        return declare


def _built(
    name: str,
    function: Callable[[M], Request],
    options: Options,
    output: type[BaseModel] | None,
    shared: list[DeclaredPolicy],
) -> BuiltType:
    built = BuiltType(name, function, inputs_model(name, function), options, output, rules=Rules(shared))
    try:
        built.input_schema()
        built.output_schema()
    except Exception as error:
        raise DeclarationError(name, f"has no JSON Schema: {error}") from error
    return built


def _options(name: str, given: dict[str, Any], review: Review | None, cases: Mapping[str, bool]) -> Options:
    """The declared options, each checked."""
    one_of(name, "authority", given["authority"], [str(one) for one in Authority])
    one_of(name, "if_unknown", given["if_unknown"], ["ask", "rebuy"])
    one_of(name, "if_invalid", given["if_invalid"], ["fail", "review"])
    one_of(name, "who_may_cancel", given["who_may_cancel"], ["requester", "operator"])
    reviewing = read_review(name, given["authority"], review)
    budget, within = given["latency_budget"], reviewing.respond_within
    return Options(
        authority=given["authority"],
        useful_for=milliseconds(name, "useful_for", given["useful_for"]),
        latency_budget=None if budget is None else milliseconds(name, "latency_budget", budget),
        max_cost=read_money(name, given["max_cost"]),
        lanes=read_lanes(name, given["lanes"]),
        live=read_flag(name, "live", given["live"]),
        window=read_window(name, given),
        continuation=given["continuation"],
        max_attempts=read_count(name, "max_attempts", given["max_attempts"]),
        max_turns=read_count(name, "max_turns", given["max_turns"]),
        max_tool_calls=read_count(name, "max_tool_calls", given["max_tool_calls"]),
        if_unknown=given["if_unknown"],
        if_invalid=given["if_invalid"],
        who_may_cancel=given["who_may_cancel"],
        review_role=reviewing.role,
        review_quorum=read_count(name, "review quorum", reviewing.quorum),
        respond_within=None if within is None else milliseconds(name, "respond_within", within),
        separate=reviewing.separate,
        escalation=tuple(reviewing.escalate_to),
        reviewed=review is not None,
        reviews_text=reviewing.text_too,
        finish_after_actions=read_flag(name, "finish_after_actions", given["finish_after_actions"]),
        unbound_remote=read_flag(name, "unbound_remote", given["unbound_remote"]),
        cases=read_cases(name, cases),
        sampled=read_sampled(name, given),
        unreviewed_because=read_waiver(name, given, reviewed=review is not None),
    )
