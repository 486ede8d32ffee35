"""`backlane doctor --live`: a trial that spends little, says what it saw, and shows no secret and no id."""

import dataclasses
import json
import re
import socket
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backlane.cli.main import run
from backlane.provider.assumptions import ASSUMPTIONS, NOT_TRIED
from backlane.simulator.server import Running
from backlane.simulator.switches import SCENERY, Switches

KEY = "sk-canary-live-91c4"
# What a word of the report says in the simulator's own words.
PLAYED = {
    "poll_after_ms": {"no": None},
    "cancel_ended": {"400": "refuse", "200": "accept", "409": "conflict"},
    "delete_in_flight": {"400": False},
    "cancel_keeps_output": {"nothing": False},
    "usage_on_cancelled": {"no": False},
    "strict_store": {"accepted": False},
    "download_inputs": {"200": True},
    "first_number": {"0": 0},
    "beyond_the_end": {"200, empty": "empty"},
}


@pytest.fixture
def provider(simulator: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    """The simulator in the place of a real provider; long runs go on until they are stopped."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
    long = {"match": {"input_contains": "from 1 to 400"}, "then": {"running_seconds": 300}, "times": None}
    simulator.world.script(long)
    return simulator


def doctor(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        run(["doctor", "--live", *more])
    told = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, told.out, told.err


def seen(report: dict[str, Any]) -> dict[str, Any]:
    return {row["name"]: row["observed"] for row in report["assumptions"]}


def test_everything_is_as_assumed_of_the_simulator_as_it_comes(
    provider: Running, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, _ = doctor(capsys, "--max-cost", "0.50", "--json")
    report = json.loads(out)
    assert (code, report["ok"]) == (0, True)
    assert [step["outcome"] for step in report["steps"]] == ["ok"] * 7 + ["skipped"]
    assert {row["name"]: row["observed"] for row in report["assumptions"] if row["agrees"] is not True} == {
        "webhook_event": None,
        "webhook_signature": None,
    }
    assert 0 < Decimal(report["cost"]["spent_at_most"]) < Decimal("0.01")
    assert [row["why"] for row in report["not_tried"] if row["name"] == "batch"] == ["not available yet"]
    # Nothing is left behind, here or there.
    assert list(tmp_path.iterdir()) == []
    assert all(run.deleted for run in provider.world.runs.values())
    assert provider.world.stats()["duplicates"] == 0


def test_the_report_for_people_holds_no_key_no_id_and_no_organization(
    provider: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = doctor(capsys, "--max-cost", "0.50")
    assert code == 0
    assert "as assumed" in out and "DIFFERS" not in out and "not available yet" in out
    for text in (out, err):
        assert KEY not in text
        assert not re.search(r"(resp|file|org|proj|req|whe)[_-][A-Za-z0-9]{6,}", text), text


@pytest.mark.parametrize(
    ("switches", "name", "observed"),
    [
        ({"cancel_ended": "accept"}, "cancel_ended", "200"),
        ({"cancel_ended": "conflict"}, "cancel_ended", "409"),
        ({"delete_in_flight": True}, "delete_in_flight", "200"),
        ({"usage_on_cancelled": True}, "cancel_usage", "yes"),
        ({"strict_store": True}, "store_false", "400"),
        ({"poll_after_ms": 200}, "poll_after", "yes"),
        ({"first_number": 1}, "first_number", "1"),
        ({"beyond_the_end": "refuse"}, "beyond_the_end", "400"),
        ({"download_inputs": False}, "file_read_back", "400"),
    ],
)
def test_a_provider_that_plays_differently_is_said_to(
    provider: Running,
    capsys: pytest.CaptureFixture[str],
    switches: dict[str, Any],
    name: str,
    observed: str,
) -> None:
    provider.profile(**switches)
    code, out, _ = doctor(capsys, "--max-cost", "0.50", "--json")
    report = json.loads(out)
    assert seen(report)[name] == observed
    differ = {row["name"]: row["switch"] for row in report["assumptions"] if row["agrees"] is False}
    assert name in differ
    if differ[name]:
        assert differ[name] == next(iter(switches))
    assert code == 0, "Backlane works either way"


def test_it_stops_before_it_would_pass_the_limit(
    provider: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = doctor(capsys, "--max-cost", "0.0001", "--json")
    report = json.loads(out)
    outcomes = {step["step"]: step["outcome"] for step in report["steps"]}
    assert outcomes["create and look"] == "ok"
    assert outcomes["delete and cancel on the way"] == "skipped"
    assert Decimal(report["cost"]["spent_at_most"]) <= Decimal("0.0001")
    bought = [run.body["max_output_tokens"] for run in provider.world.runs.values()]
    assert bought and max(bought) < 100
    assert code == 0


@pytest.mark.parametrize("given", [[], ["--max-cost", "lots"], ["--max-cost", "-1"], ["--max-cost", "NaN"]])
def test_without_a_limit_nothing_is_sent(
    provider: Running, capsys: pytest.CaptureFixture[str], given: list[str]
) -> None:
    code, _, err = doctor(capsys, *given)
    assert (code, provider.world.log) == (2, [])
    assert "--max-cost" in err


def test_a_model_without_a_price_is_not_tried(provider: Running, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = doctor(capsys, "--max-cost", "0.50", "--model", "nobody-knows", "--json")
    failed = [step["note"] for step in json.loads(out)["steps"] if step["outcome"] == "failed"]
    assert code == 1
    assert failed and all("no price is known" in note for note in failed)
    assert provider.world.stats()["creates"] == 0


def test_a_key_that_is_refused_fails_every_step_and_is_not_shown(
    provider: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    provider.profile(account="revoked")
    code, out, err = doctor(capsys, "--max-cost", "0.50")
    assert code == 1
    assert "401 invalid_api_key" in out
    assert KEY not in out + err


def test_an_account_is_chosen_by_name(
    provider: Running, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(
        f'[accounts.eu]\nkey = "env:OPENAI_API_KEY"\nbase_url = "{provider.base_url}"\nsimulated = true\n'
    )
    monkeypatch.setenv("BACKLANE_ACCOUNTS_FILE", str(file))
    code, out, _ = doctor(capsys, "--max-cost", "0.50", "--account", "eu")
    assert code == 0
    assert "account eu (simulated)" in out
    code, _, err = doctor(capsys, "--max-cost", "0.50", "--account", "us")
    assert code == 2
    assert "known: default, eu" in err


def test_what_is_assumed_is_what_the_simulator_plays() -> None:
    defaults = dataclasses.asdict(Switches())
    for one in ASSUMPTIONS:
        if one.switch is not None:
            assert PLAYED[one.switch][one.assumed] == defaults[one.switch], one.name
    assert len({one.name for one in ASSUMPTIONS}) == len(ASSUMPTIONS)
    assert {one.name for one in NOT_TRIED}.isdisjoint({one.name for one in ASSUMPTIONS})


def test_what_is_only_hearsay_and_not_tried_is_named_with_its_reason() -> None:
    """Every switch that stands for something nobody could read up is named once: tried, or not tried and why."""
    switches = {one.name for one in dataclasses.fields(Switches)}
    assert switches >= SCENERY
    named = [one.switch for one in (*ASSUMPTIONS, *NOT_TRIED) if one.switch is not None]
    assert sorted(named) == sorted(switches - SCENERY)
    assert all(one.why for one in NOT_TRIED)
    unplayed = (
        "missing_model tier_downgrade container_billing webhook_order canceled_then_completed cancel_delay"
    )
    assert {one.name for one in NOT_TRIED} >= {*unplayed.split(), "retry_after_ms", "refused_calls_count"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def heard_at(port: int) -> list[str]:
    return ["--max-cost", "0.50", "--webhook-url", f"http://127.0.0.1:{port}/", "--json"]


def delivery(report: dict[str, Any]) -> dict[str, Any]:
    return next(step for step in report["steps"] if step["step"] == "webhook delivery")


def test_a_webhook_is_made_heard_and_taken_away_again(
    provider: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = doctor(capsys, *heard_at(free_port()))
    report = json.loads(out)
    assert (code, delivery(report)["outcome"]) == (0, "ok"), report
    assert seen(report)["webhook_event"] == "response.completed"
    assert [row["name"] for row in report["assumptions"] if row["agrees"] is not True] == []
    assert provider.world.webhooks.endpoints == {}
    assert "whsec_" not in out and "resp_" not in out


def test_a_webhook_that_is_forged_is_not_taken_for_one(
    provider: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backlane.provider.trial._PATIENCE", 3_000)
    provider.faults({"fault": "forge_webhook", "times": None})
    code, out, _ = doctor(capsys, *heard_at(free_port()))
    report = json.loads(out)
    assert (code, delivery(report)["outcome"]) == (1, "failed")
    assert "whose signature" in delivery(report)["note"]
    assert provider.world.webhooks.endpoints == {}


def test_a_webhook_that_is_lost_fails_the_step_and_leaves_no_endpoint(
    provider: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backlane.provider.trial._PATIENCE", 1_000)
    provider.faults({"fault": "lose_webhook", "times": None})
    code, out, _ = doctor(capsys, *heard_at(free_port()))
    assert (code, delivery(json.loads(out))["outcome"]) == (1, "failed")
    assert provider.world.webhooks.endpoints == {}


def test_an_address_in_the_open_or_a_port_in_use_is_refused_before_anything_is_bought(
    provider: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = doctor(capsys, "--max-cost", "0.50", "--webhook-url", "http://backlane.example.com/")
    assert (code, provider.world.log) == (2, [])
    assert "--webhook-url" in err and "https" in err
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, err = doctor(capsys, *heard_at(taken.getsockname()[1]))
    assert (code, provider.world.log) == (2, [])
    assert "--webhook-port" in err
