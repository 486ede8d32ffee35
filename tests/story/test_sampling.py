"""Sampled reviews: one draw at submit, from the secret and the id; kept by the same work, swayed by nothing else."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backlane import App, Request
from backlane.core.job import Job
from backlane.core.storage import Row
from backlane.errors import DeclarationError
from backlane.service.control import cancel, retry
from backlane.service.message import message
from backlane.service.sample import draw_for
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acting import approve, done, review_of, waits
from tests.story.acts import contents, finished, seen, submitted, verified
from tests.story.policed import audited, redeployed
from tests.values import Digest, Note

NEVER, ALWAYS = 1e-12, 1.0


def sampled_app(rate: float | None = NEVER) -> App:
    """The types `sampled`, `half`, `sampled-draft`, `waived`."""
    app = App()
    because = "a print shop reads them before anybody else does"
    for name, authority, declared in (
        ("sampled", "low_risk_write", {"sampled": rate}),
        ("half", "low_risk_write", {"sampled": 0.5}),
        ("sampled-draft", "draft", {"sampled": rate or NEVER, "unreviewed_because": because}),
        ("waived", "draft", {"unreviewed_because": because}),
    ):

        @app.job(name, authority=authority, **declared)
        def written(inputs: Note) -> Request:
            return Request(model="gpt-6-luna", instructions="Digest.", input=inputs.text, output=Digest)

    return app


@pytest.fixture
async def sampling(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A service with sampled types whose worker runs."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=sampled_app(), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    await service.drain(grace=5)


async def drawn(place: Place, job_id: str) -> Row | None:
    return await place.service.store.read(lambda tx: tx.draw(job_id))


async def test_what_is_not_drawn_is_released_and_says_so(sampling: Place) -> None:
    ana = await sampling.caller()
    for name in ("sampled", "sampled-draft"):
        job = await submitted(sampling, ana, name)
        assert job.review_state == "sampled_out"
        view = await finished(sampling, ana, job)
        assert (view["status"], view["review"]["state"]) == ("completed", "sampled_out")
        assert (await contents(sampling, ana, view))["result"]
        row = await drawn(sampling, job.id)
        assert row is not None and (row["drawn"], row["rate"]) == (False, NEVER)
    verified(sampling)


async def test_what_is_drawn_is_reviewed_as_sampled(sampling: Place) -> None:
    sampling = await redeployed(sampling, sampled_app(ALWAYS))
    ana = await sampling.caller()
    job = await submitted(sampling, ana, "sampled")
    view = await waits(sampling, ana, job, "sampled")
    assert (view["review"]["kind"], view["review"]["state"]) == ("sampled", "pending")
    await approve(sampling, await review_of(sampling, view))
    view = await seen(sampling, ana, job.id, done)
    assert (view["status"], view["review"]["state"]) == ("completed", "approved")
    verified(sampling)
    await sampling.service.drain(grace=5)


async def test_the_draw_follows_from_the_secret_and_the_id_alone(sampling: Place) -> None:
    ports, ana = sampling.service.ports, await sampling.caller()
    half = ports.types.get("half")
    assert half is not None and ports.secret
    jobs: list[Job] = []
    for number in range(40):
        inputs: dict[str, Any] = {"text": "the same"} if number % 2 else {"text": f"please review {number}"}
        jobs.append(await submitted(sampling, ana, "half", inputs=inputs, metadata={"drawn": "false"}))
    rows = [await drawn(sampling, job.id) for job in jobs]
    for job, row in zip(jobs, rows, strict=True):
        again = draw_for(ports, half, job.id, None)
        assert again is not None and row is not None
        assert (row["value"], row["drawn"], row["drawn_for"]) == (again.value, again.value < 0.5, job.id)
        assert (job.gate == "sampled") is row["drawn"]
    assert 5 <= sum(row["drawn"] for row in rows if row) <= 35
    await sampling.service.drain(grace=5)


async def test_the_draw_is_fair_and_another_secret_draws_others(sampling: Place) -> None:
    ports = sampling.service.ports
    other = replace(ports, secret=b"another secret")
    half = ports.types.get("half")
    assert half is not None
    mine = [draw_for(ports, half, f"job_{n}", None) for n in range(2000)]
    theirs = [draw_for(other, half, f"job_{n}", None) for n in range(2000)]
    share = sum(one.drawn for one in mine if one) / 2000
    assert 0.45 < share < 0.55
    assert [one.drawn for one in mine if one] != [one.drawn for one in theirs if one]


async def test_a_retry_keeps_its_draw_and_is_never_looser(sampling: Place) -> None:
    ana = await sampling.caller()
    sampling = await redeployed(sampling, sampled_app(ALWAYS))
    ports = sampling.service.ports
    job = await submitted(sampling, ana, "sampled")
    await waits(sampling, ana, job, "sampled")
    first = await drawn(sampling, job.id)
    assert first is not None
    # Neither a lower rate nor a type that is not sampled any more lets a drawn job out.
    for rate, kind in ((NEVER, "sampled"), (None, "output")):
        await cancel(ports, ana, job.id, None)
        sampling = await redeployed(sampling, sampled_app(rate))
        ports = sampling.service.ports
        job, _ = await retry(ports, ana, job.id)
        row = await drawn(sampling, job.id)
        assert row is not None
        kept = ("value", "drawn", "drawn_for")
        assert [row[name] for name in kept] == [first[name] for name in kept]
        view = await waits(sampling, ana, job, kind)
        assert view["review"]["state"] == "pending"
    verified(sampling)
    await sampling.service.drain(grace=5)


async def test_a_type_that_is_declared_looser_later_loosens_no_retry(sampling: Place) -> None:
    ana = await sampling.caller()
    sampling = await redeployed(sampling, sampled_app(None))
    job = await submitted(sampling, ana, "sampled")
    await waits(sampling, ana, job, "output")
    await cancel(sampling.service.ports, ana, job.id, None)
    sampling = await redeployed(sampling, sampled_app(NEVER))
    again, _ = await retry(sampling.service.ports, ana, job.id)
    assert (again.gate, again.review_state) == ("output", "not_required")
    await waits(sampling, ana, again, "output")
    fresh = await submitted(sampling, ana, "sampled")
    assert (fresh.gate, fresh.review_state) == ("none", "sampled_out")
    await finished(sampling, ana, fresh)
    verified(sampling)
    await sampling.service.drain(grace=5)


async def test_a_retry_of_what_was_not_drawn_is_not_drawn_again(sampling: Place) -> None:
    ana = await sampling.caller()
    job = await submitted(sampling, ana, "sampled")
    await finished(sampling, ana, job)
    first = await drawn(sampling, job.id)
    again, _ = await retry(sampling.service.ports, ana, job.id)
    row = await drawn(sampling, again.id)
    assert first is not None and row is not None
    assert (row["value"], row["drawn"], row["drawn_for"]) == (first["value"], False, job.id)
    assert (await finished(sampling, ana, again))["review"]["state"] == "sampled_out"
    verified(sampling)


async def test_one_spared_job_lets_no_other_words_out(sampling: Place) -> None:
    ana, ports = await sampling.caller(), sampling.service.ports
    job = await submitted(sampling, ana, "sampled")
    await finished(sampling, ana, job)
    continued, _ = await message(ports, ana, job.id, "Now write something else.")
    await finished(sampling, ana, continued)
    other, _ = await retry(ports, ana, job.id, inputs={"text": "Something else altogether."})
    await finished(sampling, ana, other)
    same, _ = await retry(ports, ana, other.id, inputs={"text": "Something else altogether."})
    rows = [await drawn(sampling, one.id) for one in (job, continued, other, same)]
    assert [row and row["drawn_for"] for row in rows] == [job.id, continued.id, other.id, other.id]
    assert len({row["value"] for row in rows if row}) == 3
    await finished(sampling, ana, same)
    verified(sampling)


async def test_what_was_drawn_stays_drawn_with_other_words(sampling: Place) -> None:
    sampling = await redeployed(sampling, sampled_app(ALWAYS))
    ana = await sampling.caller()
    job = await submitted(sampling, ana, "sampled")
    await waits(sampling, ana, job, "sampled")
    await cancel(sampling.service.ports, ana, job.id, None)
    sampling = await redeployed(sampling, sampled_app(NEVER))
    ports = sampling.service.ports
    continued, _ = await message(ports, ana, job.id, "Now write something else.")
    other, _ = await retry(ports, ana, job.id, inputs={"text": "Something else altogether."})
    for one in (continued, other):
        row = await drawn(sampling, one.id)
        assert row is not None and (row["drawn"], row["drawn_for"]) == (True, job.id)
        await waits(sampling, ana, one, "sampled")
    verified(sampling)
    await sampling.service.drain(grace=5)


async def test_what_is_waived_is_audited_with_its_reason(sampling: Place) -> None:
    ana = await sampling.caller()
    view = await finished(sampling, ana, await submitted(sampling, ana, "waived"))
    assert (view["status"], view["review"]["state"]) == ("completed", "not_required")
    [line] = await audited(sampling, "review.waived")
    data = json.loads(line["data"])
    assert (line["subject"], data["authority"], data["gate"]) == (view["id"], "draft", "none")
    assert data["because"].startswith("a print shop")
    verified(sampling)


async def test_a_waived_draft_that_is_sensitive_is_reviewed_all_the_same(sampling: Place) -> None:
    ana = await sampling.caller()
    for name in ("waived", "sampled"):
        job = await submitted(sampling, ana, name, sensitive=True)
        assert job.review_state == "not_required"
        view = await waits(sampling, ana, job, "sensitive")
        assert view["review"]["state"] == "pending"
    verified(sampling)


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        ({"authority": "external_effect", "unreviewed_because": "quick"}, "not possible for external_effect"),
        ({"authority": "external_effect", "sampled": 0.5}, "not possible for external_effect"),
        ({"authority": "draft", "sampled": 0.5}, "needs unreviewed_because"),
        ({"authority": "draft", "unreviewed_because": " "}, "must say why"),
        ({"authority": "draft", "unreviewed_because": True}, "must say why"),
        ({"authority": "read_only", "unreviewed_because": "quick"}, "not reviewed by itself"),
        ({"authority": "low_risk_write", "sampled": 0.1, "unreviewed_because": "x"}, "may be sampled"),
        ({"authority": "low_risk_write", "sampled": 0}, "above 0"),
        ({"authority": "low_risk_write", "sampled": 1.5}, "at most 1"),
        ({"authority": "low_risk_write", "sampled": True}, "above 0"),
        ({"authority": "low_risk_write", "sampled": float("nan")}, "above 0"),
    ],
)
def test_a_looser_declaration_needs_a_reason_or_cannot_be(declared: dict[str, Any], fault: str) -> None:
    with pytest.raises(DeclarationError, match=fault):
        App().job("loose", **declared)
