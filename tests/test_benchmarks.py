"""The benchmark harness counts and takes turns as it says; no test here looks at a clock."""

import os

import pytest
from benchmarks.harness import Aim, interleave, quantile, spread, summary, turns
from benchmarks.processes import usage


def test_turns_alternate_their_order() -> None:
    assert turns(["a", "b"], 3) == ["a", "b", "b", "a", "a", "b"]


def test_contenders_are_interleaved_and_every_sample_is_kept() -> None:
    ran: list[str] = []

    def contender(name: str) -> dict[str, float]:
        ran.append(name)
        return {"place": float(len(ran))}

    samples = interleave({"a": lambda: contender("a"), "b": lambda: contender("b")}, 2, lambda line: None)
    assert ran == ["a", "b", "b", "a"]
    assert samples == {"a": [{"place": 1.0}, {"place": 4.0}], "b": [{"place": 2.0}, {"place": 3.0}]}
    assert summary(samples["a"]) == {"place": 2.5, "place_least": 1.0, "place_most": 4.0}


def test_spread_and_quantile() -> None:
    found = spread([3.0, 1.0, 2.0])
    assert (found.median, found.least, found.most, found.count) == (2.0, 1.0, 3.0, 3)
    assert quantile([float(n) for n in range(100)], 0.95) == 95.0
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])


def test_an_aim_knows_its_side() -> None:
    assert Aim("share", 0.6, 0.5, at_least=True).met
    assert not Aim("delay", 1.2, 1.0).met


def test_usage_of_this_process_is_read() -> None:
    found = usage(os.getpid())
    assert found.cpu_seconds > 0
    assert found.rss_mib > 1
