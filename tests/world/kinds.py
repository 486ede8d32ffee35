"""The job types of the simulated world: the small app's, and such as are live, use tools, or read files."""

import asyncio
from typing import Any

from pydantic import BaseModel

from backlane import App, File, Request, ToolFailed
from tests.values import Digest, Note, small_app
from tests.world.kinds_acting import ACTING, GATED, TALKING, add_acting, add_letters, add_talking
from tests.world.kinds_changing import CHANGING, Pages, add_changing

CLUMSY = "Answer clumsily."
# What each door opens: live streams, tools, files, actions and reviews, talk.
KINDS: dict[str, tuple[str, ...]] = {
    "live": ("told", "told", "told-anew", "told-draft", "told-helped"),
    "tools": ("helped", "helped", "helped-draft", "clumsy", "asking", "served", "computed"),
    "files": ("papers", "papers", "papers-told", "digested"),
    "acts": (*ACTING, *GATED),
    "chats": TALKING,
    "changes": CHANGING,
}
_MCP: dict[str, Any] = {"type": "mcp", "server_label": "crm", "server_url": "https://mcp.example.test/sse"}
_HOSTED: dict[str, dict[str, Any]] = {
    "asking": {**_MCP, "require_approval": "always"},
    "served": {**_MCP, "require_approval": "never"},
    "computed": {"type": "code_interpreter", "container": {"type": "auto"}},
}


class Papers(BaseModel):
    """The inputs of the types that take files."""

    text: str = "Read what is attached."
    attachments: list[File] = []


def _ask(inputs: Note, instructions: str = "Answer.", **more: Any) -> Request:
    return Request(model="gpt-6-luna", instructions=instructions, input=inputs.text, **more)


def world_app(outside: Pages, pace: float = 1.0, release: int = 0) -> App:
    """An app with a type for everything that is asked of the provider; `pace` is how long tools take."""
    app = small_app()
    add_acting(app, outside, pace)
    add_letters(app)
    add_talking(app)
    add_changing(app, outside, pace, release)
    _add_waiting(app)
    _add_live(app, pace)
    _add_tools(app, pace)
    _add_papers(app)
    return app


def _add_waiting(app: App) -> None:
    @app.job("by-tonight", authority="read_only", window="2h", continuation="type")
    def by_tonight(inputs: Note) -> Request:
        return _ask(inputs)


def _add_live(app: App, pace: float) -> None:
    @app.job("told", authority="read_only", live=True)
    def told(inputs: Note) -> Request:
        return _ask(inputs)

    @app.job("told-anew", authority="read_only", live=True, if_unknown="rebuy")
    def told_anew(inputs: Note) -> Request:
        return _ask(inputs)

    @app.job("told-draft", authority="draft", live=True)
    def told_draft(inputs: Note) -> Request:
        return _ask(inputs, output=Digest)

    @app.job("told-helped", authority="read_only", live=True)
    def told_helped(inputs: Note) -> Request:
        return _ask(inputs)

    _give_tools(told_helped, pace)


def _add_tools(app: App, pace: float) -> None:
    @app.job("helped", authority="read_only")
    def helped(inputs: Note) -> Request:
        return _ask(inputs)

    @app.job("helped-draft", authority="draft", if_unknown="rebuy")
    def helped_draft(inputs: Note) -> Request:
        return _ask(inputs)

    @app.job("clumsy", authority="read_only", max_turns=5)
    def clumsy(inputs: Note) -> Request:
        return _ask(inputs, CLUMSY)

    for job in (helped, helped_draft, clumsy):
        _give_tools(job, pace)
    for name, tool in _HOSTED.items():
        _add_hosted(app, name, tool)


def _add_hosted(app: App, name: str, tool: dict[str, Any]) -> None:
    @app.job(name, authority="read_only")
    def hosted(inputs: Note) -> Request:
        return _ask(inputs, tools=[tool])


def _give_tools(job: Any, pace: float) -> None:
    """Three functions: one at once, one that takes its time, one that may be too slow or fail."""

    @job.tool
    def measure(words: str) -> dict[str, int]:
        """How long something is."""
        return {"letters": len(words)}

    @job.tool
    async def find_order(order_id: str) -> dict[str, str]:
        """What became of an order."""
        await asyncio.sleep(3 * pace)
        return {"order": order_id, "state": "sent"}

    @job.tool(timeout="10s")
    async def wait_for(seconds: int) -> str:
        """Wait, as far as there is time."""
        if seconds == 13:
            raise ToolFailed("nobody waits so long on a Friday")
        await asyncio.sleep(seconds * pace)
        return "that took a while"


def _add_papers(app: App) -> None:
    @app.job("papers", authority="read_only")
    def papers(inputs: Papers) -> Request:
        return Request(model="gpt-6-luna", instructions="Sum up.", input=[inputs.text, *inputs.attachments])

    @app.job("papers-told", authority="read_only", live=True)
    def papers_told(inputs: Papers) -> Request:
        return Request(model="gpt-6-luna", instructions="Sum up.", input=[inputs.text, *inputs.attachments])

    @app.job("digested", authority="draft")
    def digested(inputs: Papers) -> Request:
        return Request(model="gpt-6-luna", instructions="Digest.", input=[*inputs.attachments], output=Digest)
