"""Copies of files at the provider: what is sent, and what its answers mean, as values."""

from dataclasses import dataclass
from typing import BinaryIO, Protocol

from backlane.core.outcome import NotSent, Refused, Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUpload:
    """One upload to a provider account.

    The name holds our intent's id, so that a copy whose reply was lost can be found by listing. `lifetime` is how
    long the provider keeps it, seconds; `timeout` how long the whole upload may take, milliseconds.
    """

    account: str
    filename: str
    media_type: str
    content: BinaryIO
    lifetime: int
    timeout: int


@dataclass(frozen=True, slots=True)
class Stored:
    """The provider holds the file; `expires_at` is milliseconds since 1970, None if it never forgets."""

    file_id: str
    expires_at: int | None


@dataclass(frozen=True, slots=True)
class Missing:
    """The provider holds no such file (any more)."""


UploadOutcome = Stored | Refused | NotSent | Unknown
FindOutcome = Stored | Missing | Refused | NotSent | Unknown
DeleteOutcome = Missing | Refused | NotSent | Unknown


class FileProvider(Protocol):
    """The part of a provider's wire that is about files."""

    async def upload_file(self, upload: FileUpload) -> UploadOutcome:
        """Upload a file, once."""
        ...

    async def find_file(self, account: str, filename: str, since: int) -> FindOutcome:
        """The file of this name among those made since then (milliseconds since 1970)."""
        ...

    async def delete_file(self, account: str, file_id: str) -> DeleteOutcome:
        """Delete a file; one that is not there is deleted too."""
        ...
