"""A hash of what a function says, by content: its source, what it uses of its own project, the limits it reads.

What it reads while it runs (a file, a database, a variable that changes) is no part of it. What cannot be told is known
by its name: nothing here raises, and nothing that is told differs from one process to another.
"""

import functools
import hashlib
import inspect
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel

from backlane.code_names import Scope, imported, is_installed

_NUMBERS = (int, float, bool, complex, Decimal, Fraction, range)
_TIMES = (date, datetime, time, timedelta, timezone)
_NAMES = (str, bytes, bytearray, UUID, IPv4Address, IPv4Network, IPv6Address, IPv6Network)
_PLAIN = (type(None), *_NUMBERS, *_TIMES, *_NAMES)
_MANY = (Mapping, set, frozenset, list, tuple, deque)
# A value of more parts than this is known by its class: it would cost seconds.
_PARTS_AT_MOST = 100_000
_LETTERS_A_PART = 100
# How deep values are told, and calls are followed at once: what lies deeper comes later. Neither fills the stack.
_NESTED_AT_MOST = 50
_CALLS_AT_ONCE = 25
# Mappings that change by themselves.
_LIVE = ("os", "weakref")


def content_hash(functions: list[tuple[str, Callable[..., Any]]]) -> str:
    """One hash over several functions, each under what it was declared as."""
    digest = hashlib.sha256()
    for declared, function in functions:
        plain = cast(FunctionType, function)
        home = str(plain.__globals__.get("__name__", "")).partition(".")[0]
        for part in (declared, *_Telling(home).whole(plain)):
            digest.update(f"{len(part)}:{part}\n".encode(errors="replace"))
    return digest.hexdigest()


class _TooMuch(Exception):
    """A value has more parts than are told."""


@dataclass
class _Telling:
    """What is told of one function, and what was told of it already."""

    home: str
    # What was told, kept alive so that no other object takes its id.
    seen: dict[Any, Any] = field(default_factory=dict[Any, Any])
    values: dict[int, tuple[Any, str]] = field(default_factory=dict[int, tuple[Any, str]])
    later: dict[Any, tuple[str, Any, Scope]] = field(default_factory=dict[Any, tuple[str, Any, Scope]])
    # Where the telling is now: in which values, how many calls deep, how much may still be told, of whose code.
    path: list[int] = field(default_factory=list[int])
    depth: int = 0
    left: int = _PARTS_AT_MOST
    scope: Scope = field(default_factory=Scope)

    def whole(self, function: FunctionType) -> Iterator[str]:
        """The function, then all that was put off."""
        yield from self._function(function)
        while self.later:
            name, value, scope = self.later.pop(next(iter(self.later)))
            yield f"{name}:{self._part(value, scope, name)}"

    def _function(self, function: FunctionType) -> Iterator[str]:
        if id(function) in self.seen:
            return
        self.seen[id(function)] = function
        yield _source(function.__code__)
        scope = Scope.of(function.__code__)
        for name, default in sorted((function.__kwdefaults__ or {}).items()):
            yield f"{name}={self._part(default, scope, between='')}"
        for default in function.__defaults__ or ():
            yield self._part(default, scope, between="")
        for name, value in sorted(_named(function, scope).items()):
            yield f"{name}:{self._part(value, scope, name)}"
        for name, value in imported(function, scope, self.home):
            yield f"{name}:{self._part(value, scope, name)}"

    def _part(self, value: Any, scope: Scope, name: str = "", between: str = "|") -> str:
        """One thing that code uses. If it is too much, or breaks, it is known by its name."""
        kept = _is_many(value) or _has_attributes(value, self.home)
        if kept and id(value) in self.values:
            return f"…{self.values[id(value)][1]}"
        if self.depth >= _CALLS_AT_ONCE:
            self.later[id(value), id(scope), name] = (name, value, scope)
            return "…"
        outside = (self.path, self.left, self.scope)
        seen, later = len(self.seen), len(self.later)
        self.path, self.left, self.scope = [], _PARTS_AT_MOST, scope
        self.depth += 1
        try:
            told = between.join(self._value(value, name))
        except Exception:
            told = type(value).__qualname__
            _forget(self.seen, seen)
            _forget(self.later, later)
        finally:
            self.path, self.left, self.scope = outside
            self.depth -= 1
        if kept:
            self.values[id(value)] = (value, hashlib.sha256(told.encode(errors="replace")).hexdigest())
        return told

    def _value(self, value: Any, name: str = "") -> Iterator[str]:
        """A value by what it says, in an order that is the same in every process."""
        self.left -= 1 + (len(value) // _LETTERS_A_PART if isinstance(value, str | bytes | bytearray) else 0)
        if self.left < 0:
            raise _TooMuch
        if isinstance(value, Enum):
            yield f"{type(value).__qualname__}.{value.name}"
            yield from self._value(value.value)
        elif isinstance(value, _PLAIN):
            yield repr(value)
        elif isinstance(value, re.Pattern):
            yield f"{cast(re.Pattern[str], value).pattern!r}/{cast(re.Pattern[str], value).flags}"
        elif isinstance(value, FunctionType):
            yield from self._called(value)
        elif isinstance(value, type):
            yield from self._class(value)
        elif isinstance(value, ModuleType):
            yield from self._module(value, name)
        elif id(value) in self.path or len(self.path) >= _NESTED_AT_MOST:
            yield "…"
        else:
            self.path.append(id(value))
            yield from self._many(value) if _is_many(value) else self._object(value)
            self.path.pop()

    def _many(self, value: Any) -> Iterator[str]:
        if isinstance(value, Mapping):
            pairs = sorted(cast(Mapping[Any, Any], value).items(), key=lambda pair: _place(pair[0]))
            yield from sorted("=".join([*self._value(key), *self._value(one)]) for key, one in pairs)
        elif isinstance(value, set | frozenset):
            ordered = sorted(cast(set[Any], value), key=_place)
            yield from sorted("".join(self._value(one)) for one in ordered)
        else:
            yield from ("".join(self._value(one)) for one in value)

    def _called(self, function: FunctionType) -> Iterator[str]:
        yield f"def {function.__qualname__}"
        if id(function) in self.seen and function.__closure__:
            # Others may have its name and its source, and close over something else.
            yield f"#{list(self.seen).index(id(function))}"
        if not is_installed(function, self.home):
            yield from self._function(function)
        elif "__wrapped__" in vars(function):
            yield from self._value(vars(function)["__wrapped__"])

    def _class(self, kind: type) -> Iterator[str]:
        yield kind.__qualname__
        if id(kind) in self.seen or is_installed(kind, self.home):
            return
        self.seen[id(kind)] = kind
        with suppress(OSError, TypeError):
            yield inspect.getsource(kind)
        for name, one in sorted(vars(kind).items()):
            plain = getattr(one, "__func__", getattr(one, "fget", getattr(one, "func", one)))
            if isinstance(plain, FunctionType):
                yield from (name, *self._function(plain))
        for base in kind.__bases__:
            if base.__module__ != "builtins" and not is_installed(base, self.home):
                yield from self._class(base)

    def _module(self, module: ModuleType, name: str) -> Iterator[str]:
        """A module of the project by what the code names of it; of another only its name."""
        yield module.__name__
        if is_installed(module, self.home):
            return
        scope = self.scope
        for one in sorted(scope.names & set(vars(module))):
            value = vars(module)[one]
            # Whether a part of a package was loaded differs between processes: only what is surely meant counts.
            meant = not isinstance(value, ModuleType) or (name.rpartition(".")[2], one) in scope.pairs
            if meant and (id(module), one) not in self.seen:
                self.seen[id(module), one] = module
                yield f"{one}:{self._part(value, scope, one)}"

    def _object(self, value: Any) -> Iterator[str]:
        """An object by its class and what it holds; of one that is not the project's own only the class."""
        kind = cast(Any, type(value))
        yield kind.__qualname__
        if isinstance(value, MethodType):
            yield from (*self._value(value.__func__), *self._value(value.__self__))
        elif isinstance(value, BuiltinFunctionType):
            yield value.__name__
            if not isinstance(value.__self__, ModuleType):
                yield from self._value(value.__self__)
        elif isinstance(value, functools.partial):
            part = cast("functools.partial[Any]", value)
            for one in (part.func, part.args, part.keywords):
                yield from self._value(one)
        elif is_dataclass(value):
            self._put_off(kind)
            for one in fields(value):
                yield from self._value(getattr(value, one.name))
        elif _has_attributes(value, self.home):
            self._put_off(kind)
            for name, one in sorted(_attributes(value).items()):
                yield "=".join([name, *self._value(one)])
        elif "__wrapped__" in getattr(value, "__dict__", ()):
            yield from self._value(value.__dict__["__wrapped__"])

    def _put_off(self, kind: type) -> None:
        """The class is told once, after its objects: which of them comes first may be chance."""
        if id(kind) not in self.seen and not is_installed(kind, self.home):
            self.later.setdefault(id(kind), (kind.__qualname__, kind, Scope()))


def _forget(known: dict[Any, Any], after: int) -> None:
    while len(known) > after:
        known.popitem()


def _source(code: CodeType) -> str:
    """The source as it stands in its file, or what it was compiled to where there is no file."""
    try:
        return inspect.getsource(code)
    except (OSError, TypeError, SyntaxError, IndexError):
        parts = [repr(one) for one in code.co_consts if not isinstance(one, CodeType | frozenset)]
        inner = [_source(one) for one in code.co_consts if isinstance(one, CodeType)]
        return "|".join([code.co_code.hex(), *code.co_names, *code.co_varnames, *parts, *inner])


def _named(function: FunctionType, scope: Scope) -> dict[str, Any]:
    """What it names outside itself: globals of its module, and what it closes over."""
    found = {name: function.__globals__[name] for name in scope.names if name in function.__globals__}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            found[name] = None  # not bound yet
    return found


def _is_many(value: Any) -> bool:
    """Whether it is a collection; not one that changes by itself."""
    return isinstance(value, _MANY) and type(cast(Any, value)).__module__ not in _LIVE


def _has_attributes(value: Any, home: str) -> bool:
    """Whether what the object holds is the project's word."""
    if isinstance(value, (FunctionType, ModuleType, type, *_PLAIN)):
        return False
    return isinstance(value, SimpleNamespace | BaseModel) or not is_installed(type(value), home)


def _attributes(value: Any) -> dict[str, Any]:
    """What it holds, in its slots too; not what was only computed from that and kept."""
    found: dict[str, Any] = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        for name, one in vars(kind).items():
            if isinstance(one, MemberDescriptorType):
                with suppress(AttributeError):
                    found[name] = one.__get__(value)
            elif isinstance(one, functools.cached_property):
                found.pop(name, None)
    return found


def _place(value: Any) -> str:
    """Where a member of a set stands: nothing that differs between processes."""
    if isinstance(value, (*_PLAIN, Enum)):
        return repr(value)
    if isinstance(value, tuple):
        return "".join(map(_place, cast(tuple[Any, ...], value)))
    if isinstance(value, FunctionType):
        return f"{value.__module__}.{value.__qualname__}:{value.__code__.co_firstlineno}"
    return value.__qualname__ if isinstance(value, type) else type(value).__qualname__
