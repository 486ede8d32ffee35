"""External actions of a job type: their schema for the provider, their canonical arguments, and how they run.

What was validated, shown, approved and carried out are the same bytes: the canonical JSON of the arguments.
"""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, cast, get_type_hints

import rfc8785
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_jsonable_python

from backlane.core.action import Unbound
from backlane.core.address import holds_address
from backlane.own_thread import in_own_thread
from backlane.schema import closed_tool_schema
from backlane.tools import as_json, faults_told

Params = dict[str, Any]

# More than this no reviewer can read.
ARGUMENTS_AT_MOST = 65_536


class Receipt(BaseModel):
    """What an action made, as a pointer: it becomes a `record` artifact. Further fields are kept with it."""

    model_config = ConfigDict(extra="allow")

    system: str
    type: str
    id: str
    url: str | None = None


@dataclass
class DeclaredAction:
    """An external action, proposed by the model, approved by a person. Durations are milliseconds."""

    name: str
    function: Callable[..., Any]
    undo: int
    timeout: int
    target: str = ""
    # Whether an address may stand in the arguments although nothing binds what it shows.
    unbound: bool = False
    lookup_function: Callable[..., Any] | None = None
    content_function: Callable[..., Any] | None = None

    @cached_property
    def _model(self) -> type[BaseModel]:
        first = next(iter(inspect.signature(self.function).parameters))
        return get_type_hints(self.function, include_extras=True)[first]

    @property
    def can_look_up(self) -> bool:
        """Whether the type can say if a key took effect."""
        return self.lookup_function is not None

    @property
    def can_be_stopped(self) -> bool:
        """Whether a call can be asked to stop: a coroutine can, a thread cannot."""
        return inspect.iscoroutinefunction(self.function)

    def definition(self) -> Params:
        """The action as the provider is told of it: a function to call, whose call only proposes."""
        schema, strict = closed_tool_schema(self._model.model_json_schema())
        told: Params = {"type": "function", "name": self.name, "parameters": schema, "strict": strict}
        about = inspect.getdoc(self.function)
        return told if not about else {**told, "description": about}

    def read(self, arguments: str | Mapping[str, Any]) -> str:
        """The arguments as canonical JSON, validated, defaults filled. Raises ValueError saying what is wrong."""
        written = arguments if isinstance(arguments, str) else json.dumps(dict(arguments), ensure_ascii=False)
        try:
            once = _canonical(self._model.model_validate_json(written or "{}", extra="forbid"))
            again = _canonical(self._model.model_validate_json(once, extra="forbid"))
        except ValidationError as error:
            raise ValueError(faults_told(error)) from None
        except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as error:
            raise ValueError(f"arguments that cannot be written down exactly: {error}") from None
        if once != again:
            raise ValueError("arguments that read back as something else")
        if len(once.encode()) > ARGUMENTS_AT_MOST:
            raise ValueError(f"more than {ARGUMENTS_AT_MOST} bytes of arguments")
        return once

    def typed(self, arguments: str) -> BaseModel:
        """Canonical arguments as the action's model. Raises ValueError where they do not fit it."""
        return self._read_back(arguments)

    async def content(self, arguments: str) -> str | None:
        """A digest of what the arguments point at, where the type declares how to take one.

        Raises Unbound for an address where it does not, and is not declared `unbound`.
        """
        if self.content_function is None:
            if not self.unbound and holds_address(json.loads(arguments)):
                raise Unbound("they hold an address, and this action does not bind what it shows")
            return None
        said = await _called(self.content_function, self._read_back(arguments))
        return f"sha256:{hashlib.sha256(str(said).encode()).hexdigest()}"

    async def run(self, arguments: str, key: str) -> Any:
        """Carry it out; its receipt as JSON. A blocking function runs in a thread of its own. Raises what it raises."""
        return as_json(await _called(self.function, self._read_back(arguments), key=key))

    async def look_up(self, key: str) -> Any:
        """The receipt if this key took effect, else None. Raises what the lookup raises."""
        assert self.lookup_function is not None
        found = await _called(self.lookup_function, key)
        return None if found is None else as_json(found)

    def _read_back(self, arguments: str) -> BaseModel:
        return self._model.model_validate_json(arguments, extra="forbid")


async def _called(function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(*given, **named)
    return await in_own_thread(function, *given, **named)


def _canonical(value: BaseModel) -> str:
    """One spelling of one meaning (RFC 8785): amounts without trailing zeros, moments in UTC, sets in order."""
    return rfc8785.dumps(_spelled(value.model_dump(by_alias=True))).decode()


def _spelled(value: Any) -> Any:
    if isinstance(value, Decimal) and value.is_finite():
        plain = format(value.normalize(), "f")
        return "0" if plain == "-0" else plain
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        items = cast(Mapping[Any, Any], value).items()
        return {str(_spelled(key)): _spelled(one) for key, one in items}
    if isinstance(value, set | frozenset):
        parts = [_spelled(one) for one in cast(set[Any], value)]
        return sorted(parts, key=rfc8785.dumps)
    if isinstance(value, list | tuple):
        return [_spelled(one) for one in cast(list[Any], value)]
    return to_jsonable_python(value)
