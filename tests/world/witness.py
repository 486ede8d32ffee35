"""Who stands at the provider's door: what arrives there must be on disk first, and must be meant."""

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx2
from sqlalchemy import select

from backlane.core.health import hold_place
from backlane.store.tables import attempts, jobs
from backlane.store.tables_lanes import lanes
from backlane.store.tables_wire import inbox, provider_files
from tests.world.process import ACCOUNTS

if TYPE_CHECKING:
    from tests.world.world import SimulatedWorld

_FILENAME = re.compile(rb'filename="([^"]+)"')


class Witness:
    """Looks at each call the moment it arrives."""

    def __init__(self, world: "SimulatedWorld") -> None:
        self._world = world
        self.doubled: set[str] = set()
        self.vanished: list[str] = []
        self._tries: dict[tuple[str, int], set[str]] = {}

    def create_arrives(self, attempt: str) -> None:
        """A create's first byte: its intent must be on disk, and it must be the only one."""
        self._world.counts["creates"] += 1
        row = self._row(select(attempts.c.state).where(attempts.c.id == attempt))
        if row is None or row[0] == "planned":
            told = f"{attempt} arrived at the provider before its intent was committed"
            self._world.violation("I01", told)
        elif self._world.weather.jump_every is None:
            self._passes_a_held_lane(attempt)

    def _passes_a_held_lane(self, attempt: str) -> None:
        """While a lane is held no more goes out on it than the tries that were taken."""
        sent = self._row(select(attempts).where(attempts.c.id == attempt))
        places = sent.provider_account, hold_place(sent.workspace, sent.provider_account)
        holds = select(lanes).where(lanes.c.provider_account.in_(places), lanes.c.lane == sent.lane)
        with self._world.look.connection() as connection:
            found = list(connection.execute(holds).all())
        for held in found:
            # A send that was committed before it was held is on its way.
            if sent.sent_at > held.since:
                tries = self._tries.setdefault((held.provider_account, held.since), set())
                tries.add(attempt)
                if len(tries) > held.probes:
                    told = (
                        f"{len(tries)} runs went out on a held lane, {held.probes} were to try it: {attempt}"
                    )
                    self._world.violation("L1", told)

    def call_arrives(self, request: httpx2.Request, attempt: str | None) -> None:
        """Every call about a run comes with the key of the account that bought it."""
        response_id = request.url.path.removeprefix("/v1/responses/").partition("/")[0]
        run = self._world.provider.world.runs.get(response_id)
        named = attempt if run is None else (run.body.get("metadata") or {}).get("backlane_attempt")
        row = self._row(select(attempts.c.provider_account).where(attempts.c.id == named))
        if row is not None and request.headers["authorization"] != f"Bearer {dict(ACCOUNTS)[row[0]]}":
            self._world.violation("I23", f"a call about {named} came with the key of another account")

    def create_doubles(self, attempt: str) -> None:
        """Somebody on the way sends a create once more; nobody will hear the second reply."""
        self._world.counts["creates doubled"] += 1
        self.doubled.add(attempt)

    def file_call(self, request: httpx2.Request, body: bytes) -> None:
        """A call about a file of ours."""
        name = _FILENAME.search(body)
        if request.method == "POST" and name is not None:
            self._upload_arrives(name[1].decode())
        elif request.method == "DELETE":
            self._delete_arrives(request.url.path.rpartition("/")[2])

    def _upload_arrives(self, filename: str) -> None:
        """Its intent must be on disk; a copy whose reply was lost must have been looked for."""
        self._world.counts["uploads"] += 1
        mine = self._row(select(provider_files).where(provider_files.c.filename == filename))
        if mine is None or mine.state == "planned":
            self._world.violation(
                "I31", f"{filename} arrived at the provider before its intent was committed"
            )
            return
        for former in self._copies(mine):
            line = self._stored(former.filename)
            if former.state in ("sending", "unknown", "lost") and line is not None and not self._listed(line):
                told = f"{filename} was uploaded; nobody had looked whether {former.filename} had come"
                self._world.violation("I31", told)

    def _copies(self, mine: Any) -> list[Any]:
        """The other copies of one content in one account."""
        same = select(provider_files).where(
            provider_files.c.sha256 == mine.sha256,
            provider_files.c.workspace == mine.workspace,
            provider_files.c.id != mine.id,
        )
        with self._world.look.connection() as connection:
            return list(connection.execute(same.order_by(provider_files.c.id)).all())

    def _stored(self, filename: str) -> dict[str, Any] | None:
        """The upload the provider took under a name, if it still has the file."""
        world = self._world.provider.world
        alive = {file.filename for file in world.files if not file.deleted}
        found = [line for line in world.log if line.get("filename") == filename and filename in alive]
        return found[0] if found else None

    def _listed(self, upload: dict[str, Any]) -> bool:
        """Whether the files were listed since."""
        after = self._world.provider.world.log[upload["n"] :]
        return any(line["call"] == "file_list" and line["outcome"] == "answered" for line in after)

    def _delete_arrives(self, file_id: str) -> None:
        """No open job may wait for a run that reads it."""
        self._world.counts["file deletes"] += 1
        world = self._world.provider.world
        lines = (line for line in world.log if file_id in _read_by(line))
        for line in lines:
            run = world.runs[line["response_id"]]
            if world.status(run) not in ("queued", "in_progress"):
                continue
            job = (line["metadata"] or {}).get("backlane_job")
            row = self._row(select(jobs.c.status, jobs.c.provider_response_id).where(jobs.c.id == job))
            if row is not None and row[0] in ("queued", "running") and row[1] == run.id:
                self._world.violation("I32", f"{file_id} is deleted while {run.id} reads it for {job}")

    def _given_up(self) -> set[str]:
        late = select(inbox.c.response_id).where(inbox.c.note.startswith("given up"))
        with self._world.look.connection() as connection:
            return {row[0] for row in connection.execute(late).all()}

    def _row(self, statement: Any) -> Any:
        with self._world.look.connection() as connection:
            return connection.execute(statement).first()

    def log(self) -> list[dict[str, Any]]:
        """The provider's log without what somebody else doubled and nobody was told of."""
        whole = [{**line} for line in self._world.provider.world.log]
        told = {
            line["response_id"]
            for line in whole
            if line["call"] == "webhook" and any(status == 204 for status in line["statuses"])
        }
        # An event may come when its run cannot be read any more.
        told -= self._given_up()
        known = {found for found in self._world.kept_ids().values() if found is not None}
        times = Counter(_attempt(line) for line in whole)

        def unheard(line: dict[str, Any]) -> bool:
            attempt = _attempt(line)
            alone = attempt not in self.doubled or times[attempt] < 2
            return not alone and line["response_id"] not in known | told

        # What somebody deleted there by hand is gone as well.
        by_hand = [{"call": "file_delete", "object_id": one, "response_id": None} for one in self.vanished]
        return [*(line for line in whole if not unheard(line)), *by_hand]


def _attempt(line: dict[str, Any]) -> str | None:
    metadata = line.get("metadata") or {}
    return metadata.get("backlane_attempt") if line["call"] == "create" else None


def _read_by(line: dict[str, Any]) -> set[str]:
    """The ids of the provider's files that a logged create made its run read."""
    return {one["file_id"] for one in line.get("files") or ()}
