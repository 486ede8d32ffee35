"""Builds everything; the only file that knows every room. Clocks, ids and chance become real here."""

import asyncio
import importlib
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import structlog
from fastapi import FastAPI
from typeid import TypeID

from backlane.api.app import create_app
from backlane.api.channels import Followers
from backlane.api.context import Context
from backlane.core.policy import Over
from backlane.core.ports import Types
from backlane.core.schedule import DAY, HOUR
from backlane.engine.embedded import Embedded
from backlane.engine.hints import HintLoop
from backlane.engine.pump import Pump
from backlane.errors import BacklaneError, SettingsError
from backlane.outbound.folder import ArtifactFolder
from backlane.provider.accounts import AccountBook, account_book
from backlane.provider.accounts_file import environment, read_accounts_file
from backlane.provider.calling import Account
from backlane.provider.openai import OpenAIProvider
from backlane.provider.pace import Pace
from backlane.provider.prices import price
from backlane.running import Service, ThisWorker
from backlane.service.carry import Carrier
from backlane.service.hints import Inbox
from backlane.service.open_streams import OpenStreams
from backlane.service.ports import Ports
from backlane.service.read import Estimates
from backlane.settings import Settings, read_secret
from backlane.store.database import Database
from backlane.store.transaction import SqlStore
from backlane.store.upgrade import require_current

# Nobody writes to one half-written artifact for longer: what is older was left by a dead process.
_HALF_WRITTEN = HOUR


class SystemClock:
    """The machine's clock, in milliseconds since 1970 UTC."""

    def now(self) -> int:
        """The time."""
        return time.time_ns() // 1_000_000

    async def sleep(self, milliseconds: int) -> None:
        """Wait."""
        await asyncio.sleep(milliseconds / 1000)


class TimeOrderedIds:
    """Ids that sort by time: `job_01j…`. Within one process they strictly rise."""

    def new(self, kind: str) -> str:
        """A new id of this kind."""
        return str(TypeID(prefix=kind))


class NoTypes:
    """A process without job types: it serves and reads, and makes no jobs."""

    def get(self, name: str) -> None:
        """No type has any name."""

    def names(self) -> list[str]:
        """No names."""
        return []


def load_app(reference: str | None) -> Types:
    """The App that BACKLANE_APP names. Raises SettingsError naming what failed and the mend."""
    if reference is None:
        return NoTypes()
    module_name, _, attribute = reference.partition(":")
    if not module_name or not attribute:
        raise SettingsError(f"BACKLANE_APP: {reference!r} must be module:attribute, such as myapp.jobs:app")
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except BacklaneError as error:
        raise SettingsError(f"BACKLANE_APP: {module_name} declares a job type wrongly: {error}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SettingsError(
            f"BACKLANE_APP: {module_name} cannot be imported ({reason}); mend the module or its path"
        ) from error
    found: Any = getattr(module, attribute, None)
    if found is None or not hasattr(found, "get") or not hasattr(found, "names"):
        raise SettingsError(f"BACKLANE_APP: {module_name} has no App named {attribute!r}")
    return cast(Types, found)


def _log(line: str) -> None:
    structlog.get_logger("backlane").info(line)


def _one_line(log: Callable[[str], None]) -> Callable[[str], None]:
    """The same, whatever stands in a line: nobody's words begin another, or drive a terminal."""
    return lambda line: log("".join(char if char.isprintable() else "�" for char in line))


def read_accounts(settings: Settings) -> AccountBook:
    """The provider accounts of the environment and of the settings file. Raises SettingsError."""
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
    secrets, simulated = settings.webhook_secrets(), settings.simulated
    # A process that only serves needs the secret and no key.
    own = Account(key, settings.openai_base_url, simulated=simulated, webhook_secrets=secrets)
    default = own if key or secrets else None
    file = settings.accounts_file
    found = None if file is None else read_accounts_file(file, environment())
    return account_book(default, found, simulated=simulated)


def _provider(
    settings: Settings,
    accounts: AccountBook,
    now: Callable[[], int],
    chance: Callable[[], float],
    artifacts: ArtifactFolder,
) -> OpenAIProvider:
    pace = Pace(now, chance, settings.looks_per_second, settings.looks_per_second * 2)
    timeout = int(settings.call_timeout * 1000)
    at_most = settings.reply_at_most
    return OpenAIProvider(
        accounts.accounts,
        now=now,
        pace=pace,
        call_timeout=timeout,
        reply_at_most=at_most,
        silence=int(settings.stream_silence * 1000),
        spill=artifacts.draft,
    )


def build(
    settings: Settings,
    *,
    types: Types | None = None,
    point: Callable[[str], None] | None = None,
    log: Callable[[str], None] | None = None,
) -> Service:
    """A service over the settings' database; its tables are made if there are none.

    Raises SettingsError or StoreError with one line that names the mend.
    """
    database = Database(settings.database_url, busy_timeout=settings.busy_timeout)
    require_current(database)
    ids, worker = TimeOrderedIds(), ThisWorker()
    store = SqlStore(database, ids)
    wakers: list[Callable[[], None]] = []
    hinted: list[Callable[[], None]] = []
    tell = _one_line(log or _log)

    def notify() -> None:
        for wake in wakers:
            wake()

    def noticed() -> None:
        for wake in hinted:
            wake()

    loaded = types or load_app(settings.app)
    _read_policies(loaded)
    secret = read_secret(settings)
    given = {"types": loaded, "log": tell, "notify": notify, "noticed": noticed, "secret": secret}
    ports, provider = _ports(settings, store, ids, worker, {**given, **({"point": point} if point else {})})
    carrier = Carrier(ports)
    engine = Embedded(notify)
    pump = Pump(carrier, engine, ports.clock, slots=settings.slots, log=tell)
    hints = HintLoop(Inbox(ports), ports.clock, log=tell)
    wakers.append(pump.wake)
    hinted.append(hints.wake)
    return Service(
        settings=settings,
        ports=ports,
        store=store,
        secret=secret,
        provider=provider,
        worker=worker,
        carrier=carrier,
        pump=pump,
        engine=engine,
        hints=hints,
    )


def _read_policies(types: Types) -> None:
    """Take each policy's version while its source is what was imported: a deploy changes the files later."""
    for name in types.names():
        job_type = types.get(name)
        for over in Over:
            if job_type is not None:
                job_type.rules.version(over)


def _ports(
    settings: Settings, store: SqlStore, ids: TimeOrderedIds, worker: ThisWorker, given: dict[str, Any]
) -> tuple[Ports, OpenAIProvider]:
    """The ports over the real clock, chance and provider."""
    clock, chance = SystemClock(), random.SystemRandom().random
    accounts = read_accounts(settings)
    artifacts = ArtifactFolder.from_url(settings.artifacts_url)
    artifacts.prepare()
    artifacts.sweep((clock.now() - _HALF_WRITTEN) / 1000)
    provider = _provider(settings, accounts, clock.now, chance, artifacts)
    ports = Ports(
        **given,
        store=store,
        artifacts=artifacts,
        provider=provider,
        clock=clock,
        ids=ids,
        chance=chance,
        price=price,
        worker=worker,
        accounts=accounts,
        delete_at_provider=settings.delete_at_provider,
        upload_at_most=settings.upload_at_most,
        file_inline_at_most=settings.file_inline_at_most,
        files_inline_at_most=settings.files_inline_at_most,
        provider_file_lifetime=int(settings.provider_file_days * DAY),
        timings=settings.timings(),
        streams=OpenStreams(max(1, settings.slots // 2)),
    )
    return ports, provider


def web(service: Service) -> FastAPI:
    """The web application over a built service."""
    followers = Followers(service.ports)
    service.store.on_commit = followers.tell

    async def ready() -> None:
        await service.store.ping()

    around = Context(
        ports=service.ports,
        secret=service.secret,
        followers=followers,
        body_at_most=service.settings.body_at_most,
        ready=ready,
        estimates=Estimates(service.ports),
        signatures=service.provider.door(),
    )
    return create_app(around)
