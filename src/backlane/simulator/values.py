"""Reading JSON that others wrote: the shapes a caller may lean on. It never mends what it reads."""

from typing import Any, cast


def as_object(value: Any) -> dict[str, Any]:
    """The value if it is a JSON object, otherwise an empty one."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The value if it is a JSON array, otherwise an empty one."""
    return cast(list[Any], value) if isinstance(value, list) else []
