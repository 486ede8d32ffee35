"""Artifact bytes in a folder, under their content's hash. No name from outside ever becomes part of a path."""

import asyncio
import hashlib
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from backlane.errors import SettingsError, StoreError, StoreFull

_DIGEST = re.compile(r"[0-9a-f]{64}")
_HALF = ".half-"
# Bytes gathered before one trip to the disk, and read at a time.
_PIECE = 262_144


class ArtifactFolder:
    """Implements ArtifactStore. A file appears whole or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    def from_url(cls, url: str) -> "ArtifactFolder":
        """The folder of a `file:` URL. Raises SettingsError."""
        scheme, _, rest = url.partition(":")
        if scheme != "file" or not rest:
            raise SettingsError("BACKLANE_ARTIFACTS_URL: must be a folder such as file:.backlane/artifacts")
        return cls(Path(rest.removeprefix("//")))

    def prepare(self) -> None:
        """Make the folder, readable by its owner only. Raises SettingsError with the mend."""
        mend = "make the folder writable or set BACKLANE_ARTIFACTS_URL to another place"
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise SettingsError(
                f"BACKLANE_ARTIFACTS_URL: cannot use {self._root}: {error.strerror}; {mend}"
            ) from None
        if not os.access(self._root, os.R_OK | os.W_OK | os.X_OK):
            raise SettingsError(
                f"BACKLANE_ARTIFACTS_URL: cannot write {self._root}: permission denied; {mend}"
            )

    def sweep(self, before: float) -> int:
        """Remove what dead processes left half written, last touched before then (seconds since 1970); how many."""
        halves = [*self._root.glob(f"{_HALF}*"), *self._root.glob(f"*/{_HALF}*")]
        removed = 0
        for half in halves:
            with suppress(OSError):
                if half.stat().st_mtime < before:
                    half.unlink()
                    removed += 1
        return removed

    async def put(self, content: bytes) -> str:
        """Store the bytes durably; their hex sha256."""
        return await asyncio.to_thread(self._put, content)

    async def get(self, sha256: str) -> bytes:
        """The bytes. Raises StoreError if they are missing or do not hash to their name."""
        return await asyncio.to_thread(self.read, sha256)

    async def draft(self) -> "HalfFile":
        """Begin to take in bytes of unknown length. Raises StoreFull."""
        return await asyncio.to_thread(HalfFile, self._root)

    async def open(self, sha256: str) -> BinaryIO:
        """The bytes to read piece by piece. Raises StoreError if they are missing or do not hash to their name."""
        return await asyncio.to_thread(self._open, sha256)

    def _open(self, digest: str) -> BinaryIO:
        try:
            file = self._path(digest).open("rb")
        except OSError as error:
            raise _unreadable(digest, error) from error
        try:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            file.close()
            raise _unreadable(digest, error) from error
        if found != digest:
            file.close()
            raise StoreError(f"artifact {digest[:12]}… is damaged; restore it from a backup")
        file.seek(0)
        return file

    def _path(self, digest: str) -> Path:
        return _place(self._root, digest)

    def _put(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        if path.exists():
            return digest
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, half = tempfile.mkstemp(dir=path.parent, prefix=_HALF)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                _settle(file, Path(half), path)
        except OSError as error:
            raise _full(error) from error
        return digest

    def read(self, digest: str) -> bytes:
        """The bytes, in this thread."""
        try:
            content = self._path(digest).read_bytes()
        except OSError as error:
            raise _unreadable(digest, error) from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise StoreError(f"artifact {digest[:12]}… is damaged; restore it from a backup")
        return content


class HalfFile:
    """Implements Draft: a file that no reader sees before it is whole and on the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            handle, half = tempfile.mkstemp(dir=root, prefix=_HALF)
        except OSError as error:
            raise _full(error) from error
        self._half = Path(half)
        self._file = os.fdopen(handle, "wb")
        self._hash = hashlib.sha256()
        self._gathered = bytearray()
        self.size = 0

    @property
    def sha256(self) -> str:
        """The hex sha256 of what was written so far."""
        return self._hash.hexdigest()

    async def write(self, chunk: bytes) -> None:
        """Add bytes; they reach the disk some at a time. Raises StoreFull."""
        self.size += len(chunk)
        self._hash.update(chunk)
        self._gathered += chunk
        if len(self._gathered) >= _PIECE:
            await asyncio.to_thread(self._flush)

    def reading(self) -> BinaryIO:
        """What was written so far, from its beginning. Raises StoreFull."""
        self._flush()
        return self._half.open("rb")

    async def keep(self) -> str:
        """Store it durably; its hex sha256. Raises StoreFull."""
        return await asyncio.to_thread(self._keep)

    async def drop(self) -> None:
        """Leave nothing of it."""
        await asyncio.to_thread(self._drop)

    def _flush(self) -> None:
        try:
            self._file.write(self._gathered)
            self._file.flush()
        except OSError as error:
            raise _full(error) from error
        self._gathered.clear()

    def _keep(self) -> str:
        self._flush()
        path = _place(self._root, self.sha256)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not path.exists():
                _settle(self._file, self._half, path)
        except OSError as error:
            raise _full(error) from error
        finally:
            self._drop()
        return self.sha256

    def _drop(self) -> None:
        with suppress(OSError):
            self._file.close()
        self._half.unlink(missing_ok=True)


def _place(root: Path, digest: str) -> Path:
    if not _DIGEST.fullmatch(digest):
        raise StoreError("an artifact's address must be a sha256")
    return root / digest[:2] / digest


def _settle(file: BinaryIO, half: Path, path: Path) -> None:
    """Bring a written file to the disk, then into its place, then the place to the disk."""
    file.flush()
    os.fsync(file.fileno())
    half.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _full(error: OSError) -> StoreFull:
    return StoreFull(f"the artifact folder cannot be written: {error.strerror}")


def _unreadable(digest: str, error: OSError) -> StoreError:
    return StoreError(f"artifact {digest[:12]}… cannot be read: {error.strerror}")
