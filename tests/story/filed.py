"""Job types that take files, a service that has them, and what happens in stories about files."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from backlane import App, File, Image, Request
from backlane.core.job import Job
from backlane.service.access import Caller
from backlane.service.forget_files import forget_files
from backlane.service.submit import Submission, submit
from backlane.service.upload import Incoming, upload
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.simulator.made_files import pdf
from tests.story.deadly import deadly_app
from tests.values import Digest

WORDS = "The old gate at the river is green because the miller painted it twice."
PDF = pdf(WORDS, "Nobody knows why he did so in winter.")


class Papers(BaseModel):
    """The inputs of the types that take files."""

    text: str = "Read what is attached."
    attachments: list[File] = []
    picture: File | None = None


class Boards(BaseModel):
    """The inputs of the type that takes pictures only."""

    boards: list[Image] = []
    cover: Image | None = None


def filed_app() -> App:
    """The small app's types, and some that take files."""
    app = deadly_app()

    @app.job("papers", authority="read_only")
    def papers(inputs: Papers) -> Request:
        given = [*inputs.attachments, *([inputs.picture] if inputs.picture else [])]
        return Request(model="gpt-6-luna", instructions="Summarise.", input=[inputs.text, *given])

    @app.job("digested", authority="read_only")
    def digested(inputs: Papers) -> Request:
        return Request(model="gpt-6-luna", instructions="Digest.", input=[*inputs.attachments], output=Digest)

    @app.job("own-items", authority="read_only")
    def own_items(inputs: Papers) -> Request:
        part = {"type": "input_image", "detail": "low", "file_id": inputs.picture}
        return Request(model="gpt-6-luna", input=[{"type": "message", "role": "user", "content": [part]}])

    @app.job("boards", authority="read_only")
    def boards(inputs: Boards) -> Request:
        given = [*inputs.boards, *([inputs.cover] if inputs.cover else [])]
        return Request(model="gpt-6-luna", input=["What do the boards say?", *given])

    @app.job("stranger", authority="read_only")
    def stranger(inputs: Papers) -> Request:
        return Request(model="gpt-6-luna", input=[File(inputs.text)])

    return app


async def filed_place(folder: Path, simulator: Running, **changes: Any) -> AsyncIterator[Place]:
    """A service with those types; with `file_inline_at_most=0` every file is uploaded to the provider."""
    chosen = settings_for(folder, simulator, **changes)
    service = build(chosen, types=filed_app(), log=lambda line: None)
    yield Place(service, simulator, chosen)
    await service.drain(grace=5)


async def sent_in(place: Place, caller: Caller, content: bytes, name: str = "gate.pdf") -> str:
    """An uploaded file's id."""

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]

    row = await upload(place.service.ports, caller, Incoming(name, None, chunks()))
    return str(row["id"])


async def asked(place: Place, caller: Caller, *files: str, type_name: str = "papers", **inputs: Any) -> Job:
    """A job with these files attached."""
    given = {**({"attachments": list(files)} if files else {}), **inputs}
    submission = Submission(type=type_name, inputs=given)
    job, _ = await submit(place.service.ports, caller, submission, key=None, body_hash="")
    return job


def calls(place: Place, *names: str) -> list[dict[str, Any]]:
    """What the provider saw of these calls."""
    return [dict(line) for line in place.simulator.world.log if line["call"] in names]


def copies(place: Place) -> list[tuple[str, str | None]]:
    """State and code of each copy's row, in order."""
    found = place.service.store.database.read_now(
        lambda connection: connection.exec_driver_sql(
            "SELECT state, code FROM provider_files ORDER BY id"
        ).all()
    )
    return [(row[0], row[1]) for row in found]


def alive(place: Place) -> int:
    """How many files the provider holds."""
    return place.simulator.world.stats()["files"]["alive"]


async def tidied(place: Place) -> None:
    """Every chore that is due is done."""
    while await forget_files(place.service.ports):
        pass


filed = filed_app()
