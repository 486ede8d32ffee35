"""Reading what a declaration says: each reader answers with the value, or raises naming the type and the fault."""

import functools
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, ParamSpec, TypeVar, cast

from pydantic import BaseModel, RootModel, TypeAdapter

from backlane.core.authority import Authority
from backlane.core.case import OPENERS
from backlane.core.lane import WINDOWS, Lane, Window
from backlane.core.review import DECIDING, lesser
from backlane.core.schedule import DAY, HOUR, MINUTE, SECOND
from backlane.errors import DeclarationError
from backlane.fields import reachable
from backlane.request import Request

_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h|d|w)")
_MONEY = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_LONGEST = 3650 * DAY
_UNITS = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}


@dataclass(frozen=True, slots=True)
class Review:
    """Who reviews a type's jobs: the role, how many approvals, within what time ("4h").

    `separate=False` lets the requester decide on their own job; not for `external_effect`.
    `text_too` has what is written after a job's last action reviewed as well.
    When nobody answers within `respond_within` it is handed on to the roles in `escalate_to`, each with that
    time anew; when the last has not answered the job ends failed. Nobody's silence ever approves.
    """

    role: str = "reviewer"
    quorum: int = 1
    respond_within: str | timedelta | None = None
    separate: bool = True
    escalate_to: Sequence[str] = ()
    text_too: bool = False


P = ParamSpec("P")
R = TypeVar("R")


def naming_faults(method: Callable[P, R]) -> Callable[P, R]:
    """A missing or unknown argument of `method(self, …)` becomes a DeclarationError naming the type."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            inspect.signature(method).bind(*args, **kwargs)
        except TypeError as fault:
            named = args[1] if len(args) > 1 else kwargs.get("name", "(no name)")
            raise DeclarationError(str(getattr(named, "__name__", named))[:80], str(fault)) from None
        return method(*args, **kwargs)

    return call


def read_name(name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        known = str(getattr(name, "__name__", name))[:80]
        raise DeclarationError(
            known, "a name starts with a-z and holds lower-case letters, digits and hyphens, at most 64"
        )
    return name


def plain(type_name: str, what: str, function: Any, *, sync: bool = False) -> None:
    """Refuse what is no plain function, and with `sync` what is async or a generator."""
    if not inspect.isfunction(function):
        raise DeclarationError(type_name, f"{what} must be a plain function (def)")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise DeclarationError(type_name, f"{what} must not be a generator")
    if sync and inspect.iscoroutinefunction(function):
        raise DeclarationError(type_name, f"{what} must not be async")


def takes(type_name: str, what: str, function: Callable[..., Any], *names: str) -> None:
    """Refuse a function that cannot be called with exactly these positional arguments."""
    try:
        inspect.signature(function).bind(*names)
    except TypeError:
        raise DeclarationError(type_name, f"{what} must take ({', '.join(names)})") from None


def read_tool(type_name: str, what: str, function: Callable[..., Any]) -> None:
    """Refuse a tool whose name the provider does not take, or whose arguments cannot be told to it."""
    if not _TOOL_NAME.fullmatch(function.__name__):
        raise DeclarationError(type_name, f"{what} needs a name of letters, digits, _ and -, at most 64")
    job = inspect.signature(function).parameters.get("job")
    given = job is not None and job.kind is inspect.Parameter.KEYWORD_ONLY
    if job is not None and not given:
        raise DeclarationError(
            type_name, f"{what} must take job keyword-only: it is the job, not the model's"
        )
    read_callable(type_name, what, function, besides=("job",) if given else ())


def read_callable(
    type_name: str, what: str, function: Callable[..., Any], besides: Sequence[str] = ()
) -> dict[str, Any]:
    """The types of a tool or action, all of them given and, but for `besides`, all with a JSON Schema."""
    hints = type_hints_of(type_name, function)
    given = inspect.signature(function).parameters
    parameters = {name: one for name, one in given.items() if name not in besides}
    wild = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    if any(one.kind in wild or one.kind is inspect.Parameter.POSITIONAL_ONLY for one in parameters.values()):
        raise DeclarationError(type_name, f"{what} must name each argument: no *args, **kwargs or '/'")
    if missing := [name for name in parameters if name not in hints]:
        raise DeclarationError(type_name, f"{what} has no type for {', '.join(missing)}")
    if "return" not in hints:
        raise DeclarationError(type_name, f"{what} has no return type")
    try:
        for name in parameters:
            TypeAdapter(hints[name]).json_schema()
    except Exception as error:
        raise DeclarationError(type_name, f"{what} has arguments without a JSON Schema: {error}") from error
    return hints


def read_action(type_name: str, what: str, function: Callable[..., Any]) -> None:
    """Refuse an action that is not `(args, *, key: str)` with a pydantic model as its args."""
    key = inspect.signature(function).parameters.get("key")
    if key is None or key.kind is not inspect.Parameter.KEYWORD_ONLY:
        raise DeclarationError(type_name, f"{what} must take a keyword-only key")
    hints = read_callable(type_name, what, function)
    if hints["key"] is not str:
        raise DeclarationError(type_name, f"{what} must take its key as str")
    arguments = positional(function)
    model = hints[arguments[0].name] if len(arguments) == 1 else None
    if len(inspect.signature(function).parameters) != 2 or not _is_model(model):
        raise DeclarationError(type_name, f"{what} must take one pydantic model and the key, nothing else")


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def positional(function: Callable[..., Any]) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one for one in inspect.signature(function).parameters.values() if one.kind in kinds]


def type_hints_of(type_name: str, function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise DeclarationError(
            type_name, f"the types of {function.__name__!r} cannot be read: {error}"
        ) from error


def inputs_model(type_name: str, function: Callable[..., Any]) -> type[BaseModel]:
    plain(type_name, "the function (it only builds a Request)", function, sync=True)
    parameters = positional(function)
    if len(inspect.signature(function).parameters) != 1 or len(parameters) != 1:
        raise DeclarationError(type_name, "the function must take exactly its inputs")
    hints = type_hints_of(type_name, function)
    model = hints.get(parameters[0].name)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise DeclarationError(type_name, "the inputs must be annotated with a pydantic model")
    if model is BaseModel:
        raise DeclarationError(type_name, "the inputs must be a model of their own, not BaseModel itself")
    if issubclass(model, RootModel):
        raise DeclarationError(type_name, "the inputs must be a model with named fields, not a RootModel")
    try:
        model.model_rebuild()
        parts = [cast(type[BaseModel], one) for one in reachable(model) if _is_model(one)]
    except Exception as error:
        raise DeclarationError(type_name, f"the inputs cannot be read: {error}") from error
    for part in parts:
        if part.model_config.get("extra") == "allow":
            raise DeclarationError(
                type_name, f"the inputs must not allow unknown keys ({part.__name__} has extra='allow')"
            )
    if hints.get("return", Request) is not Request:
        raise DeclarationError(type_name, "the function must return a Request")
    return model


def one_of(type_name: str, option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise DeclarationError(type_name, f"{option} must be one of {', '.join(known)}, not {value!r}")


def read_lanes(type_name: str, lanes: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(cast(Any, lanes), list | tuple | set | frozenset) or not lanes:
        raise DeclarationError(type_name, "lanes must be a list with at least one lane")
    for lane in lanes:
        one_of(type_name, "lanes", lane, [str(one) for one in Lane])
    if len(set(lanes)) < len(lanes):
        raise DeclarationError(type_name, "lanes names a lane twice")
    return tuple(lanes)


def read_count(type_name: str, option: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise DeclarationError(type_name, f"{option} must be a whole number from 1")
    return value


def read_flag(type_name: str, option: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise DeclarationError(type_name, f"{option} must be True or False, not {value!r}")
    return value


def read_window(type_name: str, given: Mapping[str, Any]) -> str:
    """The declared completion window. Raises DeclarationError for one that no job of the type could have."""
    window, continuation = given["window"], given["continuation"]
    one_of(type_name, "window", window, [str(one) for one in Window])
    if continuation is not None:
        one_of(type_name, "continuation", continuation, ["type", "account"])
    if window == Window.SOONEST:
        return window
    if given["live"]:
        raise DeclarationError(type_name, f"window {window} cannot be streamed live")
    if Lane.BACKGROUND not in given["lanes"]:
        raise DeclarationError(type_name, f"window {window} needs the background lane")
    if milliseconds(type_name, "useful_for", given["useful_for"]) < WINDOWS[window]:
        raise DeclarationError(type_name, f"useful_for is shorter than window {window}")
    return window


def read_cases(type_name: str, table: Any) -> tuple[tuple[str, bool], ...]:
    """Which ends open a case by themselves: words this service knows, each yes or no."""
    if not isinstance(table, Mapping):
        raise DeclarationError(type_name, 'cases must be a dict such as {"expired": True}')
    rules = cast(Mapping[Any, Any], table)
    for word, opens in rules.items():
        if word not in OPENERS:
            raise DeclarationError(
                type_name,
                f"cases: {word!r} is no end that could open one: name expired, effect_unknown, "
                "submission_unknown, a failure's cause or its code",
            )
        read_flag(type_name, f"cases {word!r}", opens)
    return tuple(sorted(cast(Mapping[str, bool], rules).items()))


def read_output_model(type_name: str, output: Any) -> None:
    if output is not None and not _is_model(output):
        raise DeclarationError(type_name, "output must be a pydantic model")


def read_money(type_name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise DeclarationError(type_name, 'max_cost must be a decimal string such as "0.50", not a float')
    if not _MONEY.fullmatch(value) or Decimal(value) <= 0:
        raise DeclarationError(type_name, f"max_cost must be an amount above 0, not {value!r}")
    return value


def milliseconds(type_name: str, option: str, value: Any, *, least: int = 1) -> int:
    """A duration in milliseconds: "30s", "5m", "24h", "2d", "1w" or a timedelta."""
    milliseconds = -1
    if isinstance(value, timedelta):
        milliseconds = int(value.total_seconds() * 1000)
    elif isinstance(value, str) and (found := _DURATION.fullmatch(value)):
        milliseconds = int(float(found[1]) * _UNITS[found[2]])
    if milliseconds > _LONGEST:
        raise DeclarationError(type_name, f"{option} must not be longer than ten years")
    if milliseconds < least:
        raise DeclarationError(type_name, f'{option} must be a duration such as "30m", not {value!r}')
    return milliseconds


def read_review(type_name: str, authority: str, review: Review | None) -> Review:
    given = Review() if review is None else review
    if not isinstance(cast(Any, given), Review):
        raise DeclarationError(type_name, "review must be a Review(…)")
    read_flag(type_name, "review separate", given.separate)
    read_flag(type_name, "review text_too", given.text_too)
    _read_chain(type_name, given)
    if not given.separate and authority == Authority.EXTERNAL_EFFECT:
        raise DeclarationError(type_name, "separate=False is not possible for external_effect")
    return given


def _read_chain(type_name: str, given: Review) -> None:
    """Refuse roles that decide nothing, and a chain that leads to a lesser role."""
    one_of(type_name, "review role", given.role, DECIDING)
    if not isinstance(cast(Any, given.escalate_to), list | tuple):
        raise DeclarationError(type_name, "review escalate_to must be a list of roles")
    for has, role in zip((given.role, *given.escalate_to), given.escalate_to, strict=False):
        one_of(type_name, "review escalate_to", role, DECIDING)
        if lesser(role, has):
            raise DeclarationError(type_name, f"review escalate_to leads from {has} to {role}, a lesser role")
