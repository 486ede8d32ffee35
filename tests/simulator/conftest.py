"""One simulator on a virtual clock for the whole folder, emptied before each test, and the unmodified SDK client."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openai import OpenAI

from backlane.simulator.server import Running, running_simulator

ARTICLE = (
    "The harbour of Lindenau opened in 1893 after nine years of work. Engineers raised 340 metres of quay from "
    "black granite. A flood in 1911 broke the northern gate, and order R-17 paid for the repair.\n\n"
    "Today the harbour serves 42 ferries a day. The northern gate was rebuilt in steel on 2019-05-04. "
    "Granite from the old quay now paves the market square. Does the ferry still run in winter? "
    "The harbour master says it runs on 311 days of the year."
)


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    with running_simulator(seed=1, clock="virtual") as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Running) -> Running:
    running.reset()
    return running


@pytest.fixture
def client(simulator: Running) -> Iterator[OpenAI]:
    with OpenAI(api_key="sk-test", base_url=simulator.base_url, max_retries=0, timeout=10) as made:
        yield made


@pytest.fixture
def finish(simulator: Running, client: OpenAI) -> Callable[..., dict[str, Any]]:
    """Start a run in the background, let its time pass, and read its payload from the wire."""

    def go(**parameters: Any) -> dict[str, Any]:
        given = {"model": "gpt-6-astra", "input": ARTICLE, "background": True} | parameters
        started = client.responses.create(**given)
        simulator.advance(100)
        return client.responses.with_raw_response.retrieve(started.id).http_response.json()

    return go
