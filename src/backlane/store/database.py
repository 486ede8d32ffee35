"""Transactions: one writer with group commit, readers beside it. Nobody is answered before COMMIT returned."""

import asyncio
import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, RootTransaction
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from backlane.errors import SettingsError, StoreDamaged, StoreError
from backlane.store.dialects import Dialect, damaged, dialect_of, store_error

T = TypeVar("T")
_GROUP = 256


@dataclass(slots=True)
class _Member(Generic[T]):
    body: Callable[[Connection], T]
    done: "asyncio.Future[T]"
    loop: asyncio.AbstractEventLoop


def parse_url(raw: str) -> URL:
    """A database URL. Raises SettingsError naming the variable, never showing a password."""
    try:
        return make_url(raw)
    except ArgumentError:
        raise SettingsError(
            "BACKLANE_DATABASE_URL is not a database URL; use sqlite:///path/to.db or postgresql://…"
        ) from None


class Database:
    """One database. `write` shares commits between callers, `read` takes a snapshot.

    `busy_timeout` is how long a statement waits for another's lock, seconds.
    `inline=True` runs bodies in the caller's thread, for worlds where one seed decides the order.
    """

    def __init__(self, url: str, *, busy_timeout: float = 5.0, inline: bool = False) -> None:
        self.url = parse_url(url)
        self.dialect: Dialect = dialect_of(self.url)
        self._writer, self._reader = self.dialect.connect(self.url, busy_timeout)
        self._opened_by = os.getpid()
        self._damage: StoreDamaged | None = None
        self._inline = inline
        self._members: queue.SimpleQueue[_Member[Any] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._readers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="backlane-read")
        self._closed = False

    async def write(self, body: Callable[[Connection], T]) -> T:
        """Run the body in its own savepoint of a shared transaction; answers after COMMIT returned.

        Raises what the body raised (nothing of it is kept), or a StoreError if the commit failed.
        """
        if self._inline:
            return self.write_now(body)
        self._require_writable()
        if self._closed:
            raise StoreError("the database is closed")
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve_writes, name="backlane-write", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        member = _Member(body, loop.create_future(), loop)
        self._members.put(member)
        return await asyncio.shield(member.done)

    async def read(self, body: Callable[[Connection], T]) -> T:
        """Run the body on one snapshot of the database."""
        if self._inline:
            return self.read_now(body)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self.read_now, body)

    def read_now(self, body: Callable[[Connection], T]) -> T:
        """The same as `read`, in this thread."""
        self._require_same_process()
        try:
            with self._reader.begin() as connection:
                return body(connection)
        except (SQLAlchemyError, PoolTimeout) as error:
            raise self._failure(error) from error

    def write_now(self, body: Callable[[Connection], T]) -> T:
        """The same as `write`, in this thread and a commit of its own."""
        self._require_writable()
        result = self._commit([body])[0]
        if isinstance(result, BaseException):
            raise result
        return result

    def connection(self) -> Connection:
        """A bare writing connection, for migrations; the caller closes it."""
        self._require_same_process()
        return self._writer.connect()

    def require_whole(self) -> None:
        """Look the file over for damage. Raises StoreDamaged; from then on nothing is written."""
        found = self.read_now(self.dialect.broken)
        if found is not None:
            self._damage = damaged(found)
            raise self._damage

    def close(self) -> None:
        """Finish what was accepted for writing, then let go of every connection."""
        if self._closed or self._opened_by != os.getpid():
            return
        self._closed = True
        if self._thread is not None:
            self._members.put(None)
            self._thread.join(timeout=30)
        self._readers.shutdown(wait=True)
        self._writer.dispose()
        self._reader.dispose()

    def _serve_writes(self) -> None:
        while (first := self._members.get()) is not None:
            group, last = [first], False
            while len(group) < _GROUP and not last:
                try:
                    member = self._members.get_nowait()
                except queue.Empty:
                    break
                if member is None:
                    last = True
                else:
                    group.append(member)
            results = self._commit([member.body for member in group])
            _answer(group, results)
            if last:
                return

    def _commit(self, bodies: Sequence[Callable[[Connection], Any]]) -> list[Any]:
        """Run bodies in one transaction, each in its own savepoint; their results or exceptions."""
        try:
            with self._writer.connect() as connection, connection.begin() as transaction:
                if len(bodies) == 1:
                    results = [_alone(transaction, connection, bodies[0])]
                else:
                    results = [_in_savepoint(connection, body) for body in bodies]
        except (SQLAlchemyError, PoolTimeout) as error:
            return [self._failure(error)] * len(bodies)
        except BaseException as error:
            return [error] * len(bodies)
        for result in results:
            if isinstance(result, StoreDamaged):
                self._damage = result
        return results

    def _failure(self, error: Exception) -> StoreError:
        """What a driver's error means; damage is remembered, so that nothing is written any more."""
        failure = _caused(store_error(error), error)
        if isinstance(failure, StoreDamaged):
            self._damage = failure
        return failure

    def _require_writable(self) -> None:
        self._require_same_process()
        if self._damage is not None:
            raise StoreDamaged(str(self._damage))

    def _require_same_process(self) -> None:
        # A connection used on both sides of a fork damages a SQLite file and mixes up PostgreSQL's answers.
        if self._opened_by != os.getpid():
            raise StoreError(
                f"the database was opened by process {self._opened_by} and this is a fork of it; "
                "open it after forking"
            )


def _caused(failure: StoreError, cause: Exception) -> StoreError:
    failure.__cause__ = cause
    return failure


def _alone(transaction: RootTransaction, connection: Connection, body: Callable[[Connection], Any]) -> Any:
    """The only member's result; if it raised, nothing of the transaction is kept."""
    try:
        return body(connection)
    except Exception as error:
        transaction.rollback()
        return _caused(store_error(error), error) if isinstance(error, DBAPIError) else error


def _in_savepoint(connection: Connection, body: Callable[[Connection], Any]) -> Any:
    connection.exec_driver_sql("SAVEPOINT member")
    try:
        result = body(connection)
    except Exception as error:
        try:
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT member")
            connection.exec_driver_sql("RELEASE SAVEPOINT member")
        except SQLAlchemyError:
            # The whole transaction is gone (disk full): every member is told the reason, not this echo of it.
            if isinstance(error, DBAPIError):
                raise error from None
            raise
        return _caused(store_error(error), error) if isinstance(error, DBAPIError) else error
    connection.exec_driver_sql("RELEASE SAVEPOINT member")
    return result


def _answer(group: Sequence[_Member[Any]], results: Sequence[Any]) -> None:
    """Give every member its result on its own loop, one call per loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for member, result in zip(group, results, strict=True):
        by_loop.setdefault(member.loop, []).append((member.done, result))
    for loop, pairs in by_loop.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, pairs)


def _settle(pairs: Sequence[tuple["asyncio.Future[Any]", Any]]) -> None:
    for done, result in pairs:
        if done.done():
            continue
        if isinstance(result, BaseException):
            done.set_exception(result)
        else:
            done.set_result(result)
