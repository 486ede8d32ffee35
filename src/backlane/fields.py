"""Field types for job inputs: `File`, `Image` and `Sensitive`; and where a model holds them."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema
from typing_extensions import is_typeddict

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
    _format = "backlane-file"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        checked = core_schema.str_schema(pattern=r"^art_[0-9a-z]{26}$")
        return core_schema.no_info_after_validator_function(cls, checked)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "format": cls._format, "pattern": "^art_[0-9a-z]{26}$"}


class Image(File):
    """An uploaded picture (PNG, JPEG, GIF or WebP) as an input; a file of another kind is refused at submit."""

    __slots__ = ()
    _format = "backlane-image"


def members(kind: Any) -> dict[str, Any]:
    """The fields of a model, dataclass, TypedDict or NamedTuple: name and annotation, marks included."""
    if get_origin(kind) is not None:
        return {}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {
            name: Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
            for name, field in kind.model_fields.items()
        }
    plain = cast(Any, kind)
    if hasattr(plain, "__dataclass_fields__") or hasattr(plain, "_fields") or is_typeddict(plain):
        return get_type_hints(plain, include_extras=True)
    return {}


def reachable(annotation: Any) -> Iterator[Any]:
    """The annotation and every annotation inside it, at any depth; a recursive type comes once."""
    seen: set[Any] = set()
    waiting: list[Any] = [annotation]
    while waiting:
        current = waiting.pop()
        if isinstance(current, type) or hasattr(current, "__value__"):
            if current in seen:
                continue
            seen.add(current)
        yield current
        waiting += [*_inside(current), *members(current).values()]


@cache
def holds_file(model: type[BaseModel]) -> bool:
    """Whether inputs of this model can hold a File, at any depth."""
    return any(isinstance(part, type) and issubclass(part, File) for part in reachable(model))


def files_in(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], File]]:
    """Every File in validated inputs, at any depth, with its place as it was given."""
    if isinstance(value, File):
        yield place, value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            given = field.validation_alias if isinstance(field.validation_alias, str) else name
            yield from files_in(getattr(value, name), (*place, given))
    elif isinstance(value, Mapping):
        for key, one in cast(Mapping[Any, Any], value).items():
            yield from files_in(one, (*place, key))
    elif isinstance(value, list | tuple | set | frozenset):
        for index, one in enumerate(cast(Iterable[Any], value)):
            yield from files_in(one, (*place, index))
    elif not isinstance(value, str | bytes) and hasattr(value, "__dataclass_fields__"):
        for name in members(type(value)):
            yield from files_in(getattr(value, name, None), (*place, name))


def sensitive_fields(model: type[BaseModel]) -> frozenset[str]:
    """The names of a model's own fields that are marked Sensitive or can hold something that is."""
    return frozenset(name for name, kind in members(model).items() if may_hold(kind))


def holds_sensitive(inputs: Any) -> bool:
    """Whether anything marked Sensitive is given, at any depth of validated inputs.

    Empty texts and collections and None do not count. Where a union leaves it open which branch was
    meant, the stricter one counts.
    """
    return _holds(type(inputs), inputs)


def _holds(annotation: Any, value: Any) -> bool:
    if is_marked(annotation):
        return not _empty(value)
    fields = members(type(value)) if isinstance(value, BaseModel) else members(annotation)
    if fields:
        return any(_holds(kind, _member(value, name)) for name, kind in fields.items())
    if not may_hold(annotation):
        return False
    if _is_collection(get_origin(annotation)):
        return any(_holds(kind, item) for kind, item in _pairs(get_args(annotation), value))
    return any(_holds(kind, value) for kind in _inside(annotation))


def _inside(annotation: Any) -> tuple[Any, ...]:
    """The annotations directly inside one: what is marked, an alias's value, a generic's arguments."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return (annotation.__origin__,)
    alias = annotation if hasattr(annotation, "__value__") else origin
    value = (alias.__value__,) if hasattr(alias, "__value__") else ()
    generic = (origin,) if members(origin) else ()
    return (*value, *generic, *get_args(annotation))


def may_hold(annotation: Any) -> bool:
    """Whether a value of this annotation can hold anything marked Sensitive."""
    if annotation in (str, int, float, bool, type(None)):
        return False
    return any(is_marked(part) for part in reachable(annotation))


def is_marked(annotation: Any) -> bool:
    """Whether the annotation itself is marked Sensitive."""
    return get_origin(annotation) is Annotated and any(
        isinstance(one, SensitiveMark) for one in annotation.__metadata__
    )


def _is_collection(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Iterable) and not members(origin)


def _pairs(kinds: tuple[Any, ...], value: Any) -> Iterator[tuple[Any, Any]]:
    """Each item of a collection with the annotation it stands under."""
    if isinstance(value, Mapping):
        for entry in cast(Mapping[Any, Any], value).items():
            yield from zip(kinds, entry, strict=False)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        items = list(cast(Iterable[Any], value))
        if isinstance(value, tuple) and len(kinds) == len(items) and Ellipsis not in kinds:
            yield from zip(kinds, items, strict=True)
        else:
            yield from ((kind, item) for kind in kinds for item in items)


def _member(value: Any, name: str) -> Any:
    return cast(Any, value).get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _empty(value: Any) -> bool:
    return value is None or (
        isinstance(value, str | bytes | list | dict | tuple | set | frozenset) and not value
    )
