"""What went over the wire in one call, read for a judge: its request, its answer, the events of its stream."""

import json
import re
from collections.abc import Callable
from typing import Any

import httpx2
import openai
from tools.spec_judge import Exchange, events_of


def attempt(call: Callable[[], Any]) -> Any:
    """A refusal is an answer too; what the simulator has not got is judged as a refusal."""
    try:
        return call()
    except openai.APIStatusError:
        return None


def listen(call: Callable[[], Any]) -> list[Any]:
    """The events of a stream to its end; the client raises for an `error` event in its nested shape."""
    heard: list[Any] = []
    try:
        for event in call():
            heard.append(event)
    except openai.APIError:
        pass
    return heard


def read_whole(request: httpx2.Request) -> None:
    """Keep the body of a request, a file's too."""
    request.read()


def exchange_of(answer: httpx2.Response) -> Exchange:
    """The call that was answered."""
    answer.read()
    request = answer.request
    kind = answer.headers.get("content-type", "")
    streamed = kind.startswith("text/event-stream")
    return Exchange(
        request.method,
        request.url.path.removeprefix("/v1"),
        _body(request),
        answer.status_code,
        json.loads(answer.content) if kind.startswith("application/json") and answer.content else None,
        events_of(answer.text) if streamed else (),
    )


def _body(request: httpx2.Request) -> Any:
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json") and request.content:
        return json.loads(request.content)
    if kind.startswith("multipart/form-data"):
        return _form(request.content, kind.split("boundary=")[1])
    return None


def _form(content: bytes, boundary: str) -> dict[str, Any]:
    """A form's fields as an object: `a[b]` nests, digits are numbers, a file is its text."""
    fields: dict[str, Any] = {}
    for part in content.split(b"--" + boundary.encode())[1:-1]:
        head, _, value = part.strip(b"\r\n").partition(b"\r\n\r\n")
        named = re.search(r'name="([^"]+)"', head.decode())
        assert named is not None
        text = value.decode(errors="replace")
        outer, _, inner = named[1].partition("[")
        read: Any = int(text) if text.isdigit() else text
        if inner:
            fields.setdefault(outer, {})[inner.rstrip("]")] = read
        else:
            fields[outer] = read
    return fields
