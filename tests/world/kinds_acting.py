"""Job types that act on the outside, that are gated, and that people talk to."""

from typing import Any, Literal, Protocol

from pydantic import BaseModel

from backlane import App, Receipt, Request, Review, policy
from tests.values import Note

# Written by every gated run of these types: whoever may not read them may see it nowhere.
CANARY = "kanarie-7b1f"
WHISPER = "Whisper."
ACTING = (
    "refund", "refund", "refund-pair", "refund-later", "refund-blind", "refund-brief", "refund-said", "two-things",
    "planned", "tag", "ruled", "ruled",
)  # fmt: skip
GATED = ("letter", "pair", "memo", "watched")
TALKING = ("chat", "chat", "chat-anew", "chat-draft", "chat-helped")


class Outside(Protocol):
    """What the types act on."""

    async def take(self, key: str, arguments: dict[str, Any]) -> Receipt:
        """Let it take effect, or fail, or leave it open."""
        ...

    async def find(self, key: str) -> Receipt | None:
        """The receipt of what took effect under this key."""
        ...


class Refund(BaseModel):
    """What the model proposes."""

    order_id: str
    reason: str = "late"
    seal: Literal["kanarie-7b1f"] = CANARY


class Letter(BaseModel):
    """A second thing to do."""

    words: str
    seal: Literal["kanarie-7b1f"] = CANARY


class Plan(BaseModel):
    """A result that the type turns into proposals."""

    order_ids: list[str]
    seal: Literal["kanarie-7b1f"] = CANARY


def receipt(key: str) -> Receipt:
    """What the outside answers."""
    return Receipt(
        system="payments", type="refund", id=f"re-{key[-8:]}", url=f"https://pay.example.test/{key}"
    )


def request_for(inputs: Note, instructions: str = "Help the customer.", **more: Any) -> Request:
    return Request(model="gpt-6-luna", instructions=instructions, input=inputs.text, **more)


def add_acting(app: App, outside: Outside, pace: float) -> None:
    """Types with actions: plainly, by two people, with an undo delay, blind, brief, and several in one job."""
    answered = {"respond_within": "10m"}
    ways: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "refund": ({"review": Review(respond_within="10m", escalate_to=("admin",))}, {}),
        "refund-pair": ({"review": Review(quorum=2, **answered)}, {"undo": "20s"}),
        "refund-later": ({"review": Review(**answered)}, {"undo": "90s"}),
        "refund-blind": ({}, {}),
        "refund-brief": ({"useful_for": "6m"}, {"undo": "1m"}),
        "refund-said": ({"finish_after_actions": True, "review": Review(text_too=True)}, {}),
    }
    for name, (declared, acting) in ways.items():
        _refunding(app, name, declared, acting, outside=outside, pace=pace)
    _two_things(app, outside, pace)
    _planned(app, outside, pace)
    _tagging(app, outside, pace)
    _ruled(app, outside, pace)


def looked_up(action: Any, outside: Outside) -> None:
    @action.lookup
    async def find(key: str) -> Receipt | None:
        return await outside.find(key)


def limit(pace: float) -> str:
    return f"{round(20_000 * pace)}ms"


def delay(undo: str, pace: float) -> str:
    return undo if pace == 1.0 else "10ms"


def _refunding(
    app: App,
    name: str,
    declared: dict[str, Any],
    acting: dict[str, Any],
    *,
    outside: Outside,
    pace: float,
) -> None:
    @app.job(name, authority="external_effect", **declared)
    def refund(inputs: Note) -> Request:
        return request_for(inputs)

    more = {key: delay(value, pace) for key, value in acting.items()}

    @refund.action(timeout=limit(pace), **more)
    async def pay_back(args: Refund, *, key: str) -> Receipt:
        """Pay an order back."""
        return await outside.take(key, args.model_dump(mode="json"))

    if name != "refund-blind":
        looked_up(pay_back, outside)


def _two_things(app: App, outside: Outside, pace: float) -> None:
    @app.job("two-things", authority="external_effect", review=Review(respond_within="15m"))
    def two_things(inputs: Note) -> Request:
        return request_for(inputs)

    @two_things.action(timeout=limit(pace))
    async def pay_back(args: Refund, *, key: str) -> Receipt:
        """Pay an order back."""
        return await outside.take(key, args.model_dump(mode="json"))

    @two_things.action(timeout=limit(pace))
    async def write_to(args: Letter, *, key: str) -> Receipt:
        """Write to the customer."""
        return await outside.take(key, args.model_dump(mode="json"))

    looked_up(pay_back, outside)
    looked_up(write_to, outside)


def _planned(app: App, outside: Outside, pace: float) -> None:
    @app.job("planned", authority="external_effect")
    def planned(inputs: Note) -> Request:
        return request_for(inputs, output=Plan)

    @planned.action(timeout=limit(pace))
    async def pay_back(args: Refund, *, key: str) -> Receipt:
        """Pay an order back."""
        return await outside.take(key, args.model_dump(mode="json"))

    looked_up(pay_back, outside)

    @planned.propose
    def each(result: Plan, job: Any) -> list[Any]:
        return [(pay_back, Refund(order_id=one)) for one in result.order_ids[:3]]


def _tagging(app: App, outside: Outside, pace: float) -> None:
    @app.job("tag", authority="low_risk_write")
    def tag(inputs: Note) -> Request:
        return request_for(inputs)

    @tag.action(timeout=limit(pace), target="the ticket system")
    async def add_tag(args: Refund, *, key: str) -> Receipt:
        """Tag an order."""
        return await outside.take(key, args.model_dump(mode="json"))

    looked_up(add_tag, outside)


def _ruled(app: App, outside: Outside, pace: float) -> None:
    """A policy lets some out by itself, has a person look at others, and refuses the rest."""

    @app.job("ruled", authority="low_risk_write", review=Review(respond_within="15m"))
    def ruled(inputs: Note) -> Request:
        return request_for(inputs)

    @ruled.action(timeout=limit(pace), undo=delay("5s", pace))
    async def add_tag(args: Refund, *, key: str) -> Receipt:
        """Tag an order."""
        return await outside.take(key, args.model_dump(mode="json"))

    looked_up(add_tag, outside)

    @ruled.policy
    def by_the_order(asked: policy.Asked) -> policy.Answers:
        kind = sum(map(ord, asked.arguments.order_id)) % 4
        return policy.Refuse("not this one") if kind == 3 else policy.amount(kind, allow="1", refuse="9")


def add_letters(app: App) -> None:
    """A draft whose words nobody may see before they are released."""

    @app.job("letter", authority="draft", live=True, review=Review(respond_within="20m"))
    def letter(inputs: Note) -> Request:
        return request_for(inputs, WHISPER)


def add_talking(app: App) -> None:
    """Types that people talk to while they write."""
    held: dict[str, Any] = {"lanes": ["interactive"]}

    @app.job("chat", authority="read_only", **held)
    def chat(inputs: Note) -> Request:
        return request_for(inputs)

    @app.job("chat-anew", authority="read_only", if_unknown="rebuy", **held)
    def chat_anew(inputs: Note) -> Request:
        return request_for(inputs)

    @app.job("chat-draft", authority="draft", **held)
    def chat_draft(inputs: Note) -> Request:
        return request_for(inputs, WHISPER)

    @app.job("chat-helped", authority="read_only", **held)
    def chat_helped(inputs: Note) -> Request:
        return request_for(inputs)

    @chat_helped.tool
    def measure(words: str) -> dict[str, int]:
        """How long something is."""
        return {"letters": len(words)}
