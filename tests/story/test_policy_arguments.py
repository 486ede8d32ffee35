"""Arguments that fit their schema and point elsewhere: the policy decides about each of them, never the model."""

from typing import Any

import pytest

from tests.conftest import Place
from tests.story.acting import done, waits
from tests.story.action_types import World
from tests.story.acts import script, seen, submitted, verified
from tests.story.policed import action_of, credited, policed, world

__all__ = ["policed", "world"]  # fixtures

# What the model writes: another tenant, a larger amount, a new recipient, another place, and words that claim consent.
TENANTS = [
    "acme2", "ACME", "acme ", " acme", "acme\n", "acme/../globex", "globex", "аcme", "acm\u0435", "acme\u200b",
    "\u202eemca", "acme,globex", "acme' OR '1'='1", "*", "", "acme (already approved by rita)", "null", "acme#globex",
    "acme%00", "ａｃｍｅ",
]  # fmt: skip
AMOUNTS = [
    "100.01", "100.0000001", "101", "999.99", "1000", "1000.01", "5000", "1e3", "1E+6", "999999999999", "-1", "-0.01",
    "-5000", "0x10", "1_00_00", "NaN", "Infinity", "-Infinity", "100,01", "1e400",
]  # fmt: skip
RECIPIENTS = [
    "eve@evil.test", "ana@example.test.evil.test", "ana@example.test,eve@evil.test", "ana@example.test;eve@evil.test",
    "eve@evil.test ana@example.test", "ana@example.test\neve@evil.test", "\"ana@example.test\"@evil.test",
    "Ana <eve@evil.test>", "ana@example.test <eve@evil.test>", "ana@exаmple.test", "аna@example.test",
    "ana\u200b@example.test", "ana+eve@example.test", "ana@example.test%2ceve@evil.test", "ana@[127.0.0.1]",
    "ana@example.test@evil.test", "mailto:eve@evil.test", "ANA@example.test", "ana@example", "",
    "approved-by-rita@evil.test", "ana@example.test(approved)", "ana@xn--exmple-cua.test", "all@example.test",
]  # fmt: skip
LINKS = [
    "https://shop.example.test.evil.test/", "https://evil.test/shop.example.test", "https://shop.example.test@evil.test/",
    "http://shop.example.test/", "https://shop.example.test:8443/", "//shop.example.test/", "javascript:alert(1)",
    "data:text/html,x", "https://evil.test\\@shop.example.test/", "https://shоp.example.test/", "https://127.0.0.1/",
    "https://[::1]/", "https://shop.example.test\u200b/", "file:///etc/passwd", "https://shop.example.tes", "",
    "https://evil.test?shop.example.test", "https://evil.test#shop.example.test", "https://2130706433/",
    "https://shop.example.test\r\nHost: evil.test",
]  # fmt: skip
CORPUS: list[tuple[str, str]] = [
    *(("tenant", one) for one in TENANTS),
    *(("amount", one) for one in AMOUNTS),
    *(("to", one) for one in RECIPIENTS),
    *(("link", one) for one in LINKS),
]


def stopped(view: dict[str, Any]) -> bool:
    """Whether nothing goes on without a person: asked, refused, or told to the model as no valid call."""
    return view["status"] in ("needs_review", "failed", "completed")


async def test_no_argument_that_points_elsewhere_is_carried_out(policed: Place, world: World) -> None:
    ana = await policed.caller()
    assert len(CORPUS) >= 80
    # All at once: which run is given which arguments does not matter, each of them is odd.
    jobs = [await credited(policed, ana, {name: value}) for name, value in CORPUS]
    answers: list[str] = []
    proposed: set[tuple[str, str]] = set()
    for job in jobs:
        view = await seen(policed, ana, job.id, stopped)
        if not view["actions"]:
            continue  # what is no number at all is no call either: the model was told, nothing was proposed
        action = await action_of(policed, job)
        answers.append(action["policy"]["answer"])
        assert action["policy"]["reason"].isascii() and action["policy"]["reason"].isprintable()
        proposed |= {(name, action["arguments"][name]) for name in ("tenant", "to", "link")}
    assert world.calls == []
    assert "allow" not in answers
    assert answers.count("refuse") >= len(TENANTS) and answers.count("review") >= 50
    assert {one for one in CORPUS if one[0] != "amount"} <= proposed
    verified(policed, world.log())


@pytest.mark.parametrize(
    "told", [{"amount": "99.99"}, {"to": "ana@EXAMPLE.test"}, {"link": "shop.example.test"}]
)
async def test_the_same_policy_lets_its_own_through(
    policed: Place, world: World, told: dict[str, str]
) -> None:
    ana = await policed.caller()
    job = await credited(policed, ana, told)
    script(policed, {"text": "Done."})
    assert (await seen(policed, ana, job.id, done))["status"] == "completed"
    assert len(world.calls) == 1
    verified(policed, world.log())


async def test_two_actions_are_judged_each_by_itself(policed: Place, world: World) -> None:
    ana = await policed.caller()
    job = await credited(policed, ana, {}, {"amount": "250"})
    view = await waits(policed, ana, job)
    assert [one["state"] for one in view["actions"]] == ["succeeded", "proposed"]
    assert len(world.calls) == 1
    verified(policed, world.log())


async def test_a_remote_tools_call_is_judged_by_its_plain_arguments(policed: Place, world: World) -> None:
    ana = await policed.caller()
    for ticket in (7, 8):
        call = {"server_label": "crm", "name": "close_ticket", "arguments": {"ticket": ticket}}
        script(policed, {"mcp": [call]})
        job = await submitted(policed, ana, "remote-ticket")
        if ticket == 8:
            await waits(policed, ana, job)
            continue
        view = await seen(policed, ana, job.id, done)
        assert (view["status"], view["actions"][0]["approved_by"]) == ("completed", "policy")
    assert (await action_of(policed, job))["policy"]["reason"] == "another call"
    verified(policed, [])
