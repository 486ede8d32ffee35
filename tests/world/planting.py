"""How a mistake is planted in the product, and taken out again."""

import sys
from collections.abc import Callable
from typing import Any

Undo = Callable[[], None]


def swap(before: Any, after: Any) -> list[Undo]:
    """Put one function in the place of another, wherever the product has it under a name."""
    undo: list[Undo] = []
    for name, module in list(sys.modules.items()):
        if name.startswith("backlane."):
            for key, value in list(vars(module).items()):
                if value is before:
                    setattr(module, key, after)
                    undo.append(lambda module=module, key=key: setattr(module, key, before))
    assert undo, before
    return undo


def put(owner: Any, name: str, after: Any) -> list[Undo]:
    """Put something in the place of one attribute."""
    before = owner.__dict__[name]
    setattr(owner, name, after)
    return [lambda: setattr(owner, name, before)]
