"""The checker of policies can fail: each planted corruption of good evidence is found, under the right name."""

import copy
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from backlane import App, Request
from backlane.service.control import retry
from backlane.service.message import message
from backlane.simulator.server import Running
from backlane.verify.collect import collect
from backlane.verify.evidence import Evidence
from backlane.verify.invariants import check
from backlane.verify.invariants_policy import POLICY_INVARIANTS
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acting import approve, done, review_of, waits
from tests.story.action_types import World
from tests.story.acts import finished, script, seen, submitted
from tests.story.policed import credited
from tests.story.policy_types import policed_app
from tests.values import Note

Rows = dict[str, Any]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
async def policed(tmp_path: Path, simulator: Running, world: World) -> AsyncIterator[Place]:
    chosen = settings_for(tmp_path, simulator)
    app = policed_app(world)
    sampled(app)
    service = build(chosen, types=app, log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    await service.drain(grace=5)


def sampled(app: App) -> None:
    for name, rate in (("spared", 1e-12), ("looked-at", 1.0)):

        @app.job(name, authority="low_risk_write", sampled=rate)
        def written(inputs: Note) -> Request:
            return Request(model="gpt-6-luna", instructions="Digest.", input=inputs.text)


async def evidence_of(place: Place, world: World) -> Evidence:
    """One allowed action, one refused, an output its policy let out, draws both ways, and a sensitive retry."""
    ana = await place.caller()
    job = await credited(place, ana)
    script(place, {"text": "Done."})
    await seen(place, ana, job.id, done)
    await seen(place, ana, (await credited(place, ana, {"amount": "5000"})).id, done)
    script(place, {"text": json.dumps({"summary": "all is well", "themes": []})})
    await finished(place, ana, await submitted(place, ana, "policed-note"))
    spared = await submitted(place, ana, "spared")
    await finished(place, ana, spared)
    await finished(place, ana, (await message(place.service.ports, ana, spared.id, "More."))[0])
    await finished(place, ana, (await retry(place.service.ports, ana, spared.id))[0])
    drawn = await submitted(place, ana, "looked-at", sensitive=True)
    await approve(place, await review_of(place, await waits(place, ana, drawn, "sensitive")))
    await seen(place, ana, drawn.id, done)
    again, _ = await retry(place.service.ports, ana, drawn.id)
    await place.service.note_policies()
    await waits(place, ana, again, "sensitive")
    return collect(
        place.service.store.database, provider_log=list(place.simulator.world.log), world_log=world.log()
    )


def verdict(rows: Rows, over: str, answer: str) -> Rows:
    return next(row for row in rows["verdicts"] if (row["over"], row["answer"]) == (over, answer))


def job_of(rows: Rows, kind: str, *, again: bool = False) -> Rows:
    return next(row for row in rows["jobs"] if row["type"] == kind and (row["retry_of"] is not None) is again)


def draw_of(rows: Rows, kind: str, *, again: bool = False) -> Rows:
    return next(row for row in rows["draws"] if row["job_id"] == job_of(rows, kind, again=again)["id"])


def forget_verdict(rows: Rows) -> None:
    rows["verdicts"].remove(verdict(rows, "action", "allow"))


def allow_other_bytes(rows: Rows) -> None:
    verdict(rows, "action", "allow")["payload_hash"] = "sha256:other"


def another_policy(rows: Rows) -> None:
    verdict(rows, "action", "allow")["version"] = "pother"


def allow_too_late(rows: Rows) -> None:
    verdict(rows, "action", "allow")["at"] = rows["dispatches"][0]["at"] + 1


def refuse_after_all(rows: Rows) -> None:
    rows["verdicts"].append({**verdict(rows, "action", "allow"), "id": "pol_z", "answer": "refuse"})


def draw_the_actor(rows: Rows) -> None:
    job_of(rows, "credit")["gate"] = "sampled"


def draw_twice(rows: Rows) -> None:
    rows["draws"].append({**draw_of(rows, "spared"), "drawn": True})


def forget_draw(rows: Rows) -> None:
    rows["draws"].remove(draw_of(rows, "spared", again=True))


def draw_against_the_rate(rows: Rows) -> None:
    draw_of(rows, "spared", again=True)["drawn"] = True


def spare_the_drawn(rows: Rows) -> None:
    job_of(rows, "looked-at")["gate"] = "none"


def draw_anew(rows: Rows) -> None:
    draw_of(rows, "spared", again=True)["value"] = 0.5


def draw_of_another(rows: Rows) -> None:
    draw_of(rows, "spared", again=True)["drawn_for"] = job_of(rows, "looked-at")["id"]


def spare_its_retry(rows: Rows) -> None:
    draw_of(rows, "looked-at", again=True)["drawn"] = False


def keep_for_other_words(rows: Rows) -> None:
    spared, continued = draw_of(rows, "spared"), next(row for row in rows["jobs"] if row["continues"])
    mine = next(row for row in rows["draws"] if row["job_id"] == continued["id"])
    mine.update(value=spared["value"], drawn_for=spared["drawn_for"])


def draw_the_same_anew(rows: Rows) -> None:
    draw_of(rows, "spared", again=True)["drawn_for"] = job_of(rows, "spared", again=True)["id"]


def forget_that_it_was_drawn(rows: Rows) -> None:
    rows["draws"].remove(draw_of(rows, "looked-at", again=True))


def draw_later(rows: Rows) -> None:
    draw_of(rows, "spared")["at"] += 1


def release_the_refused(rows: Rows) -> None:
    verdict(rows, "output", "allow")["answer"] = "refuse"


def release_the_sensitive(rows: Rows) -> None:
    verdict(rows, "output", "allow")["sensitive"] = True


def release_another(rows: Rows) -> None:
    verdict(rows, "output", "allow")["artifact_id"] = "art_other"


def open_the_sensitive(rows: Rows) -> None:
    job_of(rows, "looked-at", again=True)["gate"] = "policy"


def loosen_its_retry(rows: Rows) -> None:
    job_of(rows, "looked-at", again=True)["gate"] = "sampled"


def forget_its_secret(rows: Rows) -> None:
    job_of(rows, "looked-at", again=True)["sensitive"] = None


def change_untold(rows: Rows) -> None:
    rows["policy_versions"][0]["version"] = "pother"


def skip_a_change(rows: Rows) -> None:
    line = next(row for row in rows["audit"] if row["action"] == "policy.changed")
    line["data"] = json.dumps({**json.loads(line["data"]), "from": "pother"})


PLANTED: list[tuple[Callable[[Rows], None], str]] = [
    (forget_verdict, "P1"), (allow_other_bytes, "P1"), (another_policy, "P1"), (allow_too_late, "P1"),
    (refuse_after_all, "P1"), (draw_the_actor, "P1"), (draw_twice, "P2"), (forget_draw, "P2"),
    (draw_against_the_rate, "P2"), (spare_the_drawn, "P2"), (draw_anew, "P2"), (draw_of_another, "P2"),
    (spare_its_retry, "P2"), (keep_for_other_words, "P2"), (draw_the_same_anew, "P2"),
    (forget_that_it_was_drawn, "P2"), (draw_later, "P2"), (release_the_refused, "P3"), (release_the_sensitive, "P3"),
    (release_another, "P3"), (open_the_sensitive, "P4"), (loosen_its_retry, "P4"), (forget_its_secret, "P4"),
    (change_untold, "P5"), (skip_a_change, "P5"),
]  # fmt: skip


async def test_each_planted_corruption_is_found(policed: Place, world: World) -> None:
    good = await evidence_of(policed, world)
    assert check(good).ok, check(good).lines()
    for plant, name in PLANTED:
        rows = {one.name: copy.deepcopy(getattr(good, one.name)) for one in fields(Evidence)}
        changed = {
            key: [dict(row) for row in value] if isinstance(value, list) else value
            for key, value in rows.items()
        }
        plant(changed)
        found = [what for invariant, what in check(replace(good, **changed)).violations if invariant == name]
        assert found, f"{plant.__name__} is not found by {name}"
    assert {name for _, name in PLANTED} == set(POLICY_INVARIANTS)
