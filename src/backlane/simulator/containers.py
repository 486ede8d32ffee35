"""The containers that code ran in: their files, until nobody used them for a while. An expired one never comes back."""

from dataclasses import dataclass, field, replace
from typing import Any

from backlane.simulator.protocol import Refusal


@dataclass(frozen=True, slots=True)
class ContainerFile:
    """One file in a container."""

    id: str
    path: str
    data: bytes
    source: str
    created_at: float = 0.0
    # Whether the answer names it.
    cited: bool = True

    @property
    def filename(self) -> str:
        """Its name without folders."""
        return self.path.rpartition("/")[2]


@dataclass(slots=True)
class Container:
    """One container. Times are seconds since 1970; it exists from `created_at` on."""

    id: str
    created_at: float = 0.0
    used_at: float = 0.0
    files: list[ContainerFile] = field(default_factory=list[ContainerFile])
    gone: bool = False

    def is_expired(self, now: float, minutes: float) -> bool:
        """Whether its files are lost."""
        return self.gone or now >= self.used_at + minutes * 60


class Containers:
    """Every container there was."""

    def __init__(self) -> None:
        self._containers: dict[str, Container] = {}

    def start(self, container: Container, starts_at: float, ends_at: float) -> None:
        """Hold a container that a run uses until it ends; files in one that exists already stay."""
        held = self._containers.get(container.id)
        container.files = [replace(file, created_at=starts_at) for file in container.files]
        if held is not None:
            held.files += container.files
            held.used_at = max(held.used_at, ends_at)
            return
        container.created_at, container.used_at = starts_at, ends_at
        self._containers[container.id] = container

    def find(self, container_id: str, now: float) -> Container | None:
        """A container that exists by now, expired or not."""
        held = self._containers.get(container_id)
        return held if held is not None and now >= held.created_at else None

    def get(self, container_id: str, now: float) -> Container:
        """A container that exists by now. Raises the 404 Refusal."""
        held = self.find(container_id, now)
        if held is None:
            raise Refusal(404, f"Container with id '{container_id}' not found.")
        return held


def shown(container: Container, now: float, minutes: float) -> dict[str, Any]:
    """The container object."""
    return {
        "id": container.id,
        "object": "container",
        "created_at": int(container.created_at),
        "status": "expired" if container.is_expired(now, minutes) else "running",
        "expires_after": {"anchor": "last_active_at", "minutes": int(minutes)},
        "last_active_at": int(container.used_at),
        "memory_limit": "1g",
        "name": f"Container {container.id[-6:]}",
    }


def shown_file(container: Container, file: ContainerFile) -> dict[str, Any]:
    """The object of one of its files."""
    return {
        "id": file.id,
        "object": "container.file",
        "created_at": int(file.created_at),
        "bytes": len(file.data),
        "container_id": container.id,
        "path": file.path,
        "source": file.source,
    }


def file_of(container: Container, file_id: str) -> ContainerFile:
    """One of its files. Raises the 404 Refusal."""
    for file in container.files:
        if file.id == file_id:
            return file
    raise Refusal(404, f"Container file with id '{file_id}' not found.")
