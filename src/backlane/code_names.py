"""What code names: attributes, what follows what, what it imports within itself; and whose a function or module is."""

import dis
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec, resolve_name
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

_PATHS = [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
_INSTALLED = tuple(f"{Path(path).resolve()}/" for path in (*_PATHS, Path(__file__).parent))


@dataclass(frozen=True)
class Scope:
    """The names in a function's code, those that follow each other (`limits.MAX`), and its own imports."""

    names: frozenset[str] = frozenset()
    pairs: frozenset[tuple[str, str]] = frozenset()
    # How many dots, from where, and what.
    imports: tuple[tuple[int, str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, code: CodeType) -> "Scope":
        """What this code names, with the functions inside it."""
        names: set[str] = set()
        pairs: set[tuple[str, str]] = set()
        imports: list[tuple[int, str, tuple[str, ...]]] = []
        for one in _codes(code):
            names |= set(one.co_names)
            before: list[Any] = [None, None]
            for step in dis.get_instructions(one):
                if step.opname == "EXTENDED_ARG":
                    continue
                if step.opname in ("LOAD_ATTR", "LOAD_METHOD") and isinstance(before[1], str):
                    pairs.add((before[1], step.argval))
                if step.opname == "IMPORT_NAME":
                    imports.append((int(before[0] or 0), step.argval, tuple(before[1] or ())))
                before = [before[1], step.argval]
        return cls(frozenset(names), frozenset(pairs), tuple(imports))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def imported(function: FunctionType, scope: Scope, home: str) -> Iterator[tuple[str, Any]]:
    """What the function imports of its project when it runs; it is loaded now, or its content could not be told."""
    package = function.__globals__.get("__package__") or ""
    for level, target, parts in scope.imports:
        try:
            full = resolve_name("." * level + target, package) if level else target
            if _is_foreign(full, home):
                continue
            module = import_module(full)
            found = [(one, _part_of(module, one)) for one in parts] or [(full, module)]
        except Exception:
            found = []  # the function would break there too
        yield from found


def _part_of(module: ModuleType, name: str) -> Any:
    return vars(module)[name] if name in vars(module) else import_module(f"{module.__name__}.{name}")


def _is_foreign(full: str, home: str) -> bool:
    """Whether it comes with Python or a package; those are not loaded for it."""
    top = full.partition(".")[0]
    if top == home:
        return False
    if top in sys.modules:
        return is_installed(sys.modules[top], home)
    spec = find_spec(top)
    if spec is None or spec.origin is None:
        return spec is None
    return top in sys.stdlib_module_names or str(Path(spec.origin).resolve()).startswith(_INSTALLED)


def is_installed(one: Any, home: str) -> bool:
    """Whether it comes with Python or a package: those are known by name, their own versions tell of changes.

    The package that the declared function itself is in is the project's, even if it is installed.
    """
    if isinstance(one, ModuleType):
        name = one.__name__
    else:
        # Not a function's __module__: whoever wraps it may have set that.
        name = one.__globals__.get("__name__") if isinstance(one, FunctionType) else one.__module__
    top = str(name).partition(".")[0]
    if top == home:
        return False
    try:
        file = str(Path(inspect.getfile(one)).resolve())
    except (OSError, TypeError):
        return isinstance(one, ModuleType) and top in sys.stdlib_module_names
    return file.startswith(_INSTALLED)
