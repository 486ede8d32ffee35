"""Who decides while services die: reviewers who answer over HTTP, and an operator who is busy with everything."""

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from tests.crash.machine import Machine

_BOTHER = (
    ("escalate", {"reason": "they wait"}),
    ("hold", {}),
    ("release", {}),
    ("notes", {"text": "called them"}),
    ("archive", {}),
)


async def review(machine: "Machine") -> None:
    """Whoever may answers what waits for them, for as long as this is awaited: with yes, unless `machine.torn`."""
    url = f"http://127.0.0.1:{machine.port}/v1/reviews"
    async with httpx2.AsyncClient(timeout=10) as http:
        while True:
            for key in machine.reviewers:
                http.headers["Authorization"] = f"Bearer {key}"
                with contextlib.suppress(httpx2.TransportError):
                    listed = await http.get(url, params={"state": "pending"})
                    for one in listed.json().get("data", []):
                        if one["kind"] in ("action", "output") and one["payload_hash"]:
                            await http.post(f"{url}/{one['id']}/decisions", json=_answer(one, machine.torn))
            await asyncio.sleep(0.1)


def _answer(one: dict[str, Any], torn: bool) -> dict[str, Any]:
    """The same to the same review, whoever is asked, however often."""
    draw, body = random.Random(one["id"]).random(), {"payload_hash": one["payload_hash"]}
    if not torn or draw > 0.55:
        return {**body, "decision": "approve"}
    if draw < 0.15:
        return {**body, "decision": "reject", "reason_code": "wrong", "notes": "no"}
    if draw < 0.35:
        return {**body, "decision": "request_changes", "notes": "Say it more kindly."}
    payload = one["payload"]
    if one["kind"] == "output":
        edits: Any = None if payload.get("edits") else "Kinder words. kanarie-7b1f"
    else:
        arguments = payload["arguments"]
        word = "words" if "words" in arguments else "reason"
        edits = None if arguments[word] == "kinder" else {**arguments, word: "kinder"}
    # What was edited is approved as it is: another edit would void the approvals it has.
    return {**body, "decision": "approve", **({} if edits is None else {"edits": edits})}


async def bother(machine: "Machine", seed: int) -> None:
    """An operator escalates, holds, notes, archives, opens cases and stops actions, for as long as this is awaited."""
    chance, base = random.Random(seed), f"http://127.0.0.1:{machine.port}/v1"
    async with httpx2.AsyncClient(timeout=10) as http:
        http.headers["Authorization"] = f"Bearer {await machine.place.key('olga', 'operator')}"
        while True:
            await asyncio.sleep(chance.uniform(0.02, 0.2))
            with contextlib.suppress(httpx2.TransportError):
                jobs = (await http.get(f"{base}/jobs", params={"limit": 50})).json().get("data", [])
                if not jobs:
                    continue
                job = chance.choice(jobs)["id"]
                if chance.random() < 0.15:
                    await http.post(f"{base}/cases", json={"job": job, "reason": "they asked"})
                    continue
                verb, body = chance.choice(_BOTHER)
                answer = await http.post(f"{base}/jobs/{job}/{verb}", json=body)
                machine.bothered[f"{verb} {answer.status_code}"] += 1
