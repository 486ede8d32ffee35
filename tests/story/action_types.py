"""Job types that act on a small outside world, which counts what reaches it: a file that survives every kill."""

import asyncio
import os
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from backlane import ActionFailed, App, Receipt, Request, Review
from tests.values import Note


class Refund(BaseModel):
    """What the model proposes."""

    order: str
    amount: Decimal
    how: str = "plainly"


class Plan(BaseModel):
    """A result that the type turns into proposals."""

    orders: list[str]
    words: str


class World:
    """The outside: each effect is one line, written at once; `holds` keeps calls in the air."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "effects"
        self.calls: list[str] = []
        self.looked: list[str] = []
        self.entered = asyncio.Event()
        self.holds = asyncio.Event()
        self.contents: dict[str, str] = {}
        self.break_lookups = False

    def effect(self, key: str, order: str) -> None:
        with self.file.open("a") as file:
            file.write(f"{key} {order}\n")
            file.flush()
            os.fsync(file.fileno())

    def effects(self) -> list[tuple[str, str]]:
        if not self.file.exists():
            return []
        rows = [line.split(" ", 1) for line in self.file.read_text().splitlines()]
        return [(key, order) for key, order in rows]

    def log(self) -> list[dict[str, str]]:
        """What the checker is given."""
        return [{"key": key} for key, _ in self.effects()]

    def orders(self) -> list[str]:
        return [order for _, order in self.effects()]

    def find(self, key: str) -> Receipt | None:
        self.looked.append(key)
        if self.break_lookups:
            raise RuntimeError("the outside does not answer")
        found = next((order for one, order in self.effects() if one == key), None)
        return None if found is None else receipt(found)


def receipt(order: str) -> Receipt:
    return Receipt(
        system="payments", type="refund", id=f"re_{order}", url=f"https://pay.example.test/{order}"
    )


async def _pay(world: World, args: Refund, key: str) -> Receipt:
    """What the ways of a refund are: it may fail, hang or die before or after it took effect."""
    world.calls.append(key)
    if args.how == "refused":
        raise ActionFailed("the account is closed")
    if args.how == "dies-before":
        os.kill(os.getpid(), signal.SIGKILL)
    if args.how == "hangs-before":
        await asyncio.Event().wait()
    if args.how == "held":
        world.entered.set()
        await world.holds.wait()
    world.effect(key, args.order)
    if args.how == "dies-after":
        os.kill(os.getpid(), signal.SIGKILL)
    if args.how == "hangs-after":
        await asyncio.Event().wait()
    if args.how == "breaks":
        raise RuntimeError("password=hunter2")
    return receipt(args.order)


def _ask(inputs: Note, **more: Any) -> Request:
    return Request(model="gpt-6-luna", instructions="Help the customer.", input=inputs.text, **more)


def acting_app(world: World, app: App | None = None) -> App:
    """The types `refund`, `blind` (no lookup), `slow-refund` (undo), `pair-refund` (two approvals) and more."""
    app = app or App()
    ways: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "refund": ({}, {"timeout": "1s"}),
        "blind": ({}, {"timeout": "1s"}),
        "slow-refund": ({}, {"timeout": "4s", "undo": "1h"}),
        "brief-undo": ({}, {"timeout": "4s", "undo": "300ms"}),
        "pair-refund": ({"review": Review(quorum=2)}, {"timeout": "4s"}),
        "reviewed-text": ({"review": Review(text_too=True)}, {"timeout": "4s"}),
        "no-more-words": ({"finish_after_actions": True}, {"timeout": "4s"}),
        "brief": ({"useful_for": "2s"}, {"timeout": "8s"}),
        "brief-end": ({"useful_for": "2s", "finish_after_actions": True}, {"timeout": "8s"}),
        "brief-delay": ({"useful_for": "2s"}, {"timeout": "1s", "undo": "1h"}),
        "patient": ({}, {"timeout": "20s"}),
        "blind-patient": ({}, {"timeout": "20s"}),
    }
    for name, (declared, acting) in ways.items():
        _refunding(app, name, declared, acting, world)
    _low_risk(app, world)
    _planned(app, world)
    _linked(app, world)
    _remote(app)
    return app


def _refunding(app: App, name: str, declared: dict[str, Any], acting: dict[str, Any], world: World) -> None:
    @app.job(name, authority="external_effect", **declared)
    def refund(inputs: Note) -> Request:
        return _ask(inputs)

    @refund.tool
    async def look_up_order(order: str) -> dict[str, str]:
        """Find an order."""
        return {"order": order}

    @refund.action(**acting)
    async def issue_refund(args: Refund, *, key: str) -> Receipt:
        """Pay an order back."""
        return await _pay(world, args, key)

    if not name.startswith("blind"):

        @issue_refund.lookup
        async def _(key: str) -> Receipt | None:
            return world.find(key)


def _low_risk(app: App, world: World) -> None:
    @app.job("tagging", authority="low_risk_write")
    def tagging(inputs: Note) -> Request:
        return _ask(inputs)

    @tagging.action(timeout="4s", target="the ticket system")
    def add_tag(args: Refund, *, key: str) -> str:
        world.calls.append(key)
        world.effect(key, args.order)
        return f"tagged {args.order}"


def _planned(app: App, world: World) -> None:
    @app.job("planned", authority="external_effect")
    def planned(inputs: Note) -> Request:
        return _ask(inputs, output=Plan)

    @planned.action(timeout="4s")
    async def pay_back(args: Refund, *, key: str) -> Receipt:
        return await _pay(world, args, key)

    @planned.propose
    def _(result: Plan, job: Any) -> list[Any]:
        if result.words == "broken":
            raise RuntimeError("no plan")
        return [(pay_back, Refund(order=order, amount=Decimal("1.50"))) for order in result.orders]


def _linked(app: App, world: World) -> None:
    @app.job("linked", authority="external_effect")
    def linked(inputs: Note) -> Request:
        return _ask(inputs)

    @linked.action(timeout="4s")
    async def send_document(args: Refund, *, key: str) -> Receipt:
        return await _pay(world, args, key)

    @send_document.content
    async def _(args: Refund) -> str:
        return world.contents[args.order]


def _remote(app: App) -> None:
    """The same remote tool for types that may act, to any address or to none, and one that may not."""
    server = {
        "type": "mcp",
        "server_label": "crm",
        "server_url": "https://mcp.example.test/sse",
        "require_approval": "always",
    }
    for name, authority, unbound in (
        ("remote", "external_effect", False),
        ("remote-anywhere", "external_effect", True),
        ("remote-reader", "read_only", False),
    ):

        @app.job(name, authority=authority, unbound_remote=unbound)
        def remote(inputs: Note) -> Request:
            return _ask(inputs, tools=[server])
