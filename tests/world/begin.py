"""How a simulated world begins: an empty database with two workspaces, and everybody's keys to them."""

import random
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection

from backlane.service.access import Caller
from backlane.service.make_key import make_key
from backlane.store.database import Database
from backlane.store.transaction import SqlStore
from tests.world.provider import START

_DAY = 86_400_000
# Of each pair the first is in one workspace, the second in the other.
_PEOPLE = (
    ("ana", "submitter"), ("bob", "submitter"), ("olga", "operator"), ("otto", "operator"),
    ("adam", "admin"), ("anton", "admin"), ("rita", "reviewer"), ("rolf", "reviewer"),
    ("rosa", "reviewer"), ("ruth", "reviewer"),
)  # fmt: skip


def callers(look: Database, ids: Any) -> list[Caller]:
    """Requesters, operators, admins and reviewers, one or two of each in each workspace, with their keys."""
    chance = random.Random("keys")
    # Long enough ago for every jump of the clock.
    ports: Any = SimpleNamespace(ids=ids, clock=SimpleNamespace(now=lambda: START - _DAY))
    store = SqlStore(look, ids)
    found: list[Caller] = []

    def made(connection: Connection) -> None:
        tx = store.records(connection)
        for number, (name, role) in enumerate(_PEOPLE):
            place = ("main", "other")[number % 2]
            key = make_key(tx, ports, chance.randbytes(22), role=role, workspace=place, name=name)
            known = tx.workspace(place)
            assert known is not None
            found.append(Caller(str(known["id"]), place, name, "person", role, key.id))

    look.write_now(made)
    return found
