"""Servers in processes of their own, on loopback: started, measured from outside, and stopped by their own pid."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")
CLI = ("-m", "backlane.cli")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used so far: CPU seconds, and the memory it holds now."""

    cpu_seconds: float
    rss_mib: float


def usage(pid: int) -> Usage:
    """A running process as /proc tells it."""
    # The command's name may hold spaces and brackets: the numbers begin after its last bracket.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    kibibytes = next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
    return Usage((int(fields[11]) + int(fields[12])) / _TICKS, kibibytes / 1024)


def free_port() -> int:
    """A port nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**given: str) -> dict[str, str]:
    """This process's environment without settings of the product, and with the given ones."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("BACKLANE_", "OPENAI_"))
    }
    return {**kept, **given}


def service_environment(folder: Path, provider: str = "http://127.0.0.1:9/v1") -> dict[str, str]:
    """The settings of a service on a folder of its own, with the example job types."""
    return environment(
        BACKLANE_APP="examples.jobs:app",
        BACKLANE_DATABASE_URL=f"sqlite:///{folder}/backlane.db",
        BACKLANE_ARTIFACTS_URL=f"file:{folder}/artifacts",
        BACKLANE_SIMULATED="1",
        OPENAI_API_KEY="sk-simulated",
        OPENAI_BASE_URL=provider,
    )


def run(arguments: Sequence[str], settings: Mapping[str, str]) -> str:
    """Run a Python command to its end; what it printed. Raises CalledProcessError."""
    done = subprocess.run(
        [sys.executable, *arguments], env=settings, cwd=ROOT, check=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, timeout=300,
    )  # fmt: skip
    return done.stdout


def make_key(settings: Mapping[str, str]) -> str:
    """A fresh submitter's key of a service."""
    return run([*CLI, "keys", "create", "--role", "submitter", "--name", "bench"], settings).strip()


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers, and how long it took to."""

    pid: int
    port: int
    ready_seconds: float

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serving(
    arguments: Sequence[str], settings: Mapping[str, str], ready: str, *, port: int | None = None
) -> Generator[Server]:
    """A Python command as a server on a port of its own (`--port`), once `ready` answers; ended afterwards."""
    port, begun = port or free_port(), time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments, "--port", str(port)],
        env=dict(settings), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _await_ready(process, f"http://127.0.0.1:{port}{ready}", begun + 60)
        yield Server(process.pid, port, time.perf_counter() - begun)
    finally:
        stop(process)


def _await_ready(process: subprocess.Popen[bytes], url: str, until: float) -> None:
    while time.perf_counter() < until:
        if process.poll() is not None:
            raise RuntimeError(f"a server ended with {process.returncode} before it answered")
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.005)
    raise RuntimeError("a server did not answer in a minute")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started here, politely first."""
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
