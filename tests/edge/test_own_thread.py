"""The blocking functions of a job type run each in a thread of its own, whatever hangs beside them."""

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest
from pydantic import BaseModel

from backlane import App, Receipt, Request, policy
from backlane.actions import DeclaredAction
from backlane.core.policy import Over, PolicyJob
from backlane.own_thread import in_own_thread
from backlane.parts import DeclaredCheck
from backlane.policy import Asked
from backlane.tools import DeclaredTool
from tests.values import Note

WHO: ContextVar[str] = ContextVar("who", default="nobody")


class Order(BaseModel):
    amount: int = 1


def send(args: Order, *, key: str) -> Receipt:
    return Receipt(system="post", type="parcel", id=key)


def found(key: str) -> Receipt:
    return Receipt(system="post", type="parcel", id=key)


@pytest.fixture
async def full() -> AsyncIterator[None]:
    """The loop's own pool has one thread, which somebody holds."""
    loop, over = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
    holding = loop.run_in_executor(None, over.wait)
    yield
    over.set()
    await holding


def a_type() -> Any:
    app = App()

    @app.job("one", authority="low_risk_write")
    def one(inputs: Note) -> Request:
        return Request(model="gpt-6-luna", input=inputs.text)

    action = one.action(send)

    @one.propose
    def propose(result: Any, job: Any) -> list[Any]:
        return [(action, Order())]

    @one.policy(over="output")
    def allows(asked: Asked) -> policy.Allow:
        return policy.Allow()

    @one.sensitive
    def sensitive(inputs: Any, result: Any) -> bool:
        return False

    return one.type


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("full")
async def test_every_kind_of_declared_function_runs_though_the_shared_threads_are_taken() -> None:
    acting = DeclaredAction(
        "send", send, 0, 1000, lookup_function=found, content_function=lambda args: args.amount
    )
    assert await DeclaredTool("t", lambda: 1).run({}, None) == 1
    assert await DeclaredCheck("c", lambda result, job: result).run(2, None) == 2
    assert (await acting.run("{}", "k1"))["id"] == "k1"
    assert (await acting.look_up("k2"))["id"] == "k2"
    assert str(await acting.content("{}")).startswith("sha256:")
    kind = a_type()
    assert await kind.proposals(None, None) == [("send", {"amount": 1})]
    job = PolicyJob(
        id="job_1", workspace="ws_1", workspace_name="main", type="one", authority="low_risk_write",
        submitted_by="ana", user=None, account="acme", inputs=Note(text="hello"), metadata={},
    )  # fmt: skip
    said = await kind.rules.judge(Asked(over=Over.OUTPUT, job=job, output="x"))
    assert (said.answer, said.sensitive) == ("allow", False)


async def test_it_knows_its_callers_context_and_hands_back_what_it_says_or_raises() -> None:
    WHO.set("ana")
    assert await in_own_thread(WHO.get) == "ana"
    assert await in_own_thread(threading.get_ident) != threading.get_ident()
    assert await in_own_thread(lambda: threading.current_thread().daemon)
    with pytest.raises(ZeroDivisionError):
        await in_own_thread(lambda: 1 // 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await in_own_thread(lambda: next(iter([])))


async def test_an_answer_that_nobody_waits_for_any_more_is_dropped() -> None:
    troubles: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: troubles.append(context))
    go, gone = threading.Event(), threading.Event()

    def late() -> None:
        go.wait(20)
        gone.set()
        raise ValueError

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await in_own_thread(late)
    go.set()
    await asyncio.to_thread(gone.wait, 20)
    await asyncio.sleep(0.05)
    assert troubles == []


async def test_a_machine_without_another_thread_is_the_workers_trouble(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses(thread: Any) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuses)
        with pytest.raises(MemoryError):
            await in_own_thread(lambda: 1)
