"""What the services ask of the database about files: those people sent in, and their copies at the provider."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Row = dict[str, Any]


class FileTransaction(Protocol):
    """The part of a transaction that is about files."""

    def insert_upload(self, upload: Mapping[str, Any]) -> None: ...
    def upload(self, upload_id: str) -> Row | None:
        """One uploaded file, with its bytes if small."""
        ...

    def link_file(self, job_id: str, upload_id: str) -> None:
        """Note that a job uses an uploaded file."""
        ...

    def files_of(self, job_ids: Sequence[str]) -> dict[str, list[Row]]:
        """Per job its input files in the shape of artifacts, without their bytes."""
        ...

    def jobs_using(self, upload_id: str) -> list[str]:
        """Ids of the newest jobs that use an uploaded file, 200 at most."""
        ...

    def provider_files(self, workspace: str, account: str, sha256: str) -> list[Row]:
        """Every upload of one content to a provider account, oldest first."""
        ...

    def plan_provider_file(self, row: Mapping[str, Any]) -> bool:
        """Write down the intent to upload; False if another one of the same content is in use."""
        ...

    def move_provider_file(self, file_id: str, sources: Sequence[str], **changes: Any) -> bool:
        """Change an upload's row if its state is one of `sources`; whether it was."""
        ...

    def idle_provider_files(self, now: int, n: int) -> list[Row]:
        """Copies at the provider that are due to be seen to and that no open job uses."""
        ...

    def claim_idle_file(self, file_id: str, state: str) -> bool:
        """Take a copy out of use, if it is still in that state and no open job uses its content."""
        ...
