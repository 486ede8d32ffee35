"""A hash of what a function says, by content: its source, what it calls of its own project, the limits it reads.

What it reads while it runs (a file, a database, a variable that changes) is no part of it.
"""

import hashlib
import inspect
import re
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

_PLAIN = (str, bytes, int, float, bool, complex, type(None), Decimal, date, datetime, time, timedelta)
_PATHS = [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
_INSTALLED = tuple(f"{Path(path).resolve()}/" for path in (*_PATHS, Path(__file__).parent))


def content_hash(functions: list[tuple[str, Callable[..., Any]]]) -> str:
    """One hash over several functions, each under what it was declared as."""
    digest = hashlib.sha256()
    for declared, function in functions:
        seen: set[int] = set()
        for part in (declared, *_function(cast(FunctionType, function), seen)):
            digest.update(f"{len(part)}:{part}\n".encode(errors="replace"))
    return digest.hexdigest()


def _function(function: FunctionType, seen: set[int]) -> Iterator[str]:
    if id(function) in seen:
        return
    seen.add(id(function))
    yield _source(function.__code__)
    for name, default in sorted((function.__kwdefaults__ or {}).items()):
        yield f"{name}={''.join(_value(default, seen))}"
    for default in function.__defaults__ or ():
        yield "".join(_value(default, seen))
    for name, value in sorted(_named(function).items()):
        yield f"{name}:{'|'.join(_value(value, seen))}"


def _source(code: CodeType) -> str:
    """The source as it stands in its file, or what it was compiled to where there is no file."""
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        parts = [repr(one) for one in code.co_consts if not isinstance(one, CodeType | frozenset)]
        inner = [_source(one) for one in code.co_consts if isinstance(one, CodeType)]
        return "|".join([code.co_code.hex(), *code.co_names, *code.co_varnames, *parts, *inner])


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def _named(function: FunctionType) -> dict[str, Any]:
    """What it names outside itself: globals of its module, and what it closes over."""
    found: dict[str, Any] = {}
    for code in _codes(function.__code__):
        found |= {name: function.__globals__[name] for name in code.co_names if name in function.__globals__}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            found[name] = None  # not bound yet
    return found


def _value(value: Any, seen: set[int]) -> Iterator[str]:
    """A value by what it says, in an order that is the same in every process."""
    if isinstance(value, Enum):
        yield str(value)
    elif isinstance(value, _PLAIN):
        yield repr(value)
    elif isinstance(value, re.Pattern):
        yield f"{cast(re.Pattern[str], value).pattern!r}/{cast(re.Pattern[str], value).flags}"
    elif isinstance(value, Mapping | set | frozenset | list | tuple) and _again(value, seen):
        yield "…"
    elif isinstance(value, Mapping):
        pairs = cast(Mapping[Any, Any], value).items()
        yield from sorted("=".join([*_value(key, seen), *_value(one, seen)]) for key, one in pairs)
    elif isinstance(value, set | frozenset):
        yield from sorted("".join(_value(one, seen)) for one in cast(set[Any], value))
    elif isinstance(value, list | tuple):
        yield from ("".join(_value(one, seen)) for one in cast(list[Any], value))
    elif isinstance(value, FunctionType):
        yield f"def {value.__qualname__}"
        if not _is_installed(value):
            yield from _function(value, seen)
    elif isinstance(value, type):
        yield from _class(value, seen)
    elif is_dataclass(value):
        yield type(value).__qualname__
        for one in fields(value):
            yield from _value(getattr(value, one.name), seen)
    else:
        # A module or an object with a life of its own: known by its name only.
        yield value.__name__ if isinstance(value, ModuleType) else type(value).__qualname__


def _again(value: Any, seen: set[int]) -> bool:
    """Whether this very collection was told already: one that holds itself must have an end."""
    known = id(value) in seen
    seen.add(id(value))
    return known


def _class(kind: type, seen: set[int]) -> Iterator[str]:
    yield kind.__qualname__
    if id(kind) in seen or _is_installed(kind):
        return
    seen.add(id(kind))
    with suppress(OSError, TypeError):
        yield inspect.getsource(kind)
    for name, one in sorted(vars(kind).items()):
        plain = getattr(one, "__func__", getattr(one, "fget", one))
        if isinstance(plain, FunctionType):
            yield from (name, *_function(plain, seen))


def _is_installed(one: Any) -> bool:
    """Whether it comes with Python or a package: those are known by name, their own versions tell of changes."""
    try:
        file = str(Path(inspect.getfile(one)).resolve())
    except (OSError, TypeError):
        return False
    return file.startswith(_INSTALLED)
