"""Which policies were in force when: a service that starts with others says so in the audit log, once."""

import asyncio
import importlib
import json
import secrets
import sys
from pathlib import Path
from typing import Any

import pytest

from backlane.service.make_key import make_key
from backlane.simulator.server import Running
from backlane.verify.collect import collect
from backlane.verify.invariants import check
from backlane.wiring import Service, build
from tests.conftest import Place, settings_for
from tests.migrated import postgres_url
from tests.story.acting import review_of, waits
from tests.story.action_types import World
from tests.story.acts import seen, verified
from tests.story.asking import asking
from tests.story.policed import action_of, audited, credited, policed, redeployed, undo_delay_is_over, world
from tests.story.policy_types import policed_app, stricter_limits
from tests.values import small_app

__all__ = ["policed", "world"]  # fixtures

RULES = """
import shop_limits

from backlane import policy


def small(asked):
    return policy.amount(asked.arguments.amount, allow=shop_limits.most(asked.job.account))
"""
LIMITS = """
from types import SimpleNamespace

LIMITS = SimpleNamespace(most="100")


def most(account):
    return LIMITS.most
"""


def deployed(folder: Path, limits: str) -> Any:
    """The policy as it is loaded from these files."""
    for name, source in (("shop_rules", RULES), ("shop_limits", limits)):
        (folder / f"{name}.py").write_text(source)
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module("shop_rules").small


@pytest.mark.parametrize(
    ("old", "new"),
    [("return LIMITS.most", 'return "1" if account == "acme" else LIMITS.most'), ('"100"', '"1"')],
)
async def test_a_helper_module_that_changed_before_the_dispatch_voids_the_approval(
    policed: Place, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    policed = await redeployed(policed, policed_app(world, deployed(tmp_path, LIMITS)))
    ana = await policed.caller()
    job = await credited(policed, ana, type_name="credit-later")
    await seen(policed, ana, job.id, lambda view: view["actions"] and view["actions"][0]["approved_at"])
    allowed = await action_of(policed, job)
    policed = await redeployed(policed, policed_app(world, deployed(tmp_path, LIMITS.replace(old, new))))
    await undo_delay_is_over(policed, job, allowed)
    review = await review_of(policed, await waits(policed, ana, job))
    assert (world.calls, (await action_of(policed, job))["code"]) == ([], "policy_changed")
    assert review["policy"]["reason"] == "the amount is over 1"
    assert review["policy"]["version"] != allowed["policy"]["version"]
    verified(policed, world.log())
    await policed.service.drain(grace=5)


async def changes(place: Place, kind: str = "credit") -> list[dict[str, Any]]:
    """What the audit log says of this type's policies, oldest first."""
    lines = await audited(place, "policy.changed")
    assert {line["actor"] for line in lines} <= {"backlane"}
    return [json.loads(line["data"]) for line in lines if line["subject"] == kind]


async def test_a_service_that_starts_with_another_policy_says_so_once(policed: Place, world: World) -> None:
    await policed.caller()
    await policed.service.note_policies()
    [first] = await changes(policed)
    assert (first["type"], first["over"], first["from"]) == ("credit", "action", None)
    same = await redeployed(policed, policed_app(world))
    assert await changes(same) == [first]
    stricter = await redeployed(same, policed_app(world, stricter_limits))
    [_, second] = await changes(stricter)
    assert second["from"] == first["to"] != second["to"]
    async with asking(stricter, "root", "admin") as root:
        known = (await root.get("/job-types/credit")).json()["controls"]["policy"]["action"]["version"]
        lines = (await root.get("/audit?action=policy.changed&export=true&limit=200")).json()["data"]
    assert second["to"] == known
    assert second in [line["data"] for line in lines]
    verified(stricter, world.log())
    await stricter.service.drain(grace=5)


async def test_a_workspace_that_comes_later_has_its_own_lines_and_types_without_policies_none(
    policed: Place,
) -> None:
    await policed.caller()
    await policed.service.note_policies()
    async with asking(policed, "eve", "admin", "other") as eve:
        await policed.service.note_policies()
        lines = (await eve.get("/audit?action=policy.changed&limit=200")).json()["data"]
    assert {line["subject"] for line in lines} >= {"credit", "policed-note"}
    other = await redeployed(policed, small_app())
    before = len(await audited(other, "policy.changed"))
    await other.service.note_policies()
    assert len(await audited(other, "policy.changed")) == before
    await other.service.drain(grace=5)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_services_that_start_at_once_write_one_line_together(
    tmp_path: Path, simulator: Running, request: pytest.FixtureRequest, kind: str, world: World
) -> None:
    changes = dict[str, Any]()
    if kind == "postgresql":
        changes["database_url"] = postgres_url(request.getfixturevalue("postgres_server"))
    chosen = settings_for(tmp_path, simulator, **changes, secret=secrets.token_hex(16))

    def built(*rule: Any) -> Service:
        return build(chosen, types=policed_app(world, *rule), log=errors.append)

    errors = list[str]()
    services = [built() for _ in range(4)] + [built(stricter_limits) for _ in range(4)]
    ports = services[0].ports
    for place in ("main", "other"):
        await ports.store.write(
            lambda tx, place=place: make_key(
                tx, ports, secrets.token_bytes(23), role="admin", workspace=place, name="root"
            )
        )
    await asyncio.gather(*(one.note_policies() for one in services[:4]))
    await asyncio.gather(*(one.note_policies() for one in services[4:]))
    found = collect(services[0].store.database)
    told = [json.loads(row["data"]) for row in found.audit if row["action"] == "policy.changed"]
    assert len([one for one in told if (one["type"], one["from"]) == ("credit", None)]) == 2
    assert len([one for one in told if one["type"] == "credit"]) == 4
    assert check(found).ok, check(found).lines()
    assert errors == []
    for one in services:
        await one.drain(grace=1)
