"""Artifact bytes in a folder, under their content's hash. No name from outside ever becomes part of a path."""

import asyncio
import hashlib
import os
import re
import tempfile
from pathlib import Path

from backlane.errors import SettingsError, StoreError, StoreFull

_DIGEST = re.compile(r"[0-9a-f]{64}")


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

    async def put(self, content: bytes) -> str:
        """Store the bytes durably; their hex sha256."""
        return await asyncio.to_thread(self._put, content)

    async def get(self, sha256: str) -> bytes:
        """The bytes. Raises StoreError if they are missing or do not hash to their name."""
        return await asyncio.to_thread(self.read, sha256)

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise StoreError("an artifact's address must be a sha256")
        return self._root / digest[:2] / digest

    def _put(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        if path.exists():
            return digest
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, half = tempfile.mkstemp(dir=path.parent, prefix=".half-")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(half).rename(path)
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StoreFull(f"the artifact folder cannot be written: {error.strerror}") from error
        return digest

    def read(self, digest: str) -> bytes:
        """The bytes, in this thread."""
        try:
            content = self._path(digest).read_bytes()
        except OSError as error:
            raise StoreError(f"artifact {digest[:12]}… cannot be read: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise StoreError(f"artifact {digest[:12]}… is damaged; restore it from a backup")
        return content
