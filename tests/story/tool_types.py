"""Job types with tools for the stories: good ones, slow ones, ones that break, and types with hosted tools."""

import asyncio
import threading
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from backlane import App, Request, ToolFailed
from tests.values import Digest, Note

SECRET = "tool-canary-71c2"


class Customer(BaseModel):
    name: str
    plan: str


class Ledger:
    """What the tools were called with, and the gates that hold some of them."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.held = asyncio.Event()
        self.entered = asyncio.Event()
        self.threads: set[int] = set()
        self.stopped: list[str] = []
        self.blocked = threading.Event()
        self.answered = threading.Event()

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


def _ask(inputs: Note, **more: Any) -> Request:
    return Request(model="gpt-6-luna", instructions="Answer.", input=inputs.text, **more)


def _add_good_tools(job: Any, ledger: Ledger) -> None:
    @job.tool
    async def look_up_customer(email: str) -> Customer:
        """Find a customer by email."""
        ledger.calls.append(("look_up_customer", email))
        return Customer(name=f"Ana of {email}", plan=SECRET)

    @job.tool
    def count_orders(email: str, since_year: int = 2020) -> dict[str, int]:
        ledger.calls.append(("count_orders", (email, since_year)))
        ledger.threads.add(threading.get_ident())
        return {"orders": since_year - 2000}

    @job.tool
    async def whose_job(*, job: Any) -> dict[str, Any]:
        return {"by": job.submitted_by, "text": job.inputs.text}

    @job.tool
    async def hold(name: str) -> str:
        ledger.calls.append(("hold", name))
        ledger.entered.set()
        try:
            await ledger.held.wait()
        except asyncio.CancelledError:
            ledger.stopped.append(name)
            raise
        return name

    @job.tool
    def block(name: str) -> str:
        ledger.calls.append(("block", name))
        ledger.blocked.wait(30)
        ledger.answered.set()
        return name


def _add_bad_tools(job: Any, ledger: Ledger) -> None:
    @job.tool(timeout="50ms")
    async def never() -> str:
        ledger.calls.append(("never", None))
        await asyncio.Event().wait()
        return ""

    @job.tool(output_at_most=1_000)
    async def huge() -> list[str]:
        return ["many words \ud800"] * 10_000

    @job.tool
    async def broken(how: str) -> str:
        ledger.calls.append(("broken", how))
        if how == "plainly":
            raise ToolFailed("no such customer")
        if how == "exit":
            raise SystemExit(3)
        if how == "cancel":
            raise asyncio.CancelledError
        raise RuntimeError("password=hunter2")


def tool_app(ledger: Ledger, app: App | None = None) -> App:
    """The types `helped` (tools of every kind), `helped-draft` (gated), `narrow` (small caps) and more."""
    app = app or App()

    @app.job("helped", authority="read_only")
    def helped(inputs: Note) -> Request:
        return _ask(inputs)

    @app.job("helped-draft", authority="draft")
    def helped_draft(inputs: Note) -> Request:
        return _ask(inputs)

    @app.job("narrow", authority="read_only", max_turns=3, max_tool_calls=4)
    def narrow(inputs: Note) -> Request:
        return _ask(inputs, tool_choice="required")

    @app.job("cheap-tools", authority="read_only", max_cost="0.000001")
    def cheap(inputs: Note) -> Request:
        return _ask(inputs)

    @app.job("noting", authority="read_only")
    def noting(inputs: Note) -> Request:
        return _ask(inputs)

    @noting.tool
    def note_down(path: str, line: str) -> str:
        with Path(path).open("a") as file:
            file.write(line + "\n")
        return line

    @app.job("toolless", authority="read_only")
    def toolless(inputs: Note) -> Request:
        return _ask(inputs)

    for job in (helped, helped_draft, narrow, cheap):
        _add_good_tools(job, ledger)
        _add_bad_tools(job, ledger)
    for kind, tool in HOSTED.items():
        _hosted(app, kind, tool)
    for kind, if_invalid in (("tabled", "fail"), ("tabled-reviewed", "review")):
        _hosted(app, kind, HOSTED["code-interpreter"], if_invalid=if_invalid, output=Digest)
    return app


HOSTED: dict[str, dict[str, Any]] = {
    "web-search": {"type": "web_search"},
    "file-search": {"type": "file_search", "vector_store_ids": ["vs_otters"]},
    "code-interpreter": {"type": "code_interpreter", "container": {"type": "auto"}},
    "code-shared": {"type": "code_interpreter", "container": "cntr_shared"},
    "mcp-free": {
        "type": "mcp",
        "server_label": "crm",
        "server_url": "https://mcp.example.test/sse",
        "require_approval": "never",
    },
    "mcp-asks": {
        "type": "mcp",
        "server_label": "crm",
        "server_url": "https://mcp.example.test/sse",
        "require_approval": "always",
    },
}


def _hosted(app: App, kind: str, tool: dict[str, Any], if_invalid: Any = "fail", **more: Any) -> None:
    @app.job(kind, authority="read_only", if_invalid=if_invalid)
    def hosted(inputs: Note) -> Request:
        return _ask(inputs, tools=[tool], **more)
