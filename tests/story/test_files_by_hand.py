"""Files from the command line and the client, against real processes: uploaded, then named in the inputs."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backlane import AsyncClient, Client
from backlane.errors import ServiceError
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.simulator.made_files import encrypted_pdf
from tests.story.filed import PDF, WORDS, filed_app
from tests.story.test_processes import ROOT, environment, listening_port, serve

TEXTS = ROOT / "examples" / "texts"


@dataclass
class Desk:
    """A served service and how to talk to it."""

    env: dict[str, str]

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """One command: exit code, output, talk."""
        command = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "backlane.cli", *arguments, cwd=ROOT, env=self.env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(command.communicate(), 60)
        return command.returncode or 0, out.decode(), err.decode()

    @property
    def address(self) -> tuple[str, str]:
        """The service's URL and a key."""
        return self.env["BACKLANE_URL"], self.env["BACKLANE_API_KEY"]


@pytest.fixture
async def desk(tmp_path: Path, simulator: Running, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """`backlane serve` with the types that take files."""
    settings = settings_for(tmp_path, simulator)
    service = build(settings, types=filed_app(), log=lambda line: None)
    place = Place(service, simulator, settings)
    key = await place.key("root", "admin")
    changes = {"BACKLANE_APP": "tests.story.filed:filed", "BACKLANE_UPLOAD_AT_MOST": "1000000"}
    monkeypatch.setattr("tests.story.test_processes.environment", lambda place: environment(place) | changes)
    process = await serve(place, "--port", "0")
    port = await listening_port(process.pid)
    yield Desk(environment(place) | {"BACKLANE_API_KEY": key, "BACKLANE_URL": f"http://127.0.0.1:{port}"})
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 40) == 0
    await service.drain(grace=5)


async def test_files_named_on_the_command_line_are_uploaded_and_digested(desk: Desk) -> None:
    files = [f"attachments={TEXTS / name}" for name in ("levels.pdf", "gauge.csv", "board.png")]
    code, out, err = await desk.run(
        "submit", "papers", *[part for file in files for part in ("--file", file)], "--wait", "--json"
    )
    assert code == 0, err
    assert "uploaded levels.pdf as art_" in err
    job = json.loads(out)
    assert [(row["name"], row["media_type"]) for row in job["artifacts"] if row["kind"] == "input"] == [
        ("levels.pdf", "application/pdf"),
        ("gauge.csv", "text/csv"),
        ("board.png", "image/png"),
    ]
    _, shown, _ = await desk.run("show", job["id"])
    assert "The highest level was 214 centimetres on the 9th of August, after two days of rain." in shown


async def test_one_file_fits_a_list_and_a_single_field(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "gate.pdf"
    path.write_bytes(PDF)
    for name in ("attachments", "picture"):
        code, out, err = await desk.run("submit", "papers", "--file", f"{name}={path}", "--wait")
        assert code == 0, err
        assert "completed" in out
    inputs = tmp_path / "inputs.json"
    inputs.write_text(json.dumps({"attachments": [], "text": "Read."}))
    code, _, err = await desk.run(
        "submit", "papers", "--inputs", str(inputs), "--file", f"attachments={path}"
    )
    assert code == 0, err


async def test_a_picture_is_taken_where_one_is_asked_for_and_a_table_is_named_as_what_it_is(
    desk: Desk,
) -> None:
    picture, table = TEXTS / "board.png", TEXTS / "gauge.csv"
    for name in ("boards", "cover"):
        code, out, err = await desk.run("submit", "boards", "--file", f"{name}={picture}", "--wait")
        assert (code, "completed" in out) == (0, True), err
    for name, place in (("boards", "boards/0"), ("cover", "cover")):
        code, _, err = await desk.run("submit", "boards", "--file", f"{name}={table}")
        told = f"/inputs/{place}: must be a picture (PNG, JPEG, GIF or WebP), this file is text/csv"
        assert (code, told in err) == (1, True), err


async def test_a_file_that_is_not_taken_is_one_line_with_the_mend(desk: Desk, tmp_path: Path) -> None:
    locked, large = tmp_path / "locked.pdf", tmp_path / "large.txt"
    locked.write_bytes(encrypted_pdf())
    large.write_text("green " * 400_000)
    cases = [
        (["--file", f"attachments={locked}"], 1, "is an encrypted PDF; send it without a password"),
        (["--file", f"attachments={large}"], 1, "A file may have at most 1000000 bytes"),
        (["--file", f"attachments={tmp_path / 'none.pdf'}"], 2, "there is no file at"),
        (["--file", "attachments"], 2, "must be name=path"),
    ]
    for arguments, code, words in cases:
        got, _, err = await desk.run("submit", "papers", *arguments)
        assert got == code, err
        assert words in err
        assert len(err.strip().splitlines()) == 1, err
    unknown = await desk.run("submit", "papers", "--file", f"colour={locked.parent / 'x'}")
    assert unknown[0] == 2
    locked.write_bytes(PDF)
    got, _, err = await desk.run("submit", "papers", "--file", f"colour={locked}")
    assert (got, "/inputs/colour: is not a known field" in err) == (1, True), err


async def test_both_clients_upload_paths_and_bytes(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "gate.pdf"
    path.write_bytes(PDF)

    def blocking() -> tuple[str, str]:
        with Client(*desk.address) as client:
            file = client.upload(path)
            noted = client.upload(WORDS.encode(), name="notes.txt", media_type="text/plain")
            assert client.content(file.id) == PDF
            assert (file.data["name"], noted.data["media_type"]) == ("gate.pdf", "text/plain")
            job = client.submit("papers", {"attachments": [file.id, noted.id]})
            return job.id, client.wait(job.id).text or ""

    _, text = await asyncio.to_thread(blocking)
    assert WORDS in text
    async with AsyncClient(*desk.address) as client:
        file = await client.upload(str(path), name="other.pdf")
        assert (file.data["name"], file.data["bytes"]) == ("other.pdf", len(PDF))
        with pytest.raises(ServiceError, match="at most 1000000 bytes"):
            await client.upload(b"green " * 400_000)
        with pytest.raises(ServiceError, match="cannot read"):
            await client.upload(tmp_path / "none.pdf")
