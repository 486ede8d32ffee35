"""An end user with a token finds what the requester finds of their own jobs, and nothing of anybody else's."""

import secrets
from pathlib import Path
from typing import Any

import pytest

from backlane.core.token import Grant, write_token
from backlane.service.access import authenticate
from backlane.service.make_key import make_key
from backlane.simulator.server import Running
from tests.conftest import Place
from tests.release.lives import People, lead
from tests.release.rule import OUTPUT, may_find
from tests.release.test_canaries import as_if_not_there, found_by, known_of, logged, said_by_verbs

__all__ = ["logged"]  # a fixture
OTHERS = ("another user", "another service", "another job", "expired", "forged", "revoked")


async def minted(place: Place, job: str, service: str, **changes: Any) -> str:
    """A token as the service mints it, or one that is wrong in some way."""
    ports = place.service.ports
    now = ports.clock.now()
    made = await place.service.store.write(
        lambda tx: make_key(
            tx,
            ports,
            secrets.token_bytes(23),
            role="submitter",
            workspace="main",
            name=service,
            service=True,
        )
    )
    if changes.pop("revoked", False):
        await place.service.store.write(lambda tx: tx.revoke_key(made.id, now))
    secret = changes.pop("secret", ports.secret)
    values = {"key_id": made.id, "service": service, "user": "una", "jobs": frozenset({job}), **changes}
    return write_token(secret, Grant(**{"expires_at": now + 60_000, **values}))


@pytest.mark.parametrize(
    "state", ["pending", "sent back", "approved", "edited", "rejected", "canceled", "failed"]
)
async def test_a_token_opens_its_users_jobs_as_far_as_they_are_released(
    logged: tuple[Place, list[str]], tmp_path: Path, simulator: Running, state: str
) -> None:
    place, _ = logged
    people, ports = People(place), place.service.ports
    made = await place.service.store.write(
        lambda tx: make_key(
            tx, ports, b"s" * 23, role="submitter", workspace="main", name="portal", service=True
        )
    )
    portal = await authenticate(ports, f"Bearer {made.key}")
    life = await lead(place, people, "draft", state, by=portal, user="una")
    known, app, job = await known_of(place, life), place.app(), life.job.id
    allowed = {thing.name for thing in may_find("ana", "draft", state)}
    measures = {"DIGEST", "SIZE"} if may_find("ana", "draft", state) & OUTPUT else set[str]()
    for token in (await minted(place, job, "portal"), await minted(place, job, "portal", jobs=None)):
        headers = {"Authorization": f"Bearer {token}"}
        found = await found_by(app, headers, known, "")
        assert set(found) - measures == allowed, (found, allowed)
        shown = await said_by_verbs(app, headers, known) if state != "pending" else {}
        assert set(shown) - {"DIGEST"} <= allowed, shown
    wrong = {
        "another user": await minted(place, job, "portal", user="ulf", jobs=None),
        "another service": await minted(place, job, "robot", jobs=None),
        "another job": await minted(place, job, "portal", jobs=frozenset({"job_0"})),
        "expired": await minted(place, job, "portal", expires_at=1),
        "forged": await minted(place, job, "portal", secret=b"guessed"),
        "revoked": await minted(place, job, "portal", revoked=True),
    }
    assert tuple(wrong) == OTHERS
    for who, token in wrong.items():
        told = await as_if_not_there(app, {"Authorization": f"Bearer {token}"}, known)
        assert told == [], (who, told)
        found = await found_by(app, {"Authorization": f"Bearer {token}"}, known, "")
        assert found == {}, (who, found)
