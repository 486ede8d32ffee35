"""A canary in everything a model, a tool or a colleague writes: each caller finds what the rule says, nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.release.kinds import Thing, canary_app
from tests.release.lives import Life, People, lead
from tests.release.probe import Known, ask, found_in, surfaces, verbs
from tests.release.rule import OUTPUT, STATES, STRANGERS, may_find
from tests.story.acts import verified

CALLERS = {
    "ana": ("ana", "submitter", "main"),
    "ana the reviewer": ("ana", "reviewer", "main"),
    "ana the admin": ("ana", "admin", "main"),
    "bob": ("bob", "submitter", "main"),
    "rita": ("rita", "reviewer", "main"),
    "sue": ("sue", "support", "main"),
    "sue with a reason": ("sue", "support", "main"),
    "olga": ("olga", "operator", "main"),
    "adam": ("adam", "admin", "main"),
    "eve": ("eve", "admin", "other"),
}


@pytest.fixture
async def logged(tmp_path: Path, simulator: Running) -> AsyncIterator[tuple[Place, list[str]]]:
    """A service with the canary types whose worker runs, and what it logs."""
    lines: list[str] = []
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=canary_app(tmp_path), log=lines.append)
    await service.start_worker()
    yield Place(service, simulator, chosen), lines
    await service.drain(grace=5)


async def credentials(place: Place) -> dict[str, dict[str, str]]:
    """The headers of everybody."""
    keys = {who: await place.key(*given) for who, given in CALLERS.items()}
    keys["robot"] = await service_key(place, "robot")
    return {**{who: {"Authorization": f"Bearer {key}"} for who, key in keys.items()}, "nobody": {}}


async def service_key(place: Place, name: str) -> str:
    """A key of a service that submitted nothing."""
    import secrets

    from backlane.service.make_key import make_key

    ports, randomness = place.service.ports, secrets.token_bytes(23)
    made = await place.service.store.write(
        lambda tx: make_key(
            tx, ports, randomness, role="submitter", workspace="main", name=name, service=True
        )
    )
    return made.key


async def known_of(place: Place, life: Life) -> Known:
    """Everything around a job, from the database."""
    job = life.job.id

    def body(tx: Any) -> Known:
        rows, reviews = tx.artifacts(job), tx.reviews_of([job])[job]
        ids = {
            "job_id": [job],
            "artifact_id": [row["id"] for row in rows],
            "review_id": [row["id"] for row in reviews],
            "action_id": [one.id for one in tx.actions(job)],
            "case_id": [tx.job(job).case_id],
            "key_id": ["key_nobodys"],
            "name": ["no-such-type"],
        }
        closed = [row for row in rows if row["kind"] != "reviewer_notes" and not row["edited_by"]]
        digests = {row["sha256"] for row in closed} | {
            row["payload_hash"].removeprefix("sha256:") for row in reviews
        }
        numbers = {row["bytes"] for row in closed if row["bytes"] > 600} | {71_234, 73_456}
        return Known(job, ids, digests, numbers)

    return await place.service.store.read(body)


async def found_by(app: Any, headers: dict[str, str], known: Known, reason: str) -> dict[str, set[str]]:
    """What one caller finds, and where."""
    found: dict[str, set[str]] = {}
    for method, path, more in surfaces(app, known):
        with_reason = f"{path}{'&' if '?' in path else '?'}reason={reason}" if reason else path
        answer = await ask(app, method, with_reason, {**headers, **more})
        assert answer.status < 500, (method, path, answer.text())
        for thing in found_in(answer, known):
            found.setdefault(thing, set()).add(f"{method} {path} {more or ''}")
    return found


async def as_if_not_there(app: Any, headers: dict[str, str], known: Known) -> list[str]:
    """The answers that tell a stranger that something exists: they differ from those about an id nobody made."""
    told: list[str] = []
    nowhere = Known("", {name: [f"{one[:-4]}0000" for one in ids[:1]] for name, ids in known.ids.items()})
    there = Known("", {name: ids[:1] for name, ids in known.ids.items()})
    for (_, path, more), (_, other, _) in zip(surfaces(app, there), surfaces(app, nowhere), strict=True):
        if path != other:
            one, two = [await ask(app, "GET", way, {**headers, **more}) for way in (path, other)]
            same = one.text() == two.text() and one.status in (401, 403, 404)
            told += [] if same else [f"{path} tells that it exists: {one.text()} / {two.text()}"]
    return told


async def said_by_verbs(app: Any, headers: dict[str, str], known: Known) -> dict[str, set[str]]:
    """What the answers of everything that changes something show, refusals included."""
    found: dict[str, set[str]] = {}
    for method, path, body in verbs(app, known):
        answer = await ask(app, method, path, {**headers, "Content-Type": "application/json"}, body)
        assert answer.status < 500, (method, path, body, answer.text())
        for thing in found_in(answer, known) - {"SIZE"}:
            found.setdefault(thing, set()).add(f"{method} {path} {body.decode()}")
    return found


async def probed(place: Place, life: Life, keys: dict[str, dict[str, str]]) -> list[str]:
    """Every way in which what is found differs from the rule."""
    app, known, wrong = place.app(), await known_of(place, life), list[str]()
    for who, headers in keys.items():
        if who in STRANGERS:
            wrong += await as_if_not_there(app, headers, known)
            continue
        found = await found_by(app, headers, known, "because" if who.endswith("reason") else "")
        allowed = {thing.name for thing in may_find(who, life.kind, life.state)}
        closed = not may_find(who, life.kind, life.state) & OUTPUT
        measures = set[str]() if closed else {"DIGEST", "SIZE"}
        at = f"{life.kind}/{life.state}: {who}"
        for thing in sorted(set(found) - allowed - measures):
            if thing == "DIGEST" and who == "ana the admin" and all("/audit" in one for one in found[thing]):
                continue  # the log that admins keep names by hash what was decided on
            wrong.append(f"{at} finds {thing} in {sorted(found[thing])}")
        wrong += [f"{at} does not find {thing}" for thing in sorted(allowed - set(found))]
    for who in ("ana the reviewer", "ana"):
        shown = await said_by_verbs(app, keys[who], known)
        allowed = {thing.name for thing in may_find(who, life.kind, life.state)}
        measures = {"DIGEST"} if may_find(who, life.kind, life.state) & OUTPUT else set[str]()
        wrong += [f"verbs show {who} {one}: {shown[one]}" for one in sorted(set(shown) - allowed - measures)]
    return wrong


@pytest.mark.parametrize("kind", list(STATES))
async def test_everybody_finds_what_the_rule_says_and_nothing_else(
    logged: tuple[Place, list[str]], kind: str
) -> None:
    place, lines = logged
    people, keys = People(place), await credentials(place)
    lives = [await lead(place, people, kind, state) for state in STATES[kind]]
    wrong = [one for life in lives for one in await probed(place, life, keys)]
    assert not wrong, "\n".join(wrong)
    written = "\n".join(lines)
    assert not [thing.name for thing in Thing if thing in written], written
    verified(place, world_log=None)
