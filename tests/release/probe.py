"""Asking the application everything it can be asked about a job, and looking for canaries in every answer."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.release.kinds import Thing

# A stream of a job that goes on has no end: it is left after so long a silence, seconds.
_LISTEN = 0.1


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def text(self) -> str:
        """All of it, headers included, with escapes undone."""
        head = "\n".join(f"{name}: {value}" for name, value in self.headers if name != "request-id")
        return f"{self.status}\n{head}\n{self.body.decode(errors='replace')}"


async def ask(app: Any, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
    """One request to the application in this process; an endless answer is cut off."""
    route, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": route, "raw_path": route.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1), "server": ("here", 80),
    }  # fmt: skip
    sent: list[Any] = []
    given = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if not given:
            await asyncio.Event().wait()
        return given.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    task = asyncio.ensure_future(app(scope, receive, send))
    heard = 0
    while headers.get("Accept") == "text/event-stream" and not task.done() and heard < 400:
        # An endless stream has said all it has to say once it is silent.
        before = len(sent)
        await asyncio.wait([task], timeout=_LISTEN)
        heard += 1
        if len(sent) == before > 1:
            task.cancel()
            await asyncio.wait([task])
    async with asyncio.timeout(30):
        await asyncio.gather(task, return_exceptions=task.cancelled())
    told = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    return Answer(sent[0]["status"], told, b"".join(one.get("body", b"") for one in sent[1:]))


@dataclass
class Known:
    """The ids of everything around one job, and what gives its closed parts away: digests, sizes, token counts."""

    job: str
    ids: dict[str, list[str]]
    digests: set[str] = field(default_factory=set[str])
    numbers: set[int] = field(default_factory=set[int])


def surfaces(app: Any, known: Known) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Every GET route of the application's own description, filled in, in every form it can be asked in."""
    for path, methods in app.openapi()["paths"].items():
        if "get" not in methods:
            continue
        for filled in _filled(path, known):
            yield "GET", filled, {}
            yield from _more(path, filled, known)


def _filled(path: str, known: Known) -> list[str]:
    if "{" not in path:
        return [path]
    name = path.partition("{")[2].partition("}")[0]
    assert name in known.ids, f"teach this test what {name} of {path} is"
    return [path.replace(f"{{{name}}}", one) for one in known.ids[name]]


def _more(path: str, filled: str, known: Known) -> Iterator[tuple[str, str, dict[str, str]]]:
    if path == "/v1/jobs":
        for thing in (Thing.LIVE, Thing.TEXT, Thing.ACTION, known.job):
            yield "GET", f"{filled}?q={quote(thing)}", {}
    if path.endswith("/events"):
        yield "GET", f"{filled}?limit=200", {}
        yield "GET", filled, {"Accept": "text/event-stream"}
    if path.endswith("/content"):
        yield "GET", filled, {"Range": "bytes=0-20"}
        yield "HEAD", filled, {}
        for digest in sorted(known.digests)[:1]:
            yield "GET", filled, {"If-None-Match": f'"{digest}"'}


def verbs(app: Any, known: Known) -> Iterator[tuple[str, str, bytes]]:
    """Every route that changes something, filled in, with bodies that it takes and bodies that it refuses."""
    decision = {"decision": "approve", "payload_hash": "sha256:0"}
    bodies = ({"reason": "x"}, {"text": "x"}, decision)
    for path, methods in app.openapi()["paths"].items():
        for method in sorted(set(methods) - {"get"}):
            for filled in _filled(path, known)[-1:] if "{lane}" not in path else ():
                for body in bodies:
                    yield method.upper(), filled, json.dumps(body).encode()


def found_in(answer: Answer, known: Known) -> set[str]:
    """The things that an answer shows of this job; a list's lines about other jobs are left out."""
    text = answer.text()
    try:
        value: Any = json.loads(answer.body)
    except ValueError:
        value = None
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = [one for one in value["data"] if _about(one, known.job)]
        text = json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | dict):
        # What is escaped once more inside a string is found too.
        text += json.dumps(value, ensure_ascii=False).replace("\\\\", "\\")
    found: set[str] = {thing.name for thing in Thing if thing in text or _escaped(thing) in text}
    found |= {"DIGEST" for digest in known.digests if digest in text}
    found |= {"SIZE" for number in _numbers(value) if number in known.numbers}
    return found


def _about(row: Any, job: str) -> bool:
    text = json.dumps(row)
    return job in text or "job_" not in text


def _escaped(thing: str) -> str:
    return f"\\u{ord(thing):04x}"


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _numbers(one)
    elif isinstance(value, list):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value
