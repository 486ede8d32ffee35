"""Everything the verbs are given: time, ids, chance, the store, the provider, the job types."""

from collections.abc import Callable
from dataclasses import dataclass, field

from backlane.core.accounts import Accounts
from backlane.core.artifacts import ArtifactStore
from backlane.core.ports import Chance, Clock, Ids, Provider, Types, Worker
from backlane.core.price import Pricer
from backlane.core.schedule import DAY, Timings
from backlane.core.storage import Store
from backlane.service.health import Health
from backlane.service.living_calls import LivingCalls
from backlane.service.open_streams import OpenStreams


def _nothing(_: str) -> None:
    return None


def _quiet() -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The outside, by argument.

    `notify` wakes the pump after a commit made a job due, `noticed` whoever works off the provider's
    events; `log` takes one line for operators; `streams` are the live streams this worker reads,
    `calls` the calls of actions that outlived their time here;
    `secret` signs the tokens of end users (empty: there are none) and seeds draws;
    `point` marks named places where a test may stop the process.
    """

    store: Store
    artifacts: ArtifactStore
    provider: Provider
    types: Types
    clock: Clock
    ids: Ids
    chance: Chance
    price: Pricer
    worker: Worker
    accounts: Accounts
    secret: bytes = field(default=b"", repr=False)
    delete_at_provider: bool = False
    inline_bytes: int = 16_384
    upload_at_most: int = 50_000_000
    file_inline_at_most: int = 256_000
    files_inline_at_most: int = 1_000_000
    provider_file_lifetime: int = 7 * DAY
    timings: Timings = field(default_factory=Timings)
    health: Health = field(default_factory=Health)
    streams: OpenStreams = field(default_factory=lambda: OpenStreams(50))
    calls: LivingCalls = field(default_factory=LivingCalls)
    notify: Callable[[], None] = _quiet
    noticed: Callable[[], None] = _quiet
    log: Callable[[str], None] = _nothing
    point: Callable[[str], None] = _nothing
