"""One worker process per SQLite file: an operating-system lock, freed even by kill -9."""

import fcntl
import os
from pathlib import Path

from backlane.errors import SettingsError, StoreLocked


class WorkerLock:
    """Held for as long as this process works on the file."""

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle

    @classmethod
    def take(cls, database: Path) -> "WorkerLock":
        """Take the lock. Raises StoreLocked naming the holder and the mend."""
        path = database.with_name(database.name + ".worker")
        try:
            handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SettingsError(
                f"BACKLANE_DATABASE_URL: cannot write beside {database}: {error.strerror}; "
                "make the folder writable"
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise StoreLocked(
                f"another worker (process {holder}) already works on {database}; stop it, or start this one "
                "with --no-worker"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        return cls(handle)

    def release(self) -> None:
        """Let another worker in."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
