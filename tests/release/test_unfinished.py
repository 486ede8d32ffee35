"""An unfinished answer that a retry goes on from: closed to its requester as long as its source is, on both jobs."""

import pytest

from tests.conftest import Place
from tests.release.kinds import Thing
from tests.release.lives import Life, People, again, lead
from tests.release.probe import Known
from tests.release.rule import OUTPUT, REQUESTER, STRANGERS
from tests.release.test_canaries import (
    as_if_not_there,
    credentials,
    found_by,
    known_of,
    logged,
    said_by_verbs,
)
from tests.story.acts import verified

__all__ = ["logged"]  # a fixture
OF_IT = {"PARTIAL", "DIGEST", "SIZE"}


async def both_of(place: Place, source: Life, heir: Life) -> Known:
    """Everything around both jobs; what gives something away is the digest and size of what was kept alone."""
    one, two = await known_of(place, source), await known_of(place, heir)
    rows = await place.service.store.read(lambda tx: tx.artifacts(source.job.id))
    kept = [row for row in rows if row["kind"] == "partial"]
    assert [row["bytes"] > 600 for row in kept] == [True]
    ids = {name: list(dict.fromkeys([*two.ids[name], *one.ids[name]])) for name in one.ids}
    ids["case_id"] = one.ids["case_id"]
    return Known(heir.job.id, ids, {row["sha256"] for row in kept}, {row["bytes"] for row in kept})


def heard(place: Place) -> str:
    """Everything that models were given."""
    return str([dict(run.body)["input"] for run in place.simulator.world.runs.values()])


LIVES = [
    (kind, state)
    # The kinds whose job waits for one decision; the others come by their states in the canaries.
    for kind in ("read", "draft", "low", "effect", "drawn", "sensitive")
    for state in ("pending", "approved", "rejected", "incomplete")
    if kind != "read" or state in ("pending", "incomplete")  # nobody reviews it
]


@pytest.mark.parametrize(("kind", "state"), LIVES)
async def test_a_retry_from_what_was_kept_shows_nothing_of_it(
    logged: tuple[Place, list[str]], kind: str, state: str
) -> None:
    place, lines = logged
    people, keys, app = People(place), await credentials(place), place.app()
    source = await lead(place, people, kind, "incomplete")
    heir = await again(place, people, source, state)
    assert Thing.PARTIAL in heard(place)
    known, opened = await both_of(place, source, heir), kind == "read"
    for who, headers in keys.items():
        if who in STRANGERS:
            assert await as_if_not_there(app, headers, known) == []
            continue
        found = await found_by(app, headers, known, "because" if who.endswith("reason") else "")
        told = {name: sorted(where) for name, where in found.items() if name in OF_IT}
        if who in REQUESTER and not opened:
            assert told == {}, (who, told)
            written = {thing.name for thing in OUTPUT} & set(found)
            assert state == "approved" or written == set(), (who, written)
        elif who in (*REQUESTER, "olga", "adam", "sue with a reason"):
            assert "PARTIAL" in told, who
    for who in ("ana", "ana the reviewer"):
        shown = await said_by_verbs(app, keys[who], known)
        assert opened or not set(shown) & OF_IT, shown
    assert not [thing.name for thing in Thing if thing in "\n".join(lines)]
    verified(place, world_log=None)
