"""Taking a key back: at once, and with one audit line."""

from backlane.core.storage import Transaction
from backlane.service.ports import Ports


def revoke_key(tx: Transaction, ports: Ports, key_id: str, actor: str) -> bool:
    """Revoke a live key; False where there is none by this id."""
    now = ports.clock.now()
    row = tx.key_by_id(key_id)
    if row is None or not tx.revoke_key(key_id, now):
        return False
    data = {"name": row["name"], "role": row["role"], "kind": row["kind"]}
    line = {"workspace": row["workspace"], "at": now, "actor": actor, "action": "key.revoked"}
    tx.audit({**line, "subject": key_id, "data": data})
    return True
