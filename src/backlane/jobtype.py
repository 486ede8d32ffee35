"""A built job type, as the services use it: reads inputs, builds requests, reads answers, runs checks."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from backlane.actions import DeclaredAction
from backlane.core.media import FileInput
from backlane.errors import InvalidRequest
from backlane.fields import Image, files_in, holds_file, holds_sensitive
from backlane.inputs import (
    SUMMARY_AT_MOST,
    closed_schema,
    faults_of,
    infinite,
    pointer_to,
    sizes,
    unspeakable,
)
from backlane.judging import Rules
from backlane.masking import masked
from backlane.own_thread import in_own_thread
from backlane.parts import ActingOptions, DeclaredCheck, Options
from backlane.request import Request
from backlane.schema import strict_schema
from backlane.tools import DeclaredTool, with_tools


@dataclass(slots=True)
class BuiltType(ActingOptions):
    """Implements the JobType protocol for a declared function."""

    name: str
    function: Callable[[Any], Request]
    inputs: type[BaseModel]
    options: Options
    output: type[BaseModel] | None = None
    summary: Callable[[Any], str] | None = None
    checks: list[DeclaredCheck] = field(default_factory=list[DeclaredCheck])
    tools: list[DeclaredTool] = field(default_factory=list[DeclaredTool])
    actions: list[DeclaredAction] = field(default_factory=list[DeclaredAction])
    propose: Callable[[Any, Any], Sequence[tuple[str, Any]]] | None = None
    rules: Rules = field(default_factory=lambda: Rules([]))
    _version: str | None = None

    @property
    def version(self) -> str:
        """A hash of schemas and declaration; it does not change with the code's body."""
        if self._version is not None:
            return self._version
        declared = {
            "name": self.name,
            "inputs": self.input_schema(),
            "output": self.output_schema(),
            "options": {name: getattr(self.options, name) for name in Options.__slots__},
            "checks": [check.name for check in self.checks],
            "tools": [tool.definition() for tool in self.tools],
            "actions": [[one.definition(), one.target, one.undo, one.timeout] for one in self.actions],
            "proposes": self.proposes,
        }
        self._version = sha256(json.dumps(declared, sort_keys=True, default=str).encode()).hexdigest()[:16]
        return self._version

    def touched(self) -> None:
        """Something was added to the declaration: its version is another one."""
        self._version = None

    @property
    def description(self) -> str:
        """The function's docstring."""
        return inspect.getdoc(self.function) or ""

    @property
    def authority(self) -> str:
        """The declared authority class."""
        return self.options.authority

    @property
    def lanes(self) -> Sequence[str]:
        """The lanes the type allows."""
        return self.options.lanes

    @property
    def live(self) -> bool:
        """Whether the type asks for a live stream."""
        return self.options.live

    @property
    def window(self) -> str:
        """The completion window its runs are bought with: soonest, 2h or 8h."""
        return self.options.window

    @property
    def continuation(self) -> str | None:
        """Which runs of a window are kept together in the provider's queue: by type, by account, or none."""
        return self.options.continuation

    @property
    def useful_for(self) -> int:
        """How long a result is of use, in milliseconds."""
        return self.options.useful_for

    @property
    def latency_budget(self) -> int | None:
        """How long a job should take, in milliseconds."""
        return self.options.latency_budget

    @property
    def max_cost(self) -> str | None:
        """The cost limit of one job, a decimal string."""
        return self.options.max_cost

    @property
    def max_attempts(self) -> int:
        """How many accepted attempts one turn may take."""
        return self.options.max_attempts

    @property
    def max_turns(self) -> int:
        """How many turns the model may take in one job."""
        return self.options.max_turns

    @property
    def max_tool_calls(self) -> int:
        """How many calls of tools one job may take."""
        return self.options.max_tool_calls

    @property
    def if_unknown(self) -> str:
        """What to do when nobody knows whether a create was bought: ask or rebuy."""
        return self.options.if_unknown

    @property
    def if_invalid(self) -> str:
        """What to do with an answer that misses the output model: fail or review."""
        return self.options.if_invalid

    @property
    def who_may_cancel(self) -> str:
        """requester or operator."""
        return self.options.who_may_cancel

    @property
    def review_role(self) -> str:
        """Which role reviews this type's outputs."""
        return self.options.review_role

    @property
    def review_quorum(self) -> int:
        """How many approvals release an output."""
        return self.options.review_quorum

    @property
    def review_separate(self) -> bool:
        """Whether the requester is kept from deciding on their own job."""
        return self.options.separate

    @property
    def escalation(self) -> Sequence[str]:
        """The roles a review is handed on to, one after the other, when nobody answers."""
        return self.options.escalation

    @property
    def respond_within(self) -> int | None:
        """How long reviewers have, in milliseconds."""
        return self.options.respond_within

    @property
    def cases(self) -> Mapping[str, bool]:
        """Which ends open a case by themselves, where the type says otherwise than the default."""
        return dict(self.options.cases)

    @property
    def reviewed(self) -> bool:
        """Whether the declaration itself asks for a review."""
        return self.options.reviewed

    @property
    def takes_files(self) -> bool:
        """Whether inputs of this type can hold a File."""
        return holds_file(self.inputs)

    def files(self, inputs: Any) -> Sequence[FileInput]:
        """Each File in validated inputs."""
        found = files_in(inputs)
        return [FileInput(pointer_to(place), str(file), isinstance(file, Image)) for place, file in found]

    def input_schema(self) -> dict[str, Any]:
        """The inputs' JSON Schema; unknown keys are refused."""
        return closed_schema(self.inputs.model_json_schema())

    def output_schema(self) -> dict[str, Any] | None:
        """The output model's JSON Schema, where a declaration names it or a request was built."""
        return None if self.output is None else strict_schema(self.output)

    def read_inputs(self, raw: Any) -> BaseModel:
        """The validated inputs. Raises InvalidRequest with pointers below `/inputs`."""
        faults = list(unspeakable(raw, "/inputs"))
        if faults:
            raise InvalidRequest(faults)
        try:
            # As JSON, for that is what inputs are: a strict model still reads its dates.
            return self.inputs.model_validate_json(json.dumps(raw), extra="forbid")
        except ValidationError as error:
            raise InvalidRequest(faults_of(error, raw)) from None
        except Exception as error:
            # The type's own validator broke; its message may quote what was given.
            fault = f"the job type's own validation raised {type(error).__name__}"
            raise InvalidRequest([("/inputs", fault)]) from error

    @property
    def sampled(self) -> float | None:
        """Which part of its jobs is drawn for review."""
        return self.options.sampled

    @property
    def unreviewed_because(self) -> str | None:
        """Why less is reviewed than the authority asks for."""
        return self.options.unreviewed_because

    def why_sensitive(self, inputs: Any) -> str | None:
        """What makes these inputs sensitive: a field that is marked and holds something, or the type's hook."""
        if holds_sensitive(inputs):
            return "field"
        return "hook" if self.rules.marks(inputs) else None

    def summarize(self, inputs: Any, *, sensitive: bool = False) -> str:
        """The submitted-inputs summary support may see: the type's own over masked inputs, else names and sizes."""
        known = None if self.summary is None or sensitive else masked(inputs)
        if self.summary is not None and known is not None:
            try:
                text: Any = self.summary(known)
            except Exception:
                # A summary must never stop a submit; the default tells enough.
                return sizes(inputs)
            if isinstance(text, str) and text.strip():
                return "".join(char if char.isprintable() else " " for char in text)[:SUMMARY_AT_MOST]
        return sizes(inputs)

    def build(self, inputs: Any) -> dict[str, Any]:
        """The provider's create parameters. Raises whatever the type's own code raises."""
        return with_tools(self._request(inputs).params(), [*self.tools, *self.actions])

    def tool(self, name: str) -> DeclaredTool | None:
        """The declared tool by this name."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def callables(self) -> list[str]:
        """The names that the model may call."""
        return [one.name for one in (*self.tools, *self.actions)]

    def action(self, name: str) -> DeclaredAction | None:
        """The declared action by this name."""
        return next((one for one in self.actions if one.name == name), None)

    @property
    def proposes(self) -> bool:
        """Whether the type proposes actions from its result."""
        return self.propose is not None

    async def proposals(self, result: Any, job: Any) -> Sequence[tuple[str, Any]]:
        """The actions the type proposes: name and arguments. Raises whatever the type's own code raises."""
        return () if self.propose is None else await in_own_thread(self.propose, result, job)

    def read_output(self, inputs: Any, text: str) -> Any:
        """The validated output, or the text where the request asks for no model. Raises ValueError."""
        model = self._request(inputs).output
        if model is None:
            return text
        try:
            value = model.model_validate_json(text, extra="forbid")
        except ValidationError as error:
            where, fault = faults_of(error, text, "")[0]
            raise ValueError(f"{where[:200] or 'the answer'}: {fault[:200]}") from None
        if infinite(json.loads(text)):
            raise ValueError("the answer: must hold finite numbers only")
        return value

    def _request(self, inputs: Any) -> Request:
        request = cast(Any, self.function(inputs))
        if not isinstance(request, Request):
            raise TypeError(f"job type {self.name!r} must return a Request")
        if self.output is not None and request.output is not self.output:
            raise TypeError(f"job type {self.name!r} must ask for its declared output {self.output.__name__}")
        return request
