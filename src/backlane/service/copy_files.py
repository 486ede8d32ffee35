"""Copying out what a run's code left in its containers, with a row for each file: a container is lost after 20 minutes.

A file that cannot be had any more is noted and costs the job nothing else. What other runs left is not copied: a
draft that was sent back stays closed, and a container that a request names may be anybody's.
"""

import mimetypes
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from backlane.core.event import Event
from backlane.core.job import Attempt
from backlane.core.outcome import (
    Answer,
    CitedFile,
    Container,
    ContainerFile,
    FileBytes,
    FileList,
    FileListOutcome,
    FileLost,
    FileOutcome,
    NoList,
    NotSent,
    Unknown,
)
from backlane.service.outputs import Output, store_output
from backlane.service.ports import Ports

# A file whose copy fails is asked for so often, and after such pauses (milliseconds); longer ones where the
# provider asks for them, but not for ever: its container will not last.
_TRIES, _PAUSE, _PAUSE_AT_MOST = 3, 500, 30_000
# All pauses of one answer together, milliseconds: a worker waits, and others' work with it.
_PATIENCE = 60_000
# How many files of one answer are asked for, how many rows name one, and how many containers are asked for theirs.
_COPIED_AT_MOST, _NAMED_AT_MOST, _LISTED_AT_MOST = 50, 200, 10
TOO_MANY = "too_many_files"

Pair = tuple[str, str]


@dataclass(slots=True)
class Copying:
    """The files of one answer: what is stored, a row for each, and events that tell of what was lost.

    `seen` are the files that earlier runs of the job have rows for, by container and file.
    """

    ports: Ports
    attempt: Attempt
    seen: Set[Pair]
    outputs: list[Output] = field(default_factory=list[Output])
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    told: list[Event] = field(default_factory=list[Event])
    patience: int = _PATIENCE
    asked: int = 0
    unnamed: int = 0

    async def all_of(self, answer: Answer) -> None:
        """Copy what the answer cites, then what its containers hold beside that."""
        cited = {_pair(file) for file in answer.files}
        for file in answer.files:
            await self._copy(file, cited=True)
        for container in answer.containers[:_LISTED_AT_MOST]:
            await self._copy_uncited(container, cited)
        if len(answer.containers) > _LISTED_AT_MOST:
            left = len(answer.containers) - _LISTED_AT_MOST
            self._lost("not_listed", {"containers": left})
        if self.unnamed:
            self._lost(TOO_MANY, {"files": self.unnamed})
        codes = Counter(row["code"] for row in self.rows if row["code"] is not None)
        if codes:
            told = ", ".join(f"{code} ({count})" for code, count in codes.items())
            self.ports.log(f"attempt {self.attempt.id}: container files could not be copied: {told}")

    async def _copy_uncited(self, container: Container, cited: Set[Pair]) -> None:
        where = {"container_id": container.id}
        if container.shared:
            self._lost("container_shared", where)
            return
        got = await self._had(
            lambda: self.ports.provider.container_files(self.attempt.provider_account, container.id)
        )
        if not isinstance(got, FileList):
            self._lost(got.code if isinstance(got, NoList) else "not_listed", where)
            return
        for one in got.files:
            pair = _pair(one.file)
            earlier = pair in self.seen or _is_before(one, container)
            if not (one.given or earlier or pair in cited):
                await self._copy(one.file, cited=False)
        if not got.whole:
            self._lost(TOO_MANY, where)

    async def _copy(self, file: CitedFile, *, cited: bool) -> None:
        name = label(file.name)
        row = {"name": name, "container_id": file.container_id, "file_id": file.file_id, "cited": cited}
        if self.asked >= _COPIED_AT_MOST:
            self._too_many(row)
            return
        self.asked += 1
        got = await self._had(lambda: self.ports.provider.container_file(self.attempt.provider_account, file))
        if not isinstance(got, FileBytes):
            self._lost(got.code if isinstance(got, FileLost) else "not_copied", row)
            return
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        output = await store_output(self.ports, "file", name, media_type, got.content)
        self.outputs.append(output)
        self.rows.append({**row, "bytes": output.size, "sha256": output.sha256, "code": None})

    def _too_many(self, row: Mapping[str, Any]) -> None:
        if len(self.rows) < _NAMED_AT_MOST:
            self._lost(TOO_MANY, row)
        else:
            self.unnamed += 1

    def _lost(self, code: str, row: Mapping[str, Any]) -> None:
        """A row, and an event, for what is not copied."""
        known = {"name": None, "container_id": None, "file_id": None, "cited": False}
        self.rows.append({**known, **row, "bytes": None, "sha256": None, "code": code})
        data = {"attempt": self.attempt.id, "kind": "container_file", "code": code}
        self.told.append(Event("tool.answered", self.ports.clock.now(), "provider", data))

    async def _had(
        self, ask: Callable[[], Awaitable[FileOutcome | FileListOutcome]]
    ) -> FileOutcome | FileListOutcome:
        """What the provider says, asked again while that may help and there is time."""
        got, tries = await ask(), 1
        while isinstance(got, NotSent | Unknown) and tries < _TRIES:
            wait = got.retry_after if isinstance(got, Unknown) else None
            if not await self._wait(max(min(wait or 0, _PAUSE_AT_MOST), _PAUSE * 2 ** (tries - 1))):
                break
            got, tries = await ask(), tries + 1
        return got

    async def _wait(self, pause: int) -> bool:
        """Wait; whether there was the time for it."""
        pause = min(pause, self.patience)
        self.patience -= pause
        await self.ports.clock.sleep(pause)
        return pause > 0


def _pair(file: CitedFile) -> Pair:
    return file.container_id, file.file_id


def _is_before(file: ContainerFile, container: Container) -> bool:
    """Whether a file was there before the run was: another run's."""
    made, since = file.created_at, container.since
    return made is not None and since is not None and made < since


def label(name: str) -> str:
    """A file's name without folders and without what no terminal should be shown."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(char if char.isprintable() else "_" for char in last).strip(". ")
    return shown[:200] or "file"
