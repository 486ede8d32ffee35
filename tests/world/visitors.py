"""People who come through the newer doors: they ask for live text, for tools, and bring files."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from backlane.service.upload import Incoming, upload
from tests.world.kinds import KINDS
from tests.world.people import Requester
from tests.world.process import Process

TEXTS = (
    "Sea otters float on their backs while they rest. They wrap themselves in kelp so that they do not drift away. "
    "A mother keeps her pup on her belly, and combs it for hours.",
    "Order AB-1234 came 3 days late. The customer wrote about it in May, and nobody has answered since.",
    "Order CD-99 came 30 days late, and one more after it.",
    "A bad sentence about order EF-7, which took 13 weeks.",
)
_FILES = (
    ("note.txt", b"The old gate at the river is green because the miller painted it twice.\n"),
    ("ships.csv", b"ship,port,crew\n" + b"".join(b"Aurora %d,Varna,%d\n" % (n, n * 7) for n in range(30))),
    ("tides.csv", b"day,high,low\n" + b"".join(b"%d,%d.5,%d.25\n" % (n, n % 7, n % 3) for n in range(40))),
    # More than travels in a row of the database.
    ("log.txt", b"".join(b"Watch %d: the wind is steady and the sea is calm.\n" % n for n in range(400))),
)


@dataclass(slots=True)
class Visitor(Requester):
    """Somebody whose work needs a stream, tools or files, whichever doors are open."""

    brought: list[str] = field(default_factory=list[str])

    async def body(self, process: Process) -> dict[str, Any]:
        """What is asked for next; its files are sent in first."""
        doors = [door for door in self.world.weather.doors if door in ("live", "tools", "files")]
        door = "live" if "live" in doors and self.chance.random() < 0.4 else self.chance.choice(doors)
        kind = self.chance.choice(KINDS[door])
        if door != "files":
            more = {"live": True} if "live" in self.world.weather.doors and self.chance.random() < 0.2 else {}
            return {"type": kind, "inputs": {"text": self.chance.choice(TEXTS)}, **more}
        attachments = [await self._file(process) for _ in range(self.chance.randint(1, 2))]
        return {"type": kind, "inputs": {"text": self.chance.choice(TEXTS), "attachments": attachments}}

    async def _file(self, process: Process) -> str:
        """A file of this person: one that is here already, or the same content once more."""
        if self.brought and self.chance.random() < 0.4:
            return self.chance.choice(self.brought)
        return await self.bring(process, self.chance.choice(_FILES))

    async def bring(self, process: Process, file: tuple[str, bytes]) -> str:
        """Send a file in; its id."""
        name, content = file

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(content), 5000):
                yield content[start : start + 5000]

        row = await process.ask(upload(process.ports, self.caller, Incoming(name, None, chunks())))
        self.brought.append(str(row["id"]))
        return self.brought[-1]
