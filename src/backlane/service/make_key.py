"""Making a key, and the workspace and person it belongs to if they are new; the only moment it can be read."""

from dataclasses import dataclass
from typing import Any

from backlane.core.credential import key_hash, new_key
from backlane.core.review import DECIDING
from backlane.core.schedule import DAY
from backlane.core.storage import Transaction
from backlane.core.token import THROUGH
from backlane.errors import InvalidRequest
from backlane.service.access import ROLES
from backlane.service.ports import Ports

# Who acts without a person: nobody may bear these names, or an actor would not be who it seems.
NOBODYS_NAMES = frozenset({"backlane", "system", "provider", "policy", "command-line"})
KEY_LIFETIME = 90 * DAY


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; the only moment it can be read."""

    id: str
    key: str
    workspace: str
    name: str
    role: str
    expires_at: int


def _place(tx: Transaction, ports: Ports, name: str) -> dict[str, Any]:
    """The workspace of this name, made if there is none."""
    found = tx.workspace(name)
    if found is not None:
        return found
    now = ports.clock.now()
    place = {"id": ports.ids.new("ws"), "name": name, "created_at": now}
    tx.insert_workspace(place)
    line = {"workspace": place["id"], "at": now, "actor": "command-line", "action": "workspace.created"}
    tx.audit({**line, "subject": place["id"], "data": {"name": name}})
    return place


def _require_sound(role: str, workspace: str, name: str, *, service: bool, may_decide: bool) -> None:
    """Raises InvalidRequest for a role, a name or a right that nobody may have."""
    if role not in ROLES:
        raise InvalidRequest([("/role", f"must be one of {', '.join(ROLES)}")])
    if may_decide and not (service and role in DECIDING):
        what = "is for a service's key whose role decides: reviewer or admin; persons decide by their role"
        raise InvalidRequest([("/may_decide", what)])
    for pointer, value in (("/workspace", workspace), ("/name", name)):
        if not value.strip() or len(value) > 100 or not value.isprintable():
            raise InvalidRequest([(pointer, "must be 1 to 100 printable characters")])
    if name.strip().lower() in NOBODYS_NAMES:
        raise InvalidRequest(
            [("/name", f"{name!r} is what the service itself is called in events; take another")]
        )
    if THROUGH in name:
        raise InvalidRequest([("/name", f"must not hold {THROUGH!r}: so are a service's end users named")])


def make_key(
    tx: Transaction,
    ports: Ports,
    randomness: bytes,
    *,
    role: str,
    workspace: str,
    name: str,
    service: bool = False,
    may_decide: bool = False,
    actor: str = "command-line",
) -> NewKey:
    """Make a key, and the workspace and person it belongs to if they are new. Raises InvalidRequest.

    A service decides reviews only with a key that was made with `may_decide`; revoking the key takes it away.
    """
    _require_sound(role, workspace, name, service=service, may_decide=may_decide)
    now = ports.clock.now()
    place = _place(tx, ports, workspace)
    kind = "service" if service else "person"
    person = tx.principal(str(place["id"]), name)
    if person is None:
        person = {"id": ports.ids.new("prn"), "workspace": place["id"], "name": name, "kind": kind}
        tx.insert_principal({**person, "created_at": now})
    elif person["kind"] != kind:
        raise InvalidRequest(
            [("/name", f"{name!r} is a {person['kind']} in this workspace; use another name")]
        )
    key = new_key(randomness)
    row: dict[str, Any] = {
        "id": ports.ids.new("key"),
        "workspace": place["id"],
        "principal_id": person["id"],
        "role": role,
        "hash": key_hash(key),
        "hint": key[:8],
        "may_decide": may_decide if service else None,
        "created_at": now,
        "expires_at": now + KEY_LIFETIME,
        "revoked_at": None,
        "last_used_at": None,
    }
    tx.insert_key(row)
    line = {"workspace": place["id"], "at": now, "actor": actor}
    data: dict[str, Any] = {"name": name, "role": role, "kind": kind}
    data |= {"may_decide": may_decide} if service else {}
    tx.audit({**line, "action": "key.created", "subject": row["id"], "data": data})
    return NewKey(row["id"], key, workspace, name, role, row["expires_at"])
