"""A light load client in a process of its own: raw streams, keep-alive, one request at a time per connection.

It reads its orders as JSON from its first argument and prints what it measured as JSON.
"""

import asyncio
import json
import resource
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness import quantile

_WARM_SECONDS = 0.5


@dataclass(slots=True)
class Tally:
    """What came back after the warm-up."""

    counts_from: float
    ends_at: float
    latencies: list[float] = field(default_factory=list[float])
    refused: int = 0


def request_bytes(port: int, path: str, key: str, body: dict[str, Any]) -> bytes:
    """One POST as it goes over the wire."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


async def _one_client(port: int, request: bytes, tally: Tally) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while (begun := time.perf_counter()) < tally.ends_at:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            )
            await reader.readexactly(length)
            done = time.perf_counter()
            if not head.startswith(b"HTTP/1.1 202"):
                tally.refused += 1
            elif tally.counts_from <= done <= tally.ends_at:
                tally.latencies.append(done - begun)
    finally:
        writer.close()


async def load(port: int, request: bytes, clients: int, seconds: float) -> dict[str, float]:
    """Keep so many clients busy; answers a second and their latencies."""
    counts_from = time.perf_counter() + _WARM_SECONDS
    tally = Tally(counts_from, counts_from + seconds)
    await asyncio.gather(*(_one_client(port, request, tally) for _ in range(clients)))
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "per_second": len(tally.latencies) / seconds,
        "p50_ms": quantile(tally.latencies, 0.5) * 1000,
        "p99_ms": quantile(tally.latencies, 0.99) * 1000,
        "refused": tally.refused,
        "client_cpu_seconds": used.ru_utime + used.ru_stime,
    }


if __name__ == "__main__":
    orders = json.loads(sys.argv[1])
    sent = request_bytes(orders["port"], orders["path"], orders["key"], orders["body"])
    print(json.dumps(asyncio.run(load(orders["port"], sent, orders["clients"], orders["seconds"]))))
