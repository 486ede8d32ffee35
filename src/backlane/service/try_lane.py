"""The right to try a held lane, taken before the files of a run are uploaded: an upload is a try as a create is."""

from collections.abc import Sequence
from typing import Any

from backlane.core.event import Event
from backlane.core.job import Job
from backlane.core.storage import Transaction
from backlane.service.attach import names_files
from backlane.service.conclude import conclude
from backlane.service.incident import Passage, passage
from backlane.service.ports import Ports
from backlane.service.situate import Held


async def try_lane(ports: Ports, held: Held, params: dict[str, Any]) -> tuple[Held | None, Passage | None]:
    """Whether a run's files may be uploaded; no passage where none is needed.

    A run without files takes its probe in the transaction that commits `sending`.
    """
    if held.situation.incident_until is None or not names_files(params):
        return held, None
    now = ports.clock.now()
    way: Passage | None = None

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        nonlocal way
        way = passage(tx, ports, job, now)
        return job, ()

    return await conclude(ports, held, turn, hold=True), way
