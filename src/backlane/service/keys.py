"""Keys of a workspace, by its admins: listed, made, taken back at once; and short-lived tokens for end users."""

from collections.abc import Sequence
from typing import Any

from backlane.core.storage import Transaction
from backlane.core.token import Grant, write_token
from backlane.errors import InvalidRequest, NotFound, RoleRequired
from backlane.service.access import Caller, visible
from backlane.service.describe import moment
from backlane.service.make_key import NewKey, make_key
from backlane.service.ports import Ports
from backlane.service.revoke import revoke_key
from backlane.service.witness import witness

_TIMES = ("created_at", "expires_at", "revoked_at", "last_used_at")


async def list_keys(ports: Ports, caller: Caller) -> list[dict[str, Any]]:
    """The workspace's keys, never their secrets."""
    rows = await ports.store.read(lambda tx: tx.keys())
    own = [row for row in rows if row["workspace_name"] == caller.workspace_name]
    names = ("id", "role", "hint", "name", "kind", "may_decide")
    return [
        {
            "object": "key",
            **{name: row[name] for name in names},
            **{name: moment(row[name]) for name in _TIMES},
        }
        for row in own
    ]


async def add_key(
    ports: Ports, caller: Caller, randomness: bytes, *, role: str, name: str, service: bool, may_decide: bool
) -> NewKey:
    """Make a key in the caller's workspace. Raises InvalidRequest."""

    def body(tx: Transaction) -> NewKey:
        place = caller.workspace_name
        return make_key(
            tx,
            ports,
            randomness,
            role=role,
            workspace=place,
            name=name,
            service=service,
            may_decide=may_decide,
            actor=caller.name,
        )

    return await ports.store.write(body)


async def take_key_back(ports: Ports, caller: Caller, key_id: str) -> None:
    """Revoke a key of the caller's workspace; it and its tokens open nothing from now on. Raises NotFound."""

    def body(tx: Transaction) -> bool:
        row = tx.key_by_id(key_id)
        known = row is not None and row["workspace"] == caller.workspace
        return known and revoke_key(tx, ports, key_id, caller.name)

    if not await ports.store.write(body):
        raise NotFound()


async def mint_token(
    ports: Ports, caller: Caller, *, user: str, jobs: Sequence[str] | None, ttl: int
) -> tuple[str, str | None]:
    """A token for a service's end user, and when it ends. Raises RoleRequired, InvalidRequest.

    Listed jobs must be the service's own, for this user.
    """
    if caller.kind != "service":
        raise RoleRequired("Tokens are minted with a service's key.")
    expires_at = ports.clock.now() + ttl
    listed = None if jobs is None else frozenset(jobs)
    grant = Grant(caller.key_id, caller.name, user, listed, expires_at)

    def body(tx: Transaction) -> None:
        foreign = [one for one in jobs or () if not _is_theirs(tx, caller, one, user)]
        if foreign:
            raise InvalidRequest([("/jobs", "names a job that you did not submit for this user")])
        witness(tx, ports, caller, "token.minted", caller.key_id, user=user, jobs=sorted(listed or ()))

    await ports.store.write(body)
    return write_token(ports.secret, grant), moment(expires_at)


def _is_theirs(tx: Transaction, caller: Caller, job_id: str, user: str) -> bool:
    try:
        job = visible(tx, caller, tx.job(job_id))
    except NotFound:
        return False
    return (job.submitted_by, job.user) == (caller.name, user)
