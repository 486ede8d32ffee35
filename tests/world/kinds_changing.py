"""Job types that change under way: by the next release, by a mark, a draw or a hook, and by what is approved itself."""

from typing import Any, Protocol

from pydantic import BaseModel

from backlane import App, Image, Receipt, Request, Review, policy
from tests.values import Note
from tests.world.kinds_acting import WHISPER, Outside, Refund, delay, limit, looked_up, request_for

# Nothing of these is told before it has been seen to, whatever comes of it.
CLOSED = ("drawn-letter", "hooked-letter", "judged-letter")
CHANGING = (
    "ruled-slowly", "ruled-slowly", "bound", "bound", "asked-there",
    "open-letter", "open-letter", "open-letter", "short-letter", *CLOSED, "drawn-letter", "searched", "pictured",
)  # fmt: skip
_ASKING: dict[str, Any] = {
    "type": "mcp",
    "server_label": "crm",
    "server_url": "https://mcp.example.test/sse",
    "require_approval": "always",
}


class Pages(Outside, Protocol):
    """An outside whose pages may be others by tomorrow."""

    async def page(self, order_id: str) -> str:
        """What an order's page shows."""
        ...


class Pictured(BaseModel):
    """The inputs of a type that looks at a picture."""

    text: str
    picture: Image


def add_changing(app: App, outside: Pages, pace: float, release: int) -> None:
    """What a person lets out long before it goes, and letters that anybody may read until somebody minds."""
    _ruled_slowly(app, outside, pace, release)
    _bound(app, outside, pace)
    _add_searching(app)
    for name, useful_for in (("open-letter", "24h"), ("short-letter", "2m")):
        _open_letter(app, name, useful_for)
    _closed_letters(app)


def _ruled_slowly(app: App, outside: Pages, pace: float, release: int) -> None:
    at_most = ("0", "1")[release]

    @app.job("ruled-slowly", authority="low_risk_write", review=Review(respond_within="15m"))
    def ruled_slowly(inputs: Note) -> Request:
        return request_for(inputs)

    @ruled_slowly.action(timeout=limit(pace), undo=delay("2m", pace))
    async def add_tag(args: Refund, *, key: str) -> Receipt:
        """Tag an order."""
        return await outside.take(key, args.model_dump(mode="json"))

    looked_up(add_tag, outside)

    @ruled_slowly.policy
    def by_the_order(asked: policy.Asked) -> policy.Answers:
        return policy.amount(sum(map(ord, asked.arguments.order_id)) % 4, allow=at_most)


def _bound(app: App, outside: Pages, pace: float) -> None:
    """What is approved is a page, which may be another one when its turn comes."""

    @app.job("bound", authority="external_effect", review=Review(respond_within="15m"))
    def bound(inputs: Note) -> Request:
        return request_for(inputs)

    @bound.action(timeout=limit(pace), undo=delay("1m", pace))
    async def send_page(args: Refund, *, key: str) -> Receipt:
        """Send an order's page."""
        return await outside.take(key, args.model_dump(mode="json"))

    looked_up(send_page, outside)

    @send_page.content
    async def page(args: Refund) -> str:
        return await outside.page(args.order_id)


def _add_searching(app: App) -> None:
    """Tools of the provider: a remote one that asks before it acts, searches, and a look at a picture."""

    @app.job("asked-there", authority="external_effect", review=Review(respond_within="15m"))
    def asked_there(inputs: Note) -> Request:
        return request_for(inputs, tools=[_ASKING])

    @app.job("searched", authority="read_only")
    def searched(inputs: Note) -> Request:
        stores = {"type": "file_search", "vector_store_ids": ["vs_1"]}
        return request_for(inputs, tools=[{"type": "web_search"}, stores])

    @app.job("pictured", authority="read_only", live=True)
    def pictured(inputs: Pictured) -> Request:
        return Request(model="gpt-6-luna", instructions="Look.", input=[inputs.text, inputs.picture])


def _open_letter(app: App, name: str, useful_for: str) -> None:
    @app.job(name, authority="read_only", live=True, useful_for=useful_for)
    def open_letter(inputs: Note) -> Request:
        return request_for(inputs, WHISPER)


def _closed_letters(app: App) -> None:
    """Letters that are drawn for review, or that a hook or a policy looks at."""
    answered = Review(respond_within="20m")

    @app.job("drawn-letter", authority="low_risk_write", live=True, sampled=0.5, review=answered)
    def drawn_letter(inputs: Note) -> Request:
        return request_for(inputs, WHISPER)

    @app.job("hooked-letter", authority="read_only", live=True)
    def hooked_letter(inputs: Note) -> Request:
        return request_for(inputs, WHISPER)

    @hooked_letter.sensitive(over="output")
    def about_an_order(inputs: Note, result: str | None) -> bool:
        return "Order" in inputs.text

    @app.job("judged-letter", authority="low_risk_write", live=True, review=answered)
    def judged_letter(inputs: Note) -> Request:
        return request_for(inputs, WHISPER)

    @judged_letter.policy(over="output")
    def about_no_order(asked: policy.Asked) -> policy.Answers:
        return policy.Review("an order") if "Order" in asked.job.inputs.text else policy.Allow()
