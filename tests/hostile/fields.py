"""Every field that a model, a tool, a page or a file can fill, filled with the corpus, a batch to a job."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from backlane import App, CheckFailed, Receipt, Request, ToolFailed
from tests.hostile.corpus import CORPUS
from tests.values import Note

_BATCH = 34
BATCHES = [CORPUS[start : start + _BATCH] for start in range(0, len(CORPUS), _BATCH)]
Script = dict[str, Any]


class Lines(BaseModel):
    """A structured output whose strings are the model's."""

    lines: list[str]


class Payment(BaseModel):
    """What an action is given."""

    order: str


SERVER = {
    "type": "mcp",
    "server_label": "crm",
    "server_url": "https://mcp.example.test/sse",
    "require_approval": "always",
}
TOOLS = [{"type": "code_interpreter", "container": {"type": "auto"}}, {"type": "web_search"}]


def hostile_app(effects: Path) -> App:
    """Types that believe nothing: one for each way in."""
    app = App()

    @app.job("says", authority="read_only")
    def says(inputs: Note) -> Request:
        return Request(model="gpt-6-luna", input=inputs.text)

    @says.summary
    def _(inputs: Note) -> str:
        return inputs.text

    @app.job("fills", authority="read_only")
    def fills(inputs: Note) -> Request:
        return Request(model="gpt-6-luna", input=inputs.text, output=Lines)

    @app.job("searches", authority="read_only")
    def searches(inputs: Note) -> Request:
        tools = [*TOOLS, {"type": "file_search", "vector_store_ids": ["vs_1"]}]
        return Request(model="gpt-6-luna", input=inputs.text, tools=tools)

    @app.job("doubts", authority="draft")
    def doubts(inputs: Note) -> Request:
        return Request(model="gpt-6-luna", input=inputs.text, output=Lines)

    @doubts.check
    def never(result: Lines, job: Any) -> None:
        raise CheckFailed("\n".join(result.lines))

    _acting(app, effects)
    return app


def _acting(app: App, effects: Path) -> None:
    @app.job("acts", authority="external_effect")
    def acts(inputs: Note) -> Request:
        return Request(model="gpt-6-luna", input=inputs.text, tools=[SERVER])

    @acts.tool
    async def repeat(word: str) -> str:
        return word

    @acts.tool
    async def complain(word: str) -> str:
        raise ToolFailed(word)

    @acts.action(timeout="2s", unbound=True)
    async def pay(args: Payment, *, key: str) -> Receipt:
        with effects.open("a") as file:
            file.write(json.dumps({"key": key, "order": args.order}) + "\n")
        return Receipt(system=args.order, type=args.order, id=args.order, url=args.order)


def _message(texts: Sequence[str]) -> Script:
    notes = [
        {"type": "url_citation", "start_index": 0, "end_index": 3, "url": one, "title": one} for one in texts
    ]
    part = {"type": "output_text", "text": "\n".join(texts), "annotations": notes, "logprobs": []}
    return {"id": "m", "type": "message", "status": "completed", "role": "assistant", "content": [part]}


def _calls(texts: Sequence[str], called: Callable[[str], tuple[str, str]]) -> Script:
    items = [
        {
            "type": "function_call", "id": f"fc_{number}", "call_id": f"{number} {text}"[:60],
            "status": "completed", "name": called(text)[0], "arguments": called(text)[1],
        }
        for number, text in enumerate(texts)
    ]  # fmt: skip
    return {"output": items}


def ways_in(texts: Sequence[str]) -> Iterator[tuple[str, str, Script]]:
    """A name for each way in, the job type, and what its run does."""
    yield "words and citations", "says", {"output": [_message(texts)]}
    yield "fields", "fills", {"text": json.dumps({"lines": texts})}
    yield "keys", "fills", {"text": json.dumps({"lines": [], **dict.fromkeys(texts, 1)})}
    yield "a refusal", "says", {"refusal": "\n".join(texts)}
    yield "a beginning", "says", {"status": "incomplete", "text": "\n".join(texts)}
    yield "a check's words", "doubts", {"text": json.dumps({"lines": texts})}
    yield "names of calls", "acts", _calls(texts, lambda text: (text, "{}"))
    yield "arguments that are none", "acts", _calls(texts[:3], lambda text: ("repeat", text))
    yield "arguments", "acts", _calls(texts, lambda text: ("repeat", json.dumps({"word": text})))
    yield (
        "a tool's complaint",
        "acts",
        _calls(texts[:3], lambda text: ("complain", json.dumps({"word": text}))),
    )
    yield "actions", "acts", _calls(texts, lambda text: ("pay", json.dumps({"order": text})))
    asked = [
        {"server_label": one, "name": one, "arguments": json.dumps({"a": one}), "approval": True}
        for one in texts
    ]
    yield "remote questions", "acts", {"mcp": asked}
    called = [
        {"server_label": "crm", "name": one, "arguments": one, "output": one, "approval": False}
        for one in texts
    ]
    yield "remote answers", "acts", {"mcp": called}
    pages = [{"url": one, "title": one, "text": one, "query": one} for one in texts]
    found = [{"file_id": one[:50] or "f", "filename": one, "text": one} for one in texts]
    files = [{"name": one, "text": "x"} for one in texts[:8]]
    code = {"code": texts[0], "logs": "\n".join(texts), "files": files}
    yield "pages and files", "searches", {"web_search": pages, "file_search": found, "code_interpreter": code}
    for text in texts[::8]:
        yield "an error", "says", {"status": "failed", "error_code": text[:500], "error_message": text}
