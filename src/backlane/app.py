"""How users declare job types. Every fault in a declaration is raised at import, naming the type and the fault."""

import inspect
import re
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Generic, NoReturn, TypeVar, overload

from pydantic import BaseModel

from backlane.core.authority import Authority
from backlane.core.lane import Lane
from backlane.core.schedule import DAY, HOUR, MINUTE, SECOND
from backlane.errors import DeclarationError
from backlane.jobtype import BuiltType, DeclaredAction, DeclaredCheck, DeclaredTool, Options
from backlane.request import Request, strict_schema

M = TypeVar("M", bound=BaseModel)
F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_UNITS = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_MAY_ACT = (Authority.LOW_RISK_WRITE, Authority.EXTERNAL_EFFECT)


@dataclass(frozen=True, slots=True)
class Review:
    """Who reviews a type's jobs: the role, how many approvals, within what time ("4h").

    `separate=False` lets the requester decide on their own job; not for `external_effect`.
    """

    role: str = "reviewer"
    quorum: int = 1
    respond_within: str | timedelta | None = None
    separate: bool = True


class Action:
    """A declared external action; `lookup` adds the function that settles an unknown outcome."""

    def __init__(self, type_name: str, declared: DeclaredAction) -> None:
        self._type_name = type_name
        self._declared = declared
        self.__name__ = declared.name

    def lookup(self, function: F) -> F:
        """Declare how to find out whether a key took effect."""
        if "key" not in inspect.signature(function).parameters:
            raise DeclarationError(self._type_name, f"the lookup of {self._declared.name!r} must take a key")
        self._declared.lookup_function = function
        return function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as a test does."""
        return self._declared.function(*args, **kwargs)


class DeclaredJob(Generic[M]):
    """A declared job type: still callable as the function it decorates, and open for its parts."""

    def __init__(self, built: BuiltType, function: Callable[[M], Request]) -> None:
        self.type = built
        self._function = function
        self.__name__ = function.__name__
        self.__doc__ = function.__doc__

    def __call__(self, inputs: M) -> Request:
        """Build the request for these inputs."""
        return self._function(inputs)

    def _fault(self, fault: str) -> NoReturn:
        raise DeclarationError(self.type.name, fault)

    def summary(self, function: Callable[[M], str]) -> Callable[[M], str]:
        """Declare the submitted-inputs summary that support may see."""
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
            known = name or function.__name__
            if len(_positional(function)) != 2:
                self._fault(f"check {known!r} must take (result, job)")
            if known in [check.name for check in self.type.checks]:
                self._fault(f"has two checks named {known!r}")
            self.type.checks.append(DeclaredCheck(known, function))
            self.type.touched()
            return function

        return declare if function is None else declare(function)

    def tool(self, function: F) -> F:
        """Declare a read-only function tool, run by the worker with typed arguments."""
        self._typed("tool", function)
        if function.__name__ in self._callables():
            self._fault(f"has two tools or actions named {function.__name__!r}")
        self.type.tools.append(DeclaredTool(function.__name__, function))
        self.type.touched()
        return function

    @overload
    def action(self, function: Callable[..., Any]) -> Action: ...
    @overload
    def action(
        self, *, undo: str | timedelta = "0s", timeout: str | timedelta = "30s"
    ) -> Callable[[Callable[..., Any]], Action]: ...

    def action(
        self,
        function: Callable[..., Any] | None = None,
        *,
        undo: str | timedelta = "0s",
        timeout: str | timedelta = "30s",
    ) -> Action | Callable[[Callable[..., Any]], Action]:
        """Declare an external action `(args, *, key)`: proposed by the model, approved by a person."""

        def declare(function: Callable[..., Any]) -> Action:
            name = function.__name__
            if self.type.authority not in _MAY_ACT:
                self._fault(f"action {name!r} needs authority low_risk_write or external_effect")
            key = inspect.signature(function).parameters.get("key")
            if key is None or key.kind is not inspect.Parameter.KEYWORD_ONLY:
                self._fault(f"action {name!r} must take a keyword-only key")
            self._typed("action", function)
            if name in self._callables():
                self._fault(f"has two tools or actions named {name!r}")
            waits = (
                _milliseconds(self.type.name, "undo", undo, least=0),
                _milliseconds(self.type.name, "timeout", timeout),
            )
            declared = DeclaredAction(name, function, *waits)
            self.type.actions.append(declared)
            self.type.touched()
            return Action(self.type.name, declared)

        return declare if function is None else declare(function)

    def _callables(self) -> list[str]:
        return [one.name for one in (*self.type.tools, *self.type.actions)]

    def _typed(self, kind: str, function: Callable[..., Any]) -> None:
        hints = _hints(self.type.name, function)
        missing = [name for name in inspect.signature(function).parameters if name not in hints]
        if missing:
            self._fault(f"{kind} {function.__name__!r} has no type for {', '.join(missing)}")
        if "return" not in hints:
            self._fault(f"{kind} {function.__name__!r} has no return type")


class App:
    """The job types of a product. `BACKLANE_APP=module:attribute` names it."""

    def __init__(self) -> None:
        self._types: dict[str, BuiltType] = {}

    def get(self, name: str) -> BuiltType | None:
        """The job type by this name, or None."""
        return self._types.get(name)

    def names(self) -> Sequence[str]:
        """The names of all job types, in order."""
        return sorted(self._types)

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
        max_attempts: int = 4,
        if_unknown: str = "ask",
        if_invalid: str = "fail",
        who_may_cancel: str = "requester",
        review: Review | None = None,
        output: type[BaseModel] | None = None,
    ) -> Callable[[Callable[[M], Request]], DeclaredJob[M]]:
        """Declare a job type on a function from its inputs (a pydantic model) to a Request.

        Durations are strings such as "30m" or timedeltas; `max_cost` is a decimal string in USD.
        Raises DeclarationError naming the type and the fault.
        """
        if not _NAME.fullmatch(name):
            raise DeclarationError(name, "a name is lower-case letters, digits and hyphens, at most 64")
        if name in self._types:
            raise DeclarationError(name, "is declared twice")
        _one_of(name, "authority", authority, [str(one) for one in Authority])
        _one_of(name, "if_unknown", if_unknown, ["ask", "rebuy"])
        _one_of(name, "if_invalid", if_invalid, ["fail", "review"])
        _one_of(name, "who_may_cancel", who_may_cancel, ["requester", "operator"])
        reviewing = _review(name, authority, review)
        budget = None if latency_budget is None else _milliseconds(name, "latency_budget", latency_budget)
        within = reviewing.respond_within
        options = Options(
            authority=authority,
            useful_for=_milliseconds(name, "useful_for", useful_for),
            latency_budget=budget,
            max_cost=_money(name, max_cost),
            lanes=_lanes(name, lanes),
            live=live,
            max_attempts=_count(name, "max_attempts", max_attempts),
            if_unknown=if_unknown,
            if_invalid=if_invalid,
            who_may_cancel=who_may_cancel,
            review_role=reviewing.role,
            review_quorum=_count(name, "review quorum", reviewing.quorum),
            respond_within=None if within is None else _milliseconds(name, "respond_within", within),
            separate=reviewing.separate,
            reviewed=review is not None,
        )

        def declare(function: Callable[[M], Request]) -> DeclaredJob[M]:
            built = BuiltType(name, function, _inputs_model(name, function), options, output)
            try:
                built.input_schema()
                if output is not None:
                    strict_schema(output)
            except Exception as error:
                raise DeclarationError(name, f"has no JSON Schema: {error}") from error
            self._types[name] = built
            return DeclaredJob(built, function)

        return declare


def _positional(function: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one for one in inspect.signature(function).parameters.values() if one.kind in kinds]


def _hints(type_name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise DeclarationError(
            type_name, f"the types of {function.__name__!r} cannot be read: {error}"
        ) from error


def _inputs_model(type_name: str, function: Callable[..., Any]) -> type[BaseModel]:
    if inspect.iscoroutinefunction(function):
        raise DeclarationError(type_name, "the function must not be async: it only builds a Request")
    parameters = _positional(function)
    if len(inspect.signature(function).parameters) != 1 or len(parameters) != 1:
        raise DeclarationError(type_name, "the function must take exactly its inputs")
    hints = _hints(type_name, function)
    model = hints.get(parameters[0].name)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise DeclarationError(type_name, "the inputs must be annotated with a pydantic model")
    if model.model_config.get("extra") == "allow":
        raise DeclarationError(type_name, "the inputs must not allow unknown keys (extra='allow')")
    if hints.get("return", Request) is not Request:
        raise DeclarationError(type_name, "the function must return a Request")
    return model


def _one_of(type_name: str, option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise DeclarationError(type_name, f"{option} must be one of {', '.join(known)}, not {value!r}")


def _lanes(type_name: str, lanes: Sequence[str]) -> tuple[str, ...]:
    if isinstance(lanes, str) or not lanes:
        raise DeclarationError(type_name, "lanes must be a list with at least one lane")
    for lane in lanes:
        _one_of(type_name, "lanes", lane, [str(one) for one in Lane])
    return tuple(lanes)


def _count(type_name: str, option: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise DeclarationError(type_name, f"{option} must be a whole number from 1")
    return value


def _money(type_name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise DeclarationError(type_name, 'max_cost must be a decimal string such as "0.50", not a float')
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        raise DeclarationError(type_name, f"max_cost must be an amount above 0, not {value!r}")
    return value


def _milliseconds(type_name: str, option: str, value: Any, *, least: int = 1) -> int:
    """A duration in milliseconds: "30s", "5m", "24h", "2d", "1w" or a timedelta."""
    milliseconds = -1
    if isinstance(value, timedelta):
        milliseconds = int(value.total_seconds() * 1000)
    elif isinstance(value, str) and (found := _DURATION.fullmatch(value)):
        milliseconds = int(float(found[1]) * _UNITS[found[2]])
    if milliseconds < least:
        raise DeclarationError(type_name, f'{option} must be a duration such as "30m", not {value!r}')
    return milliseconds


def _review(type_name: str, authority: str, review: Review | None) -> Review:
    given = review or Review()
    _one_of(type_name, "review role", given.role, ["reviewer", "admin"])
    if not given.separate and authority == Authority.EXTERNAL_EFFECT:
        raise DeclarationError(type_name, "separate=False is not possible for external_effect")
    return given
