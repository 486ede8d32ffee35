"""The outside of the crash harness: a file that survives every kill, with one line for each effect."""

import asyncio
import os
from pathlib import Path
from typing import Any

from backlane import Receipt
from tests.world.kinds_acting import receipt

# Orders that are never answered: after the effect, or before it.
HANGS, NEVER = "HANG", "LOST"


class FileOutside:
    """What the job types of one machine act on."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "effects"

    async def take(self, key: str, arguments: dict[str, Any]) -> Receipt:
        """Let it take effect; the word in its arguments says whether it answers."""
        words = str(arguments)
        await asyncio.sleep(0.01)
        if NEVER not in words:
            with self._file.open("a") as file:
                file.write(f"{key}\n")
                file.flush()
                os.fsync(file.fileno())
        if NEVER in words or HANGS in words:
            await asyncio.Event().wait()
        await asyncio.sleep(0.01)
        return receipt(key)

    async def find(self, key: str) -> Receipt | None:
        """What took effect."""
        return receipt(key) if key in self.effects() else None

    def effects(self) -> list[str]:
        """Each effect's key, in order."""
        return self._file.read_text().split() if self._file.exists() else []
