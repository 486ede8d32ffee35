"""Jobs led into every state of review, with something to hide (or to show) at every step."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from backlane.core.job import Job
from backlane.core.outcome import Answer
from backlane.core.storage import Transaction
from backlane.service import annotate, control
from backlane.service.access import Caller
from backlane.service.control_actions import undo_action
from backlane.service.decide import Decided, decide
from backlane.service.open_case import open_case
from backlane.service.outputs import add_outputs, unhappy_outputs
from backlane.service.read import read_job
from backlane.service.show_review import read_review
from tests.conftest import Place
from tests.release.kinds import ACTS, Thing, marked
from tests.story.acts import script, seen, submitted

_tags = itertools.count(1)


@dataclass(frozen=True)
class Life:
    """A job in the state that was asked for."""

    kind: str
    state: str
    job: Job
    body: dict[str, Any]
    key: str


class People:
    """Everybody who takes part."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._known: dict[tuple[str, str], Caller] = {}

    async def __call__(self, name: str, role: str) -> Caller:
        if (name, role) not in self._known:
            self._known[(name, role)] = await self._place.caller(name, role)
        return self._known[(name, role)]


def _message(text: str) -> dict[str, Any]:
    content = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": "msg_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [content],
    }


def _call(number: int, name: str, arguments: str) -> dict[str, Any]:
    item = {"type": "function_call", "status": "completed", "name": name, "arguments": arguments}
    return {**item, "id": f"fc_{number}", "call_id": f"call_{number}"}


_WRITTEN: dict[str, Any] = {
    "code_interpreter": {
        "code": marked(Thing.CODE),
        "logs": marked(Thing.CODE, "logs"),
        "files": [{"name": f"{Thing.NAME * 5}.csv", "text": marked(Thing.FILE, length=777)}],
    },
    "web_search": [
        {"url": f"https://example.test/{Thing.SOURCE * 3}", "title": marked(Thing.SOURCE), "text": "a page"}
    ],
    "text": marked(Thing.TEXT, "The answer", 333),
    "usage": {"input_tokens": 71_234, "output_tokens": 73_456},
}
_ENDS: dict[str, dict[str, Any]] = {
    "running": {"running_seconds": 5000, "text": "never"},
    "incomplete": {"status": "incomplete", "text": marked(Thing.PARTIAL, length=500)},
    "failed": {
        "status": "failed",
        "error_code": "invalid_prompt",
        "error_message": marked(Thing.PROVIDER, "you wrote"),
    },
}


def _script(place: Place, kind: str, state: str, tag: str) -> None:
    """Turn by turn: words and a call of a tool, then an action where the type acts, then the answer."""
    if kind == "remote":
        # The server's own word for its tool is foreign text too.
        foreign = {"server_label": "crm", "name": Thing.ACTION * 9, "arguments": {"order": Thing.ACTION * 9}}
        script(place, {"mcp": [foreign]}, input_contains=tag)
        if state == "approved":
            said = {"mcp": [{"output": marked(Thing.RECEIPT)}], "text": marked(Thing.TEXT, "The answer", 333)}
            script(place, said)
        return
    if kind == "missed":
        script(place, {"text": marked(Thing.PARTIAL, "No JSON", 500)}, input_contains=tag)
        return
    call = f'{{"word": "{tag}{Thing.CALL * 9}"}}'
    first = [_message(marked(Thing.LIVE, "Let me see", 99)), _call(1, "look_up", call)]
    script(place, {"output": first, "running_seconds": 0.2}, input_contains=tag)
    if state in _ENDS:
        script(place, _ENDS[state], input_contains=tag)
        return
    if state == "sent back":
        # The second run takes long: what is found meanwhile is what the first one left.
        script(place, _ENDS["running"], input_contains=Thing.ASIDE)
    if kind in ACTS:
        # The order names the tag, so that the receipt's turn is known by it.
        pay = _call(2, "pay", f'{{"order": "{tag}{Thing.ACTION * 9}"}}')
        beside = [_message(marked(Thing.PARTIAL, "Paid.", 500))] if kind == "beside" else []
        script(place, {"output": [*beside, pay]}, input_contains=tag)
        if kind not in ("slow", "beside"):
            script(place, _WRITTEN, input_contains=Thing.RECEIPT)
        return
    words = f"forbidden {_WRITTEN['text']}" if state == "refused" else _WRITTEN["text"]
    script(place, {**_WRITTEN, "text": words}, input_contains=tag)
    if state == "changed":
        script(place, {"output": [_message("Another draft.")]}, input_contains=Thing.ASIDE)


async def lead(
    place: Place, people: People, kind: str, state: str, *, by: Caller | None = None, **more: Any
) -> Life:
    """A job of this kind, in this state; ana asks for it unless somebody else is named."""
    tag = f"tag{next(_tags):04d}"
    type_name = "read" if kind == "sensitive" else kind
    _script(place, kind, state, tag)
    ana = by or await people("ana", "submitter")
    given: dict[str, Any] = {**more, "sensitive": True} if kind == "sensitive" else more
    # Whose gate was open while it wrote, its words were told as they came.
    live = kind != "missed"
    job = await submitted(place, ana, type_name, marked(Thing.INPUT, tag), live=live, **given)
    await seen(place, ana, job.id, _met(kind, state))
    await _LEADS.get(state, _nothing)(place, people, job)
    await _aside(place, people, job)
    return Life(kind, state, job, {}, tag)


async def again(place: Place, people: People, life: Life, state: str) -> Life:
    """The job that goes on from the unfinished answer that this one kept, in this state."""
    _script(place, life.kind, state, life.key)
    ana = await people("ana", "submitter")
    job, new = await control.retry(place.service.ports, ana, life.job.id, start="partial")
    assert new
    await seen(place, ana, job.id, _met(life.kind, state))
    await _LEADS.get(state, _nothing)(place, people, job)
    return Life(life.kind, state, job, {}, life.key)


def _met(kind: str, state: str) -> Callable[[dict[str, Any]], bool]:
    """When a run has come as far as it comes by itself."""

    def asked(view: dict[str, Any]) -> bool:
        ended = view["status"] in ("completed", "failed", "needs_review")
        if state == "running":
            return len(view["attempts"]) == 2 and (view["status"], view["phase"]) == ("running", "model")
        return ended

    return asked


async def _nothing(place: Place, people: People, job: Job) -> None:
    """It stays as it is."""


def _decides(decision: str, **more: Any) -> Callable[[Place, People, Job], Awaitable[None]]:
    async def lead(place: Place, people: People, job: Job) -> None:
        rita, ports = await people("rita", "reviewer"), place.service.ports
        view = await read_job(ports, rita, job.id)
        review = await read_review(ports, rita, view["review"]["id"])
        given = dict(more)
        if given.pop("edit", False):
            words = marked(Thing.EDIT, "Better", 222)
            given["edits"] = {"order": words} if review["kind"] == "action" else words
            if view["type"] == "missed":
                given["edits"] = {"summary": words, "themes": []}
        answer = Decided(
            decision=decision, payload_hash=review["payload_hash"], has_edits="edits" in given, **given
        )
        await decide(ports, rita, review["id"], answer)
        olga = await people("olga", "operator")
        await seen(place, olga, job.id, lambda view: view["status"] in ("completed", "failed"))

    return lead


async def _silence(place: Place, people: People, job: Job) -> None:
    """Nobody answers, nor does whoever is asked next."""
    olga = await people("olga", "operator")
    for _ in range(2):
        await _over(place, job, respond_by=True)
        await asyncio.sleep(0.15)
    await seen(place, olga, job.id, lambda view: view["status"] == "failed")


async def _window(place: Place, people: People, job: Job) -> None:
    """Its useful window passes."""
    await _over(place, job, respond_by=False)
    await seen(place, await people("olga", "operator"), job.id, lambda view: view["status"] == "expired")


async def _over(place: Place, job: Job, *, respond_by: bool) -> None:
    def end(tx: Transaction) -> None:
        current, review = tx.job(job.id, lock=True), tx.open_review(job.id)
        assert current is not None
        now = place.service.ports.clock.now()
        if respond_by and review is not None:
            tx.change_review(review["id"], respond_by=now)
        until = current.useful_until if respond_by else now
        tx.save(current, replace(current, due_at=now, useful_until=until), [])

    await place.service.store.write(end)
    place.service.ports.notify()


async def _cancel(place: Place, people: People, job: Job) -> None:
    await control.cancel(place.service.ports, await people("olga", "operator"), job.id, None)


async def _half(place: Place, people: People, job: Job) -> None:
    """One of two reviewers has approved it, with a note for whoever asked."""
    review = await _asked(place, people, job)
    note = marked(Thing.TOLD, "so")
    await _approve(place, people, review, notes=note, tell_requester=True)


async def _asked(place: Place, people: People, job: Job, not_this: str = "") -> dict[str, Any]:
    """The job's review, as a reviewer sees it; another one than `not_this`."""
    ports = place.service.ports
    view = await seen(
        place,
        await people("olga", "operator"),
        job.id,
        lambda view: view["status"] == "needs_review" and view["review"]["id"] != not_this,
    )
    return await read_review(ports, await people("rita", "reviewer"), view["review"]["id"])


async def _approve(place: Place, people: People, review: dict[str, Any], **more: Any) -> None:
    answer = Decided(**{"decision": "approve", "payload_hash": review["payload_hash"], **more})
    await decide(place.service.ports, await people("rita", "reviewer"), review["id"], answer)


async def _changed(place: Place, people: People, job: Job) -> None:
    """Its first draft is sent back, the second one is released."""
    first = await _asked(place, people, job)
    note = marked(Thing.ASIDE, "shorter")
    await _approve(place, people, first, decision="request_changes", notes=note)
    await _approve(place, people, await _asked(place, people, job, first["id"]))


async def _sent_back(place: Place, people: People, job: Job) -> None:
    """Its draft, or what it wanted to do, is sent back; the second run goes on."""
    first = await _asked(place, people, job)
    note = marked(Thing.ASIDE, "shorter")
    await _approve(place, people, first, decision="request_changes", notes=note)
    view = await seen(
        place,
        await people("olga", "operator"),
        job.id,
        lambda view: (view["status"], view["phase"]) == ("running", "model"),
    )
    assert (view["review"]["state"], view["attempts"][-1]["reason"]) == ("changes_requested",) * 2


async def _late(place: Place, people: People, job: Job) -> None:
    """It is released; then the text of a run is found that nobody knew of."""
    await _approve(place, people, await _asked(place, people, job))
    ports = place.service.ports
    answer = Answer("resp_late", "completed", text=marked(Thing.PARTIAL, length=500))
    outputs = await unhappy_outputs(ports, answer, "late")

    def add(tx: Transaction) -> None:
        current = tx.job(job.id, lock=True)
        assert current is not None
        told = add_outputs(tx, ports, current, outputs, attempt_id=None, now=ports.clock.now())
        tx.keep_events(job.id, told)

    await place.service.store.write(add)


async def _unread(place: Place, people: People, job: Job) -> None:
    """Its action happened; what was written beside it waits for a person."""
    first = await _asked(place, people, job)
    await _approve(place, people, first)
    await _asked(place, people, job, first["id"])


async def _undone(place: Place, people: People, job: Job) -> None:
    """Its action was approved, and taken back in time."""
    await _approve(place, people, await _asked(place, people, job))
    olga, ports = await people("olga", "operator"), place.service.ports
    view = await read_job(ports, olga, job.id)
    await undo_action(ports, olga, view["actions"][0]["id"], None)


_LEADS: dict[str, Callable[[Place, People, Job], Awaitable[None]]] = {
    "approved": _decides("approve", notes=marked(Thing.ASIDE, "fine")),
    "edited": _decides("approve", notes=marked(Thing.TOLD, "so"), tell_requester=True, edit=True),
    "rejected": _decides("reject", notes=marked(Thing.ASIDE, "no"), reason_code="wrong"),
    "told why": _decides("reject", notes=marked(Thing.TOLD, "no"), tell_requester=True),
    "silence": _silence,
    "window": _window,
    "canceled": _cancel,
    "half": _half,
    "changed": _changed,
    "sent back": _sent_back,
    "late": _late,
    "unread": _unread,
    "undone": _undone,
}


async def _aside(place: Place, people: People, job: Job) -> None:
    """What colleagues say to each other about it: a note, and a case with its reason."""
    olga, ports = await people("olga", "operator"), place.service.ports
    await annotate.annotate(ports, olga, job.id, marked(Thing.ASIDE, "look"))
    await open_case(ports, olga, job.id, marked(Thing.ASIDE, "why"), marked(Thing.ASIDE, "more"))
