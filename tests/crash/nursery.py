"""A warm parent: everything is imported once, then each service process is a fork of it.

One JSON order a line on stdin, one answer a line on stdout. It has no threads, so that a fork is safe.
"""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import genai_prices  # noqa: F401  # pyright: ignore
import httpx2  # noqa: F401
import openai  # noqa: F401
import uvicorn

from backlane.settings import load_settings
from backlane.wiring import build, web
from tests.crash.outside import FileOutside
from tests.story.worker_process import killer
from tests.world.kinds import world_app


async def serve(listening: socket.socket, order: dict[str, Any]) -> None:
    """A service with a worker, until it is killed."""
    folder = Path(order["folder"])
    settings = load_settings(
        database_url=f"sqlite:///{folder}/backlane.db",
        artifacts_url=f"file:{folder}/artifacts",
        simulated=True,
        openai_api_key="sk-test-canary-5f2d",
        openai_base_url=f"{order['provider']}/v1",
        file_inline_at_most=0,
        **order["settings"],
    )
    types = world_app(FileOutside(folder), pace=0.01)
    service = build(settings, types=types, point=killer(order["armed"]), log=lambda line: None)
    if order["lock"]:
        await service.start_worker()
        pumping = None
    else:
        pumping = asyncio.create_task(service.pump.run())
    config = uvicorn.Config(web(service), log_level="critical", access_log=False, lifespan="off")
    await uvicorn.Server(config).serve(sockets=[listening])
    if pumping is not None:
        pumping.cancel()


def answer(order: dict[str, Any], listening: socket.socket) -> dict[str, Any]:
    """Carry out one order."""
    if order["do"] == "fork":
        pid = os.fork()
        if pid == 0:
            sys.stdin.close()
            asyncio.run(serve(listening, order))
            os._exit(0)
        return {"pid": pid}
    pid, status = os.waitpid(order["pid"], os.WNOHANG if order["do"] == "poll" else 0)
    return {"ended": pid != 0, "by": os.WTERMSIG(status) if pid and os.WIFSIGNALED(status) else None}


def main() -> None:
    """Serve orders until stdin ends; children do not outlive it."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(256)
    print(json.dumps({"port": listening.getsockname()[1]}), flush=True)
    children: set[int] = set()
    for line in sys.stdin:
        told = answer(json.loads(line), listening)
        if "pid" in told:
            children.add(told["pid"])
        elif told["ended"]:
            children.discard(json.loads(line)["pid"])
        print(json.dumps(told), flush=True)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
