"""The files a provider holds: what was uploaded, until it is deleted or expires. It answers no calls."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from backlane.simulator.multipart import Form
from backlane.simulator.protocol import Refusal, missing, wrong
from backlane.simulator.reading import Reading, read_bytes

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
_MONTH = 30 * 86_400
# A few readings are kept, so that one create reads a file once and a long test does not keep them all.
_KEPT_READINGS = 32


@dataclass(slots=True)
class StoredFile:
    """One uploaded file. Times are seconds since 1970."""

    id: str
    data: bytes
    filename: str
    purpose: str
    created_at: float
    expires_at: float | None
    sha256: str
    deleted: bool = False

    def is_alive(self, now: float) -> bool:
        """Whether the provider still has it."""
        return not self.deleted and (self.expires_at is None or now < self.expires_at)

    def shown(self) -> dict[str, Any]:
        """The file object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.data),
            "created_at": int(self.created_at),
            "expires_at": None if self.expires_at is None else int(self.expires_at),
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class Files:
    """Every file that was ever uploaded."""

    def __init__(self) -> None:
        self._files: dict[str, StoredFile] = {}
        self._readings: dict[str, Reading] = {}

    def __iter__(self) -> Iterator[StoredFile]:
        return iter(self._files.values())

    def add(self, file: StoredFile) -> None:
        """Hold one more."""
        self._files[file.id] = file

    def __len__(self) -> int:
        return len(self._files)

    def find(self, file_id: str, now: float) -> StoredFile | None:
        """A file that is still held."""
        file = self._files.get(file_id)
        return file if file is not None and file.is_alive(now) else None

    def get(self, file_id: str, now: float) -> StoredFile:
        """A file that is still held. Raises the 404 Refusal."""
        file = self.find(file_id, now)
        if file is None:
            raise Refusal(404, f"No such File object: {file_id}", param="id")
        return file

    def read(self, data: bytes) -> Reading:
        """What is in these bytes, kept for the next time."""
        sha256 = hashlib.sha256(data).hexdigest()
        if sha256 not in self._readings:
            if len(self._readings) >= _KEPT_READINGS:
                del self._readings[next(iter(self._readings))]
            self._readings[sha256] = read_bytes(data)
        return self._readings[sha256]

    def stats(self, now: float) -> dict[str, Any]:
        """How many came, went and are left, and which content came more than once."""
        counts: dict[str, int] = {}
        for file in self:
            counts[file.sha256] = counts.get(file.sha256, 0) + 1
        return {
            "uploads": len(self),
            "deletes": sum(file.deleted for file in self),
            "alive": sum(file.is_alive(now) for file in self),
            "by_sha256": counts,
            "duplicates": sum(count - 1 for count in counts.values()),
        }


def made_file(form: Form, file_id: str, now: float, most: int) -> StoredFile:
    """An upload as the form's fields describe it. Raises Refusal as the provider would."""
    purpose = form.texts.get("purpose")
    if form.file is None:
        raise missing("file")
    filename, data = form.file
    if not purpose:
        raise missing("purpose")
    if purpose not in PURPOSES:
        supported = ", ".join(f"'{one}'" for one in PURPOSES)
        raise wrong("purpose", f"'{purpose}' is not one of [{supported}] - 'purpose'")
    if not data:
        raise wrong("file", "File is empty.")
    if len(data) > most:
        told = f"File exceeds the maximum size of {most} bytes: '{filename}' has {len(data)}."
        raise Refusal(413, told, param="file")
    sha256 = hashlib.sha256(data).hexdigest()
    return StoredFile(file_id, data, filename, purpose, now, _expiry(form.texts, purpose, now), sha256)


def _expiry(fields: Mapping[str, str], purpose: str, now: float) -> float | None:
    anchor, seconds = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return now + _MONTH if purpose == "batch" else None
    if anchor != "created_at":
        raise wrong("expires_after[anchor]", "Invalid value: expected 'created_at'.")
    if not str(seconds).isdecimal() or not 3600 <= int(str(seconds)) <= _MONTH:
        raise wrong("expires_after[seconds]", "Invalid value: expected 3600 to 2592000 seconds.")
    return now + int(str(seconds))
