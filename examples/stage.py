"""The demo's stage: real processes on a real disk, a real simulator over HTTP, and a record of what was shown."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backlane import Client
from backlane.errors import ServiceError

ROOT = Path(__file__).resolve().parent.parent
COMMAND = [sys.executable, "-m", "backlane.cli"]
PATIENCE = 60.0


class Failed(Exception):
    """A step did not show what it must."""


class Stage:
    """Processes, keys and checks of one demo."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checks: list[dict[str, Any]] = []
        self.simulator_url = ""
        self.url = ""
        self._simulator: subprocess.Popen[str] | None = None
        self._service: subprocess.Popen[str] | None = None
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")
        }
        self._environment |= {
            "BACKLANE_DATABASE_URL": f"sqlite:///{folder}/backlane.db",
            "BACKLANE_ARTIFACTS_URL": f"file:{folder}/artifacts",
            "BACKLANE_APP": "examples.jobs:app",
            "BACKLANE_SIMULATED": "1",
            "BACKLANE_UNKNOWN_WAIT": "1",
            "EXAMPLE_PAYMENTS": f"{folder}/payments.jsonl",
            "EXAMPLE_PAYMENTS_SECONDS": "2",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        }

    def open(self) -> None:
        """Start the simulator and the service."""
        self._simulator = self._start(["simulator", "--port", "0", "--seed", "7"])
        self.simulator_url = _place(self._simulator)
        self._environment |= {"OPENAI_API_KEY": "sk-demo", "OPENAI_BASE_URL": f"{self.simulator_url}/v1"}
        self.start_service()

    def start_service(self) -> None:
        """Start `backlane serve` on the demo's database."""
        port = self.url.rsplit(":", 1)[-1] if self.url else "0"
        self._service = self._start(["serve", "--port", port])
        self.url = _place(self._service)

    def kill_service(self) -> None:
        """kill -9, in the middle of whatever it does."""
        assert self._service is not None
        self._service.send_signal(signal.SIGKILL)
        self._service.wait()

    def close(self) -> int:
        """Stop everything politely; the service's exit code."""
        code = 0
        for process in (self._service, self._simulator):
            if process is not None and process.poll() is None:
                process.terminate()
                code = code or process.wait(timeout=60)
        return code

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a `backlane` command on the demo's database."""
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self._environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    def client(self, name: str, role: str) -> Client:
        """A client with a fresh key of this person."""
        made = self.command("keys", "create", "--role", role, "--name", name, "--json")
        if made.returncode != 0:
            raise Failed(f"no key for {name}: {made.stderr.strip()}")
        return Client(self.url, json.loads(made.stdout)["key"])

    def simulator(self, path: str, body: Any = None) -> Any:
        """Talk to the simulator's control surface."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.simulator_url}/_sim/{path}", data)
        request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def check(self, name: str, ok: bool, told: str = "") -> None:
        """Record that a step showed what it must. Raises Failed if it did not."""
        self.checks.append({"name": name, "ok": bool(ok)})
        print(f"  {'✓' if ok else '✗'} {name}{': ' + told if told else ''}", flush=True)
        if not ok:
            raise Failed(name)

    def payments(self) -> list[dict[str, Any]]:
        """The refunds that were really made, by the outside world's own list."""
        path = self.folder / "payments.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def refused(self, ask: Callable[[], Any]) -> str | None:
        """Why the service refuses what is asked; None if it does not."""
        try:
            ask()
        except ServiceError as error:
            return str(error)
        return None

    def _start(self, arguments: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *arguments], env=self._environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
        )


def _place(process: subprocess.Popen[str]) -> str:
    """The address a process says it serves at."""
    assert process.stderr is not None
    told: list[str] = []
    for line in process.stderr:
        told.append(line.strip())
        for word in line.split():
            if word.startswith("http://"):
                return word.removesuffix("/v1").rstrip("/")
    raise Failed(f"a process did not start: {' '.join(told)}")


def until(what: str, look: Callable[[], Any]) -> Any:
    """Look until there is something to see. Raises Failed after a minute."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        if found := look():
            return found
        time.sleep(0.05)
    raise Failed(f"waited in vain for {what}")


def fresh_stage() -> Stage:
    """A stage in a folder of its own."""
    return Stage(Path(tempfile.mkdtemp(prefix="backlane-demo-")))
