"""Function tools of a job type: their schema for the provider, their validated arguments, and how they run."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NotRequired, Protocol

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from backlane.own_thread import in_own_thread
from backlane.schema import closed_tool_schema

Params = dict[str, Any]

# Keyword-only, and never the model's to fill: the job the tool works for.
JOB = "job"
# What a request must ask to be told, so that a hosted tool leaves evidence: by the beginning of the tool's type.
_TOLD = {
    "web_search": "web_search_call.action.sources",
    "file_search": "file_search_call.results",
    "code_interpreter": "code_interpreter_call.outputs",
}


@dataclass(frozen=True)
class DeclaredTool:
    """A read-only function the model may call. `timeout` is milliseconds, `output_at_most` bytes of JSON."""

    name: str
    function: Callable[..., Any]
    timeout: int = 30_000
    output_at_most: int = 65_536

    @cached_property
    def _arguments(self) -> TypeAdapter[Any]:
        """A closed object of the function's parameters; those with a default may be left out."""
        from typing import get_type_hints

        hints = get_type_hints(self.function, include_extras=True)
        fields: dict[str, Any] = {}
        for name, one in inspect.signature(self.function).parameters.items():
            if name != JOB:
                given = hints[name]
                fields[name] = given if one.default is inspect.Parameter.empty else NotRequired[given]
        kind: Any = TypedDict(self.name, fields)  # type: ignore[operator,misc]
        kind.__pydantic_config__ = ConfigDict(extra="forbid")
        return TypeAdapter(kind)

    def definition(self) -> Params:
        """The tool as the provider is told of it: strict where its subset can say the arguments."""
        schema, strict = closed_tool_schema(self._arguments.json_schema())
        told: Params = {"type": "function", "name": self.name, "parameters": schema, "strict": strict}
        about = inspect.getdoc(self.function)
        return told if not about else {**told, "description": about}

    def read(self, arguments: str) -> Mapping[str, Any]:
        """The validated arguments. Raises ValueError saying what is wrong with them."""
        try:
            return self._arguments.validate_json(arguments or "{}")
        except ValidationError as error:
            raise ValueError(faults_told(error)) from None

    async def run(self, arguments: Mapping[str, Any], job: Any) -> Any:
        """What the function answers, as JSON; a blocking one runs in a thread of its own. Raises what it raises."""
        given = dict(arguments)
        if JOB in inspect.signature(self.function).parameters:
            given[JOB] = job
        if inspect.iscoroutinefunction(self.function):
            answer = await self.function(**given)
        else:
            answer = await in_own_thread(self.function, **given)
        return as_json(answer)


def faults_told(error: ValidationError) -> str:
    """What is wrong with a call's arguments, as the model is told it; it quotes nothing that was given."""
    faults = [
        f"{'/'.join(str(part) for part in one['loc']) or 'arguments'}: {one['msg']}"
        for one in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    return "; ".join(faults)[:2000]


def as_json(answer: Any) -> Any:
    """A value as JSON; what is none becomes its text."""
    if isinstance(answer, BaseModel):
        return answer.model_dump(mode="json")
    try:
        return json.loads(json.dumps(answer, allow_nan=False, default=_part))
    except (TypeError, ValueError, RecursionError):
        return str(answer)


def _part(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


class Told(Protocol):
    """A tool or action as the provider is told of it."""

    @property
    def name(self) -> str: ...

    def definition(self) -> Params: ...


def with_tools(params: Params, tools: Sequence[Told]) -> Params:
    """The create's parameters with the declared tools and actions, and asking for the evidence of hosted ones.

    Raises ValueError where the request brings a function of the same name.
    """
    brought: list[Params] = list(params.get("tools") or [])
    names = {one.get("name") for one in brought if one.get("type") == "function"}
    for tool in tools:
        if tool.name in names:
            raise ValueError(f"Request: tools names {tool.name!r}, which is a declared tool already")
    whole = [*brought, *(tool.definition() for tool in tools)]
    asked = list(params.get("include") or [])
    for begins, told in _TOLD.items():
        hosted = any(str(one.get("type", "")).startswith(begins) for one in brought)
        if hosted and told not in asked:
            asked.append(told)
    return {**params, **({"tools": whole} if whole else {}), **({"include": asked} if asked else {})}
