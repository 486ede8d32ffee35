"""Running the blocking functions that a job type declares: every call in a thread of its own.

A thread cannot be stopped. One that hangs in a shared pool would hold a place that uploads and artifacts need, and
the end of the process would wait for it; a daemon thread of its own holds nothing but its memory.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def in_own_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """What the function answers, or raises; with the context of the caller. MemoryError where no thread can begin."""
    context = contextvars.copy_context()

    def call() -> R:
        try:
            return context.run(function, *args, **kwargs)
        except StopIteration as error:
            # A future cannot carry a StopIteration: the job would wait for its answer forever.
            raise RuntimeError(f"{function.__name__!r} raised StopIteration") from error

    return await asyncio.get_running_loop().run_in_executor(_EACH_ITS_OWN, call)


class _EachItsOwn(Executor):
    """An executor without a pool, so that a loop that brings an order of its own still decides where calls run."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> "Future[R]":
        future: Future[R] = Future()
        future.set_running_or_notify_cancel()

        def settle() -> None:
            try:
                answer = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(answer)

        thread = threading.Thread(target=settle, name="backlane-declared", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            # The machine gives no more threads: the worker's trouble, never the function's.
            raise MemoryError("no further thread can begin") from error
        return future


_EACH_ITS_OWN = _EachItsOwn()
