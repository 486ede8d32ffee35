"""How actions are declared: the function that acts, how its outcome is looked up, what the type itself proposes."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from backlane.actions import DeclaredAction
from backlane.core.authority import MAY_ACT
from backlane.declaring import milliseconds, plain, read_action, takes, type_hints_of
from backlane.errors import DeclarationError
from backlane.jobtype import BuiltType

F = TypeVar("F", bound=Callable[..., Any])


class Action:
    """A declared external action; `lookup` and `content` add what makes it safer."""

    def __init__(self, type_name: str, declared: DeclaredAction) -> None:
        self._type_name = type_name
        self._declared = declared
        self.__name__ = declared.name

    def lookup(self, function: F) -> F:
        """Declare how to find out whether a key took effect: `(key) -> receipt or None`, sync or async.

        It must only read. None counts as "it did not happen" once the action's time-out and a quiet period
        of the same length are over.
        """
        what = f"the lookup of {self._declared.name!r}"
        plain(self._type_name, what, function)
        takes(self._type_name, what, function, "key")
        if type_hints_of(self._type_name, function).get("key") is not str:
            raise DeclarationError(self._type_name, f"{what} must take its key as str")
        if self._declared.lookup_function is not None:
            raise DeclarationError(self._type_name, f"action {self._declared.name!r} has two lookups")
        self._declared.lookup_function = function
        return function

    def content(self, function: F) -> F:
        """Declare what the arguments point at: `(args) -> text or digest`, sync or async, only reading.

        It is taken when the action is shown and again right before it is carried out; if it changed in
        between, the approval is void.
        """
        what = f"the content of {self._declared.name!r}"
        plain(self._type_name, what, function)
        takes(self._type_name, what, function, "args")
        if self._declared.content_function is not None:
            raise DeclarationError(self._type_name, f"action {self._declared.name!r} has two contents")
        self._declared.content_function = function
        return function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function itself, as a test does."""
        return self._declared.function(*args, **kwargs)


def declare_action(
    built: BuiltType,
    function: Callable[..., Any],
    *,
    undo: str | timedelta,
    timeout: str | timedelta,
    target: str | None,
    unbound: bool,
) -> Action:
    """Add an action to a type. Raises DeclarationError."""
    name = function.__name__ if callable(function) and hasattr(function, "__name__") else "(no name)"
    plain(built.name, "an action", function)
    if built.authority not in MAY_ACT:
        raise DeclarationError(
            built.name, f"action {name!r} needs authority low_risk_write or external_effect"
        )
    read_action(built.name, f"action {name!r}", function)
    if name in built.callables():
        raise DeclarationError(built.name, f"has two tools or actions named {name!r}")
    if target is not None and not target.strip():
        raise DeclarationError(built.name, f"action {name!r} needs a target in words, or none")
    declared = DeclaredAction(
        name,
        function,
        milliseconds(built.name, "undo", undo, least=0),
        milliseconds(built.name, "timeout", timeout),
        target or built.name,
        unbound,
    )
    try:
        declared.definition()
    except Exception as error:
        raise DeclarationError(
            built.name, f"action {name!r} has arguments without a JSON Schema: {error}"
        ) from error
    built.actions.append(declared)
    built.touched()
    return Action(built.name, declared)


def declare_proposals(built: BuiltType, function: F) -> F:
    """Add the hook `(result, job)` that proposes actions from a result. Raises DeclarationError."""
    plain(built.name, "the proposals", function, sync=True)
    takes(built.name, "the proposals", function, "result", "job")
    if built.authority not in MAY_ACT:
        raise DeclarationError(built.name, "proposals need authority low_risk_write or external_effect")
    if built.propose is not None:
        raise DeclarationError(built.name, "has two functions that propose actions")

    def propose(result: Any, job: Any) -> Sequence[tuple[str, Any]]:
        return [_proposal(built, one) for one in cast(list[Any], function(result, job) or [])]

    built.propose = propose
    built.touched()
    return function


def _proposal(built: BuiltType, one: Any) -> tuple[str, Any]:
    """An (action, arguments) pair as name and plain arguments. Raises TypeError for anything else."""
    if not (isinstance(one, tuple) and len(cast(tuple[Any, ...], one)) == 2):
        raise TypeError("proposals are (action, arguments) pairs")
    action, arguments = cast(tuple[Any, Any], one)
    if not isinstance(action, Action) or built.action(action.__name__) is None:
        raise TypeError("a proposal names an action of its own job type")
    if not isinstance(arguments, BaseModel):
        raise TypeError("a proposal's arguments are the action's model")
    return action.__name__, arguments.model_dump(mode="json", by_alias=True)
