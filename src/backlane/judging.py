"""How policies and sensitive hooks are declared, versioned by content, and asked. What breaks in them is a review."""

import asyncio
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast, overload

from backlane.content_hash import content_hash
from backlane.core.policy import (
    REASON_AT_MOST,
    Allow,
    Answer,
    Asked,
    Over,
    Refuse,
    Review,
    Verdict,
    strictest,
)
from backlane.declaring import plain, takes
from backlane.errors import DeclarationError
from backlane.own_thread import in_own_thread

F = TypeVar("F", bound=Callable[..., Any])

# A policy decides from what it is given; one that takes longer than this many seconds is not waited for.
ANSWERS_WITHIN = 10.0
_ALL_TYPES = "(all types)"


@dataclass(frozen=True, slots=True)
class DeclaredPolicy:
    """One policy: a plain function from what is asked to an answer."""

    name: str
    function: Callable[[Any], Any]
    over: frozenset[Over]
    whose: str


@dataclass(frozen=True, slots=True)
class DeclaredHook:
    """The type's word on what is sensitive."""

    name: str
    function: Callable[[Any, Any], Any]
    inputs: bool
    output: bool


@dataclass(slots=True)
class Rules:
    """Implements TypeRules for a job type: its own policies and hook, and the policies of all types."""

    shared: list[DeclaredPolicy]
    own: list[DeclaredPolicy] = field(default_factory=list[DeclaredPolicy])
    hook: DeclaredHook | None = None
    _known: dict[tuple[Over, int], str | None] = field(default_factory=dict[tuple[Over, int], str | None])

    def _asked(self, over: Over) -> list[DeclaredPolicy]:
        return [one for one in (*self.shared, *self.own) if over in one.over]

    def version(self, over: Over) -> str | None:
        """A hash of the content of all that has a say about this; None where nothing has."""
        told: list[tuple[str, Callable[..., Any]]] = []
        told += [(f"{one.whose}/{one.name}", one.function) for one in self._asked(over)]
        if over is Over.OUTPUT and self.hook is not None and self.hook.output:
            told.append((f"sensitive/{self.hook.name}", self.hook.function))
        place = (over, len(told))
        if place not in self._known:
            self._known[place] = f"p{content_hash(told)[:16]}" if told else None
        return self._known[place]

    def releases(self) -> bool:
        """Whether a policy has a say about the output."""
        return bool(self._asked(Over.OUTPUT))

    def hooked(self) -> bool:
        """Whether a hook is asked if the output is sensitive."""
        return self.hook is not None and self.hook.output

    def marks(self, inputs: Any) -> bool:
        """Whether the hook finds inputs sensitive; one that breaks does."""
        if self.hook is None or not self.hook.inputs:
            return False
        return _is_marked(self.hook, inputs, None)

    def names(self, over: Over) -> list[str]:
        """The names of the policies that have a say about this."""
        return [one.name for one in self._asked(over)]

    async def judge(self, asked: Asked) -> Verdict | None:
        """What they answer together, in threads of their own; None where nothing has a say. Raises MemoryError only."""
        version = self.version(asked.over)
        if version is None:
            return None
        said: list[Verdict] = []
        sensitive = False
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                for one in self._asked(asked.over):
                    said.append(await in_own_thread(_answer, one, asked, version))
                if asked.over is Over.OUTPUT and self.hook is not None and self.hook.output:
                    inputs, output = asked.job.inputs, asked.output
                    sensitive = await in_own_thread(_is_marked, self.hook, inputs, output)
        except TimeoutError:
            late = "the policy did not answer in time"
            said.append(Verdict(answer=Answer.REVIEW, version=version, reason=late))
            sensitive = self.hooked()
        found = strictest(said) or Verdict(answer=Answer.ALLOW, version=version)
        return replace(found, sensitive=sensitive)


def _answer(policy: DeclaredPolicy, asked: Asked, version: str) -> Verdict:
    """One policy's answer. Whatever is none of the three answers, or is raised, is a review."""
    try:
        said: Any = policy.function(asked)
        words = str(getattr(said, "reason", ""))[:REASON_AT_MOST]
    except MemoryError:
        raise  # the worker's trouble, not the policy's
    except (Exception, SystemExit) as error:
        said, words = None, f"the policy broke: {type(error).__name__}"
    base = Verdict(answer=Answer.REVIEW, version=version, policy=policy.name, reason=words)
    if isinstance(said, Allow):
        return replace(base, answer=Answer.ALLOW)
    if isinstance(said, Refuse):
        return replace(base, answer=Answer.REFUSE, reason=words or "refused")
    if isinstance(said, Review):
        quorum: Any = said.quorum
        more = quorum if isinstance(quorum, int) and not isinstance(quorum, bool) else None
        return replace(base, quorum=more, role="admin" if said.role == "admin" else None)
    if inspect.iscoroutine(said):
        said.close()
    none = words or f"the policy answered {type(said).__name__}, which is no answer"
    return replace(base, reason=none)


def _is_marked(hook: DeclaredHook, inputs: Any, result: Any) -> bool:
    """The hook's word. Only a plain False says that nothing is sensitive."""
    try:
        return hook.function(inputs, result) is not False
    except MemoryError:
        raise
    except (Exception, SystemExit):
        return True


def _overs(type_name: str, what: str, over: Any) -> frozenset[Over]:
    given: Sequence[Any] = [over] if isinstance(over, str) else over
    known = {str(one) for one in Over}
    if not isinstance(cast(Any, given), list | tuple | set | frozenset) or not given:
        raise DeclarationError(type_name, f"{what}: over must be action, output or both")
    if any(one not in known for one in given):
        raise DeclarationError(type_name, f"{what}: over must be among action, output, not {given!r}")
    return frozenset(Over(one) for one in given)


def declare_policy(into: list[DeclaredPolicy], whose: str, function: F, over: Any) -> F:
    """Add a policy `(asked)` to these. Raises DeclarationError."""
    plain(whose, "a policy", function, sync=True)
    takes(whose, f"policy {function.__name__!r}", function, "asked")
    if function.__name__ in [one.name for one in into]:
        raise DeclarationError(whose, f"has two policies named {function.__name__!r}")
    into.append(DeclaredPolicy(function.__name__, function, _overs(whose, "a policy", over), whose))
    return function


class Judged:
    """The part of a declared job type that says what may go on without a person, and what is sensitive."""

    def _rules(self) -> tuple[str, Rules]:
        raise NotImplementedError

    @overload
    def policy(self, function: F) -> F: ...
    @overload
    def policy(self, *, over: str | Sequence[str] = "action") -> Callable[[F], F]: ...

    def policy(
        self, function: F | None = None, *, over: str | Sequence[str] = "action"
    ) -> F | Callable[[F], F]:
        """Declare a policy `(asked) -> policy.Allow, policy.Review or policy.Refuse` over actions, the output or both.

        It must only decide from what it is given: it may be asked several times, and about finished jobs.
        """
        name, rules = self._rules()

        def declare(function: F) -> F:
            return declare_policy(rules.own, name, function, over)

        return declare if function is None else declare(function)

    @overload
    def sensitive(self, function: F) -> F: ...
    @overload
    def sensitive(self, *, over: str | Sequence[str] = ("inputs", "output")) -> Callable[[F], F]: ...

    def sensitive(
        self, function: F | None = None, *, over: str | Sequence[str] = ("inputs", "output")
    ) -> F | Callable[[F], F]:
        """Declare `(inputs, result) -> bool`: whether a job is sensitive. `result` is None at its submit.

        It only tightens: False leaves what is so already, anything else, an error too, makes the job sensitive.
        """
        name, rules = self._rules()
        given = [over] if isinstance(over, str) else list(over)

        def declare(function: F) -> F:
            plain(name, "the sensitive hook", function, sync=True)
            takes(name, "the sensitive hook", function, "inputs", "result")
            if rules.hook is not None:
                raise DeclarationError(name, "has two sensitive hooks")
            if not given or set(given) - {"inputs", "output"}:
                raise DeclarationError(name, "the sensitive hook: over must be inputs, output or both")
            rules.hook = DeclaredHook(function.__name__, function, "inputs" in given, "output" in given)
            return function

        return declare if function is None else declare(function)


class Judging:
    """The part of an App that is about the policies of all its types."""

    def __init__(self) -> None:
        self.policies: list[DeclaredPolicy] = []

    @overload
    def policy(self, function: F) -> F: ...
    @overload
    def policy(self, *, over: str | Sequence[str] = "action") -> Callable[[F], F]: ...

    def policy(
        self, function: F | None = None, *, over: str | Sequence[str] = "action"
    ) -> F | Callable[[F], F]:
        """Declare a policy of all job types of this app; `asked.job.workspace` tells whose job it is."""

        def declare(function: F) -> F:
            return declare_policy(self.policies, _ALL_TYPES, function, over)

        return declare if function is None else declare(function)
