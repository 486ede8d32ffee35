"""Real processes on a real disk: killed at every named point, drained, locked out; nothing is lost or bought twice."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backlane.service import control
from backlane.service.read import read_job
from tests.conftest import Place
from tests.story import worker_process
from tests.story.acts import creates, fault, script, seen, submitted, verified
from tests.story.forked import run_worker

ROOT = Path(__file__).parents[2]


async def work(place: Place, folder: Path, armed: str = "") -> int:
    """Run a worker process until it is done or dead; its exit code."""
    return await run_worker(worker_process.main, place, folder, armed)


async def resolve_all(place: Place, jobs: list[str]) -> int:
    """An operator attaches every lost run from the provider's own log; how many there were."""
    olga = await place.caller("olga", "operator")
    runs = {
        line["metadata"]["backlane_attempt"]: line["response_id"]
        for line in place.simulator.world.log
        if line["call"] == "create" and line["response_id"]
    }
    count = 0
    for job_id in jobs:
        view = await read_job(place.service.ports, olga, job_id)
        if view["phase"] == "submission_unknown":
            attempt = view["attempts"][-1]["id"]
            choice = "attach" if attempt in runs else "run_again"
            await control.resolve(
                place.service.ports, olga, job_id, choice, provider_response_id=runs.get(attempt)
            )
            count += 1
    return count


POINTS = [f"{name}:{nth}" for name in ("planned", "sending", "answered", "looked") for nth in (1, 2, 3)]


@pytest.mark.parametrize("armed", POINTS)
async def test_a_worker_killed_at_any_point_loses_nothing_and_buys_nothing_twice(
    outside: Place, tmp_path: Path, armed: str
) -> None:
    ana = await outside.caller()
    jobs = [(await submitted(outside, ana, kind)).id for kind in ("digest", "checked", "plain", "draft")]
    assert await work(outside, tmp_path, armed) == -signal.SIGKILL
    assert await work(outside, tmp_path) == 0
    lost = await resolve_all(outside, jobs)
    if lost:
        assert await work(outside, tmp_path) == 0
    views = [await read_job(outside.service.ports, ana, job) for job in jobs]
    assert [view["status"] for view in views] == ["completed", "completed", "completed", "needs_review"]
    assert outside.simulator.world.stats()["duplicates"] == 0
    never_sent = 1 if armed.startswith("sending") else 0
    bought = sum(len(view["attempts"]) for view in views) - never_sent * (lost > 0)
    assert creates(outside) <= bought
    verified(outside)


async def test_a_worker_killed_while_it_stores_a_large_output_stores_it_whole_the_next_time(
    outside: Place, tmp_path: Path
) -> None:
    ana = await outside.caller()
    script(outside, {"running_seconds": 0.1, "text": "otters " * 10_000})
    job = await submitted(outside, ana, "plain")
    assert await work(outside, tmp_path, "artifact:1") == -signal.SIGKILL
    view = await read_job(outside.service.ports, ana, job.id)
    assert (view["status"], view["artifacts"]) != ("completed", [])
    assert await work(outside, tmp_path) == 0
    view = await read_job(outside.service.ports, ana, job.id)
    assert [row["bytes"] for row in view["artifacts"] if row["kind"] == "result"] == [70_000]
    assert creates(outside) == 1
    verified(outside)


async def test_a_worker_killed_in_the_middle_of_a_cancel_still_ends_it_canceled(
    outside: Place, tmp_path: Path
) -> None:
    ana = await outside.caller()
    script(outside, {"running_seconds": 100})
    job = await submitted(outside, ana)
    assert await work(outside, tmp_path, "looked:1") == -signal.SIGKILL
    assert (await control.cancel(outside.service.ports, ana, job.id, None)).phase == "canceling"
    assert await work(outside, tmp_path, "cancel_sent:1") == -signal.SIGKILL
    assert await work(outside, tmp_path) == 0
    assert (await read_job(outside.service.ports, ana, job.id))["status"] == "canceled"
    assert outside.simulator.world.stats()["runs"] == {"cancelled": 1}
    verified(outside)


async def test_a_job_that_keeps_stopping_its_worker_is_set_aside_and_its_neighbours_are_not(
    outside: Place, tmp_path: Path
) -> None:
    ana = await outside.caller()
    deadly = (await submitted(outside, ana, "deadly")).id
    others = [(await submitted(outside, ana, "checked")).id for _ in range(3)]
    codes = []
    while len(codes) < 8 and (not codes or codes[-1] != 0):
        codes.append(await work(outside, tmp_path))
    assert codes == [11, 11, 11, 0]
    view = await read_job(outside.service.ports, ana, deadly)
    assert (view["status"], view["failure"]["cause"], view["failure"]["code"]) == (
        "failed",
        "internal",
        "worker_crashed",
    )
    for job in others:
        assert (await read_job(outside.service.ports, ana, job))["status"] == "completed"
    assert creates(outside) == 4
    verified(outside)


def environment(place: Place) -> dict[str, str]:
    return {
        **{
            name: value for name, value in os.environ.items() if not name.startswith(("BACKLANE_", "OPENAI_"))
        },
        "BACKLANE_DATABASE_URL": place.settings.database_url,
        "BACKLANE_ARTIFACTS_URL": place.settings.artifacts_url,
        "BACKLANE_APP": "examples.jobs:app",
        "BACKLANE_SIMULATED": "1",
        "BACKLANE_PORT": "0",
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": f"{place.simulator.url}/v1",
        "OPENAI_WEBHOOK_SECRET": " ".join(place.settings.webhook_secrets()),
    }


async def serve(place: Place, *more: str) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "backlane.cli",
        "serve",
        *more,
        cwd=ROOT,
        env=environment(place),
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
    assert "serving http://" in line or more, line
    return process


async def test_on_sigterm_a_create_in_flight_is_awaited_and_the_exit_is_clean(outside: Place) -> None:
    ana = await outside.caller()
    script(outside, {"running_seconds": 30})
    fault(outside, "slow", call="create", when="after", seconds=1)
    process = await serve(outside)
    body = {"type": "digest", "inputs": {"title": "x", "text": "A sentence about otters."}}
    from examples.jobs import app

    from backlane.service.submit import Submission, submit

    outside.service.ports.types._types.update(app._types)  # pyright: ignore
    job, _ = await submit(outside.service.ports, ana, Submission(**body), key=None, body_hash="")
    await seen(
        outside,
        ana,
        job.id,
        lambda view: bool(view["attempts"]) and view["attempts"][0]["state"] == "sending",
    )
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 40) == 0
    view = await read_job(outside.service.ports, ana, job.id)
    assert view["attempts"][0]["state"] == "accepted"
    assert creates(outside) == 1


async def test_a_second_worker_on_the_same_file_is_refused_in_one_line(outside: Place) -> None:
    first = await serve(outside)
    second = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "backlane.cli",
        "worker",
        cwd=ROOT,
        env=environment(outside),
        stderr=subprocess.PIPE,
    )
    _, told = await asyncio.wait_for(second.communicate(), 30)
    lines = told.decode().strip().splitlines()
    assert second.returncode == 1
    assert len(lines) == 1
    assert f"process {first.pid}" in lines[0]
    assert "--no-worker" in lines[0]
    first.terminate()
    assert await asyncio.wait_for(first.wait(), 40) == 0


async def test_a_killed_worker_frees_its_lock(outside: Place) -> None:
    first = await serve(outside)
    first.kill()
    await first.wait()
    again = await serve(outside)
    again.terminate()
    assert await asyncio.wait_for(again.wait(), 40) == 0


MISTAKES = [
    ({"BACKLANE_DATABASE_URL": "nonsense"}, ["migrate"], 2, "BACKLANE_DATABASE_URL"),
    ({"BACKLANE_DATABASE_URL": "sqlite:////proc/nowhere/x.db"}, ["migrate"], 2, "BACKLANE_DATABASE_URL"),
    ({"BACKLANE_PORT": "99999"}, ["serve"], 2, "BACKLANE_PORT"),
    ({"BACKLANE_APP": "no.such.module:app"}, ["serve"], 2, "BACKLANE_APP"),
    ({"BACKLANE_APP": "examples.jobs:nothing"}, ["serve"], 2, "BACKLANE_APP"),
    ({"BACKLANE_APP": "examples"}, ["serve"], 2, "BACKLANE_APP"),
    ({"BACKLANE_ENGINE": "celery"}, ["serve"], 2, "BACKLANE_ENGINE"),
    ({"OPENAI_API_KEY": ""}, ["worker"], 2, "OPENAI_API_KEY"),
    ({"BACKLANE_URL": "http://127.0.0.1:9"}, ["jobs"], 4, "BACKLANE_URL"),
    ({}, ["bogus"], 2, "--help"),
    ({}, ["submit"], 2, "--help"),
    ({}, ["submit", "digest", "--input", "novalue"], 2, "name=value"),
    ({}, ["submit", "digest", "--inputs", "/no/such/file"], 2, "--inputs"),
    ({}, ["keys", "create", "--role", "king"], 2, "--help"),
    ({}, ["keys", "revoke", "key_nobody"], 3, "keys list"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "arguments", "code", "names"), MISTAKES, ids=[str(row[1] + list(row[0])) for row in MISTAKES]
)
def test_a_mistake_on_the_command_line_is_one_line_with_the_mend(
    tmp_path: Path, changes: dict[str, str], arguments: list[str], code: int, names: str
) -> None:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("BACKLANE_", "OPENAI_"))
    }
    base = {
        "BACKLANE_DATABASE_URL": f"sqlite:///{tmp_path}/x.db", "BACKLANE_ARTIFACTS_URL": f"file:{tmp_path}/a",
        "BACKLANE_APP": "examples.jobs:app", "OPENAI_API_KEY": "sk-canary-77", "BACKLANE_PORT": "0",
    }  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-m", "backlane.cli", *arguments],
        env={**clean, **base, **changes}, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == code, result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    assert names in result.stderr
    assert "Traceback" not in result.stderr
    assert "canary" not in result.stderr + result.stdout


async def test_the_commands_carry_a_job_from_submit_to_its_result(outside: Place, tmp_path: Path) -> None:
    process = await serve(outside, "--port", "0")
    assert process.stderr is not None
    env = environment(outside)

    async def run(*arguments: str) -> tuple[int, str, str]:
        command = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "backlane.cli", *arguments, cwd=ROOT, env=env,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(command.communicate(), 60)
        return command.returncode or 0, out.decode(), err.decode()

    _, key, _ = await run("keys", "create", "--role", "admin", "--name", "root", "--json")
    port = await listening_port(process.pid)
    env |= {"BACKLANE_API_KEY": json.loads(key)["key"], "BACKLANE_URL": f"http://127.0.0.1:{port}"}
    (tmp_path / "inputs.json").write_text(
        json.dumps({"title": "Otters", "text": "Sea otters float on their backs."})
    )
    code, out, err = await run(
        "submit", "digest", "--inputs", str(tmp_path / "inputs.json"), "--wait", "--json"
    )
    assert code == 0, err
    job = json.loads(out)
    assert job["status"] == "completed"
    assert job["id"] in (await run("jobs", "--status", "completed"))[1]
    code, out, _ = await run("show", job["id"])
    assert "Sea otters float on their backs." in out
    code, out, err = await run("watch", job["id"])
    assert "job.completed" in out
    assert "completed" in err
    assert (await run("show", "job_nobody"))[0] == 3
    assert (await run("cancel", job["id"]))[0] == 3
    code, out, _ = await run("retry", job["id"], "--json")
    assert json.loads(out)["retry_of"] == job["id"]
    code, out, _ = await run(
        "submit", "reply-draft", "--input", "title=x", "--input", "text=Hello there, all.", "--wait"
    )
    assert code == 0
    assert "needs_review/output" in out
    assert "output" in (await run("reviews"))[1]
    code, out, _ = await run("doctor", "--verify")
    assert code == 0, out
    assert "I06: holds" in out
    env["BACKLANE_API_KEY"] = "blk_wrong"
    assert (await run("jobs"))[0] == 3
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 40) == 0


async def listening_port(pid: int) -> int:
    """The port a process listens on, from the kernel's own table."""
    inodes = {str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
            return int(fields[1].split(":")[1], 16)
    raise AssertionError("the service listens nowhere")
