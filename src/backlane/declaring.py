"""Reading what a declaration says: each reader answers with the value, or raises naming the type and the fault."""

import inspect
import re
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import BaseModel

from backlane.core.authority import Authority
from backlane.core.lane import Lane
from backlane.core.schedule import DAY, HOUR, MINUTE, SECOND
from backlane.errors import DeclarationError
from backlane.request import Request

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_UNITS = {"ms": 1, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}


@dataclass(frozen=True, slots=True)
class Review:
    """Who reviews a type's jobs: the role, how many approvals, within what time ("4h").

    `separate=False` lets the requester decide on their own job; not for `external_effect`.
    """

    role: str = "reviewer"
    quorum: int = 1
    respond_within: str | timedelta | None = None
    separate: bool = True


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
    if inspect.iscoroutinefunction(function):
        raise DeclarationError(type_name, "the function must not be async: it only builds a Request")
    parameters = positional(function)
    if len(inspect.signature(function).parameters) != 1 or len(parameters) != 1:
        raise DeclarationError(type_name, "the function must take exactly its inputs")
    hints = type_hints_of(type_name, function)
    model = hints.get(parameters[0].name)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise DeclarationError(type_name, "the inputs must be annotated with a pydantic model")
    if model.model_config.get("extra") == "allow":
        raise DeclarationError(type_name, "the inputs must not allow unknown keys (extra='allow')")
    if hints.get("return", Request) is not Request:
        raise DeclarationError(type_name, "the function must return a Request")
    return model


def one_of(type_name: str, option: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise DeclarationError(type_name, f"{option} must be one of {', '.join(known)}, not {value!r}")


def read_lanes(type_name: str, lanes: Sequence[str]) -> tuple[str, ...]:
    if isinstance(lanes, str) or not lanes:
        raise DeclarationError(type_name, "lanes must be a list with at least one lane")
    for lane in lanes:
        one_of(type_name, "lanes", lane, [str(one) for one in Lane])
    return tuple(lanes)


def read_count(type_name: str, option: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise DeclarationError(type_name, f"{option} must be a whole number from 1")
    return value


def read_money(type_name: str, value: Any) -> str | None:
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


def milliseconds(type_name: str, option: str, value: Any, *, least: int = 1) -> int:
    """A duration in milliseconds: "30s", "5m", "24h", "2d", "1w" or a timedelta."""
    milliseconds = -1
    if isinstance(value, timedelta):
        milliseconds = int(value.total_seconds() * 1000)
    elif isinstance(value, str) and (found := _DURATION.fullmatch(value)):
        milliseconds = int(float(found[1]) * _UNITS[found[2]])
    if milliseconds < least:
        raise DeclarationError(type_name, f'{option} must be a duration such as "30m", not {value!r}')
    return milliseconds


def read_review(type_name: str, authority: str, review: Review | None) -> Review:
    given = review or Review()
    one_of(type_name, "review role", given.role, ["reviewer", "admin"])
    if not given.separate and authority == Authority.EXTERNAL_EFFECT:
        raise DeclarationError(type_name, "separate=False is not possible for external_effect")
    return given
