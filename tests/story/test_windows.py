"""Completion windows: cheaper runs that may take hours, bought as asked, looked at rarely, honest when late."""

from dataclasses import replace
from typing import Any

import httpx2
import pytest

from backlane import App, Request
from backlane.core.schedule import HOUR, MINUTE
from backlane.errors import DeclarationError, NotAvailable
from backlane.service.control import retry
from backlane.service.message import message
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import finished, script, seen, submitted, verified
from tests.values import Note, a_request

# Runs that do not take their window.
QUICK: dict[str, Any] = {"queued_seconds": 0.01, "running_seconds": 0.05}


def windowed_app() -> App:
    app = App()

    @app.job("digest", authority="read_only", lanes=["background", "batch"])
    def digest(inputs: Note) -> Request:
        return a_request(inputs)

    @app.job("by-type", authority="read_only", window="2h", continuation="type")
    def by_type(inputs: Note) -> Request:
        return a_request(inputs)

    @app.job("by-account", authority="read_only", window="8h", continuation="account")
    def by_account(inputs: Note) -> Request:
        return a_request(inputs)

    @app.job("hourly", authority="read_only", useful_for="1h")
    def hourly(inputs: Note) -> Request:
        return a_request(inputs)

    @app.job("flexible", authority="read_only")
    def flexible(inputs: Note) -> Request:
        return Request(model="gpt-6-luna", input=inputs.text, service_tier="flex")

    @app.job("live", authority="read_only", live=True)
    def live(inputs: Note) -> Request:
        return a_request(inputs)

    return app


@pytest.fixture
async def windows(tmp_path: Any, simulator: Running) -> Any:
    """A service that runs, with types that have windows."""
    settings = settings_for(tmp_path, simulator)
    service = build(settings, types=windowed_app(), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, settings)
    await service.drain(grace=5)


def bodies(place: Place) -> list[dict[str, Any]]:
    """What the provider's runs were bought with."""
    return [dict(run.body) for run in place.simulator.world.runs.values()]


async def test_a_window_is_bought_as_asked_and_costs_less(windows: Place) -> None:
    ana = await windows.caller()
    usage = {
        "input_tokens": 10_000, "output_tokens": 1_000, "total_tokens": 11_000,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip
    script(windows, {**QUICK, "usage": usage}, times=None)
    costs: dict[str, float] = {}
    for window in ("soonest", "2h", "8h"):
        view = await finished(windows, ana, await submitted(windows, ana, window=window))
        assert (view["status"], view["window"], view["attempts"][0]["window"]) == (
            "completed",
            window,
            window,
        )
        costs[window] = float(view["cost"]["settled"])
        assert (window in view["cost"]["basis"]) is (window != "soonest")
    assert costs["2h"] == pytest.approx(0.70 * costs["soonest"])
    assert costs["8h"] == pytest.approx(0.60 * costs["soonest"])
    told = [body.get("background_options") for body in bodies(windows)]
    assert told == [None, {"completion_window": "2h"}, {"completion_window": "8h"}]
    assert all(body["background"] is True and not body.get("stream") for body in bodies(windows))
    verified(windows)


async def test_related_runs_share_an_opaque_continuation(windows: Place) -> None:
    ana = await windows.caller()
    script(windows, QUICK, times=None)
    for type_name, account in (
        ("by-type", "acme"), ("by-type", "zeta"), ("by-account", "acme"), ("by-account", "acme"),
        ("by-account", "zeta"), ("by-account", None),
    ):  # fmt: skip
        await finished(windows, ana, await submitted(windows, ana, type_name, account=account))
    words = [body["background_options"].get("continuation_id") for body in bodies(windows)]
    assert words[0] == words[1] and words[2] == words[3]
    assert len({words[0], words[2], words[4]}) == 3
    assert words[5] is None
    assert not any(name in str(words) for name in ("by-type", "by-account", "acme", "zeta"))


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("digest", {"lane": "batch"}, "window 2h is of the background lane"),
    ("flexible", {}, "window 2h needs standard processing, the type asks for service tier flex"),
    ("live", {}, "window 2h cannot be streamed live"),
    ("digest", {"useful": HOUR}, "window 2h ends after the job's useful window"),
    ("digest", {"useful": 3 * HOUR, "not_before": 2 * HOUR}, "window 2h ends after the job's useful window"),
    ("digest", {"deadline": HOUR}, "window 2h ends after the job's deadline"),
]


@pytest.mark.parametrize(("type_name", "given", "reason"), REFUSED)
async def test_a_window_that_cannot_be_is_refused_with_the_reason(
    windows: Place, type_name: str, given: dict[str, Any], reason: str
) -> None:
    ana, now = await windows.caller(), windows.service.ports.clock.now()
    names = {"useful": "useful_until"}
    more = {
        names.get(name, name): now + value if isinstance(value, int) else value
        for name, value in given.items()
    }
    with pytest.raises(NotAvailable) as raised:
        await submitted(windows, ana, type_name, window="2h", **more)
    rows = {row["lane"]: row for row in raised.value.extra["lane_reasons"]}
    told = rows[more.get("lane", "background")]
    assert (told["verdict"], told["reason"]) == ("no", reason)
    assert reason in raised.value.detail
    assert windows.simulator.world.stats()["creates"] == 0


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"window": "3h"}, "window must be one of soonest, 2h, 8h"),
        ({"window": "2h", "live": True}, "cannot be streamed live"),
        ({"window": "2h", "lanes": ["batch"]}, "needs the background lane"),
        ({"window": "8h", "useful_for": "4h"}, "useful_for is shorter than window 8h"),
        ({"window": "2h", "continuation": "user"}, "continuation must be one of type, account"),
    ],
)
def test_a_declaration_that_no_job_could_follow_is_refused(options: dict[str, Any], fault: str) -> None:
    app = App()
    with pytest.raises(DeclarationError, match=fault):

        @app.job("wrong", authority="read_only", **options)
        def wrong(inputs: Note) -> Request:
            return a_request(inputs)


async def test_a_late_run_says_that_its_target_has_passed_and_is_not_failed_for_it(windows: Place) -> None:
    ana = await windows.caller()
    script(windows, {"queued_seconds": 0, "running_seconds": 4 * 3600})
    job = await submitted(windows, ana, window="2h")
    view = await seen(windows, ana, job.id, lambda view: view["status"] == "running")
    assert view["timing"]["window_target"] in view["waiting_on"]
    assert view["timing"]["past_window"] is False
    accepted = await _accepted_earlier(windows, job.id, 3 * HOUR)
    view = await read_job(windows.service.ports, ana, job.id)
    assert "has passed; the run goes on" in view["waiting_on"]
    assert view["progress"]["text"] == view["outcome"]["headline"]
    assert view["progress"]["text"].endswith("later than its 2h window")
    assert view["timing"]["past_window"] is True
    windows.simulator.advance(5 * 3600)
    await _look_now(windows, job.id)
    view = await finished(windows, ana, job)
    assert (view["status"], view["failure"], view["timing"]["past_window"]) == ("completed", None, True)
    assert float(view["cost"]["settled"]) > 0 and "window 2h" in view["cost"]["basis"]
    assert accepted < windows.service.ports.clock.now() - 2 * HOUR


async def _accepted_earlier(place: Place, job_id: str, by: int) -> int:
    """As if the run had been accepted so much earlier."""
    attempt = (await place.service.store.read(lambda tx: tx.attempts(job_id)))[0]
    assert attempt.accepted_at is not None
    earlier = attempt.accepted_at - by
    await place.service.store.write(lambda tx: tx.move_attempt(attempt.id, ["accepted"], accepted_at=earlier))
    return earlier


async def _look_now(place: Place, job_id: str) -> None:
    now = place.service.ports.clock.now()
    attempt = (await place.service.store.read(lambda tx: tx.attempts(job_id)))[0]
    await place.service.store.write(lambda tx: tx.move_attempt(attempt.id, ["accepted"], look_at=now))
    job = await place.service.store.read(lambda tx: tx.job(job_id))
    assert job is not None
    await place.service.store.write(lambda tx: tx.save(job, replace(job, due_at=now), []))
    place.service.ports.notify()


async def test_looks_at_a_window_are_far_apart(windows: Place) -> None:
    ana = await windows.caller()
    script(windows, {"queued_seconds": 0, "running_seconds": 3600})
    job = await submitted(windows, ana, window="8h")
    await seen(windows, ana, job.id, lambda view: view["status"] == "running")
    await _accepted_earlier(windows, job.id, 30 * MINUTE)
    looks = (await windows.service.store.read(lambda tx: tx.attempts(job.id)))[0].looks
    await _look_now(windows, job.id)
    for _ in range(1500):
        row = (await windows.service.store.read(lambda tx: tx.attempts(job.id)))[0]
        if row.looks > looks + 1 or (
            row.looks > looks and (row.look_at or 0) - (row.looked_at or 0) > MINUTE
        ):
            break
        await windows.service.ports.clock.sleep(10)
    assert row.look_at is not None and row.looked_at is not None
    assert 4 * MINUTE < row.look_at - row.looked_at <= 5 * MINUTE


async def test_runs_of_a_window_teach_nothing_about_the_others(windows: Place) -> None:
    ana = await windows.caller()
    script(windows, QUICK, times=None)
    for window in ("soonest", "2h"):
        for _ in range(10):
            await finished(windows, ana, await submitted(windows, ana, window=window))
    rows = await windows.service.store.read(lambda tx: tx.lane_durations(ana.workspace))
    assert sorted((row["lane"], len(row["sample"])) for row in rows) == [
        ("background", 10),
        ("background/2h", 10),
    ]
    headers = {"Authorization": f"Bearer {await windows.key('olga', 'operator')}"}
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=windows.app()), base_url="http://x", headers=headers
    ) as http:
        lanes = (await http.get("/v1/lanes")).json()["data"]
    lane = next(one for one in lanes if one["lane"] == "background")
    assert lane["windows"] == ["soonest", "2h", "8h"]
    assert sorted(one["window"] for one in lane["durations"]) == ["2h", "soonest"]
    assert all(one["enough"] and one["p50_seconds"] is not None for one in lane["durations"])


@pytest.mark.parametrize(("type_name", "window"), [("hourly", "soonest"), ("digest", "8h")])
async def test_a_job_goes_on_in_its_window_or_soonest_where_its_own_time_is_too_short(
    windows: Place, type_name: str, window: str
) -> None:
    ana = await windows.caller()
    until = windows.service.ports.clock.now() + 24 * HOUR
    script(windows, QUICK, times=2)
    job = await submitted(windows, ana, type_name, window="8h", useful_until=until)
    old = await finished(windows, ana, job)
    new, _ = await message(windows.service.ports, ana, job.id, "Shorter, please.")
    view = await finished(windows, ana, new)
    assert (old["window"], view["window"]) == ("8h", window)
    assert (view["status"], view["continues"]) == ("completed", job.id)
    script(windows, QUICK)
    again, _ = await retry(windows.service.ports, ana, job.id)
    assert (again.window, again.retry_of) == (window, job.id)
    await finished(windows, ana, again)
    verified(windows)
