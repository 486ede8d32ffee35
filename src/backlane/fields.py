"""Field types for job inputs: `File` and `Sensitive`; and where a model holds them."""

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")


class SensitiveMark:
    """Marks a field whose content tightens the gate and is masked in summaries and logs."""

    def __repr__(self) -> str:
        return "Sensitive"


_MARK = SensitiveMark()
Sensitive = Annotated[T, _MARK]
"""`note: Sensitive[str] = ""`: validates as str; a job whose field holds something is reviewed."""


class File(str):
    """An uploaded file as an input: the artifact's id (`art_…`)."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        checked = core_schema.str_schema(pattern=r"^art_[0-9a-z]{26}$")
        return core_schema.no_info_after_validator_function(cls, checked)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "format": "backlane-file", "pattern": "^art_[0-9a-z]{26}$"}


def _parts(annotation: Any) -> Iterator[Any]:
    """The types an annotation is made of, itself included."""
    yield annotation
    if get_origin(annotation) is not None or isinstance(annotation, types.UnionType):
        for part in get_args(annotation):
            yield from _parts(part)


def holds_file(model: type[BaseModel], seen: frozenset[type] = frozenset()) -> bool:
    """Whether inputs of this model can hold a File, at any depth."""
    if model in seen:
        return False
    for field in model.model_fields.values():
        for part in _parts(field.annotation):
            if part is File:
                return True
            if _is_model(part) and holds_file(part, seen | {model}):
                return True
    return False


def _is_model(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


def _marked(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        if any(isinstance(one, SensitiveMark) for one in get_args(annotation)[1:]):
            return True
        return _marked(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType, list, tuple, dict, set):
        return any(_marked(part) for part in get_args(annotation))
    return False


def sensitive_fields(model: type[BaseModel]) -> frozenset[str]:
    """The names of a model's own fields that are marked Sensitive."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if any(isinstance(one, SensitiveMark) for one in field.metadata) or _marked(field.annotation)
    )


def holds_sensitive(value: Any) -> bool:
    """Whether a field marked Sensitive holds something, at any depth of validated inputs."""
    if isinstance(value, BaseModel):
        marked = sensitive_fields(type(value))
        for name in type(value).model_fields:
            held = getattr(value, name)
            if name in marked and not _empty(held):
                return True
            if holds_sensitive(held):
                return True
        return False
    if isinstance(value, Mapping):
        return any(holds_sensitive(one) for one in cast(Mapping[Any, Any], value).values())
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return any(holds_sensitive(one) for one in cast(Sequence[Any], value))
    return False


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | bytes | list | dict | tuple | set) and not value)
