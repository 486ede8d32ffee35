"""Inputs as they may be summarised: what is marked Sensitive is masked, at any depth."""

from collections.abc import Mapping
from typing import Annotated, Any, cast, get_args, get_origin

from pydantic import BaseModel

from backlane.fields import is_marked, may_hold, members

MASK = "[sensitive]"


class _Unmaskable(Exception):
    """Something sensitive that no copy of the inputs can be made without."""


def masked(inputs: BaseModel) -> BaseModel | None:
    """A copy whose sensitive texts are masked and collections empty; None where something cannot be masked."""
    try:
        return _model(inputs)
    except _Unmaskable:
        return None


def _model(value: BaseModel) -> BaseModel:
    changed: dict[str, Any] = {}
    for name, kind in members(type(value)).items():
        if may_hold(kind):
            changed[name] = _value(kind, getattr(value, name, None))
    return value.model_copy(update=changed) if changed else value


def _value(kind: Any, value: Any) -> Any:
    if value is None or value == "" or (isinstance(value, bool) and not is_marked(kind)):
        return value
    if is_marked(kind):
        return _mask(value)
    if get_origin(kind) is Annotated:
        return _value(kind.__origin__, value)
    if isinstance(value, BaseModel):
        return _model(value)
    inner = [one for one in get_args(kind) if may_hold(one)]
    if isinstance(value, list):
        return [_item(inner, one) for one in cast(list[Any], value)]
    if isinstance(value, Mapping) and get_origin(kind) is dict and not may_hold(get_args(kind)[0]):
        return {key: _item(inner, one) for key, one in cast(Mapping[Any, Any], value).items()}
    if len(inner) == 1 and get_origin(kind) not in (list, dict, tuple, set, frozenset):
        return _value(inner[0], value)
    raise _Unmaskable


def _item(inner: list[Any], value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _model(value)
    if len(inner) == 1:
        return _value(inner[0], value)
    raise _Unmaskable


def _mask(value: Any) -> Any:
    if isinstance(value, str):
        return MASK
    if isinstance(value, list | dict | tuple | set | frozenset):
        return type(cast(Any, value))()
    raise _Unmaskable
