"""SIGSTOP past the lease: a zombie wakes, and finds that it may keep facts but decide nothing."""

import asyncio
import os
import random
import signal

import pytest

from tests.crash.machine import Machine
from tests.crash.test_kills import machine

__all__ = ["machine"]


@pytest.mark.parametrize("seed", range(1, 3))
async def test_a_worker_stopped_past_its_lease_does_nothing_twice(machine: Machine, seed: int) -> None:
    chance = random.Random(seed)
    machine.lock = False
    machine.settings |= {"lease": 0.6, "call_timeout": 1.0}
    first, second = await machine.fork(), await machine.fork()
    for _ in range(6):
        machine.give()
        await asyncio.sleep(chance.uniform(0.05, 0.3))
        stopped = chance.choice([first, second])
        os.kill(stopped, signal.SIGSTOP)
        await asyncio.sleep(chance.uniform(0.7, 1.5))
        os.kill(stopped, signal.SIGCONT)
        machine.kills["stopped"] += 1
    await machine.kill(first, "end")
    await machine.kill(second, "end")
    await machine.settle()
    machine.verified()
