"""Somebody who listens for webhooks: a small real server that keeps what came and answers as it is told."""

import contextlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "whsec_YmFja2xhbmUtdGVzdC1zZWNyZXQtMzItYnl0ZXMhISE="


@dataclass
class Came:
    """One delivery, as raw as it came."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came, in order; `answers` are the statuses to give, 204 once they are used up."""

    url: str
    answers: list[int] = field(default_factory=list)
    came: list[Came] = field(default_factory=list)
    _arrivals: "queue.Queue[Came]" = field(default_factory=queue.Queue)

    def next(self) -> Came:
        """The next delivery, waited for."""
        return self._arrivals.get(timeout=20)

    def note(self, came: Came) -> int:
        """Keep it; the status to answer."""
        self.came.append(came)
        self._arrivals.put(came)
        return self.answers.pop(0) if self.answers else 204


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free loopback port for as long as the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = self.headers.get("content-length")
            # A body without end is not read at all: the answer comes, and the connection goes.
            self.close_connection = length is None
            body = b"" if length is None else self.rfile.read(int(length))
            status = receiver.note(Came({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("location", receiver.url + "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = _Server(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
