"""Out of file descriptors: new connections wait in the kernel's queue, and it is said once a second, in one line."""

import asyncio
import errno
from collections.abc import Callable
from typing import Any

_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def said_once_a_second(
    say: Callable[[str], None],
) -> Callable[[asyncio.AbstractEventLoop, dict[str, Any]], None]:
    """A handler for a loop's stray errors. The loop reports a refused accept once per place in its backlog:
    thousands of tracebacks that would themselves stop the service when nobody reads its standard error."""
    quiet_until = 0.0

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal quiet_until
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _SCARCE and "socket" in context):
            loop.default_exception_handler(context)
        elif loop.time() >= quiet_until:
            quiet_until = loop.time() + 1
            say(f"new connections wait: {error.strerror}; raise the limit (ulimit -n)")

    return handle
