"""What a product would write without Backlane: create in background mode, retrieve until it ends, store nothing.

`fixed` retrieves every 2 seconds; `following` waits as Backlane's schedule says.
"""

import argparse
import asyncio
import json
import random
import resource
import time
from collections.abc import Callable
from typing import Any

from examples.jobs import Text, research_report
from openai import AsyncOpenAI

from backlane.core.schedule import Timings, look_delay

_ENDED = ("completed", "failed", "incomplete", "cancelled")
INPUTS = {"title": "A note", "text": "The lift is broken again. Guests carry 12 bags. " * 8}
TYPE = "research-report"


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _fixed(age: float) -> float:
    return 2.0


def _following(age: float) -> float:
    return look_delay(int(age * 1000), Timings(), None, random.random()) / 1000


async def _one(client: AsyncOpenAI, wait: Callable[[float], float]) -> int:
    params: dict[str, Any] = research_report(Text(**INPUTS)).params()
    responses: Any = client.responses
    run: Any = await responses.create(**params, background=True)
    begun, looks = time.monotonic(), 0
    while run.status not in _ENDED:
        await asyncio.sleep(wait(time.monotonic() - begun))
        run = await responses.retrieve(run.id)
        looks += 1
    if not run.output_text:
        raise RuntimeError("a run ended without a text")
    return looks


async def _all(url: str, jobs: int, wait: Callable[[float], float]) -> None:
    client = AsyncOpenAI(api_key="sk-simulated", base_url=url, max_retries=0)
    before, begun = _cpu(), time.monotonic()
    looks = await asyncio.gather(*(_one(client, wait) for _ in range(jobs)))
    found = resource.getrusage(resource.RUSAGE_SELF)
    measured = {
        "cpu_seconds": _cpu() - before,
        "wall_seconds": time.monotonic() - begun,
        "looks_per_job": sum(looks) / jobs,
        "rss_mib": found.ru_maxrss / 1024,
    }
    print(json.dumps(measured))
    await client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("schedule", choices=("fixed", "following"))
    parser.add_argument("url")
    parser.add_argument("jobs", type=int)
    given = parser.parse_args()
    asyncio.run(_all(given.url, given.jobs, _fixed if given.schedule == "fixed" else _following))
