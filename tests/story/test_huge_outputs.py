"""An output of 100 MB: a worker's memory stays flat, its beginning is kept as an artifact, and the job says so."""

import tracemalloc
from pathlib import Path

from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.edge.raw_server import raw_server, reply
from tests.edge.test_provider_capped import endless
from tests.story.acts import contents, events_of, finished, submitted
from tests.values import small_app

MEGABYTE = 1_000_000
HEAD = (
    b'{"id": "resp_1", "object": "response", "status": "completed", "output": [{"type": "message",'
    b' "content": [{"type": "output_text", "annotations": [], "text": "Otters rest. '
)


async def test_an_output_of_100_mb_is_capped_marked_and_kept_in_part(
    tmp_path: Path, simulator: Running
) -> None:
    accepted = {"id": "resp_1", "object": "response", "status": "queued", "output": []}
    async with raw_server(reply(200, accepted), endless(HEAD, 100 * MEGABYTE)) as server:
        settings = settings_for(tmp_path, simulator, openai_base_url=server.url)
        service = build(settings, types=small_app(), log=lambda line: None)
        place = Place(service, simulator, settings)
        ana = await place.caller()
        await service.start_worker()
        job = await submitted(place, ana, "plain")
        tracemalloc.start()
        try:
            view = await finished(place, ana, job)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        failure = view["failure"]
        assert (view["status"], failure["code"], failure["partial_output"]) == (
            "failed",
            "result_too_large",
            True,
        )
        assert "truncated" in failure["message"]
        kept = {row["name"]: row for row in view["artifacts"]}
        assert {name: row["kind"] for name, row in kept.items()} == {
            "partial-truncated.md": "partial",
            "partial-truncated.json": "json",
        }
        assert kept["partial-truncated.md"]["bytes"] < 2 * MEGABYTE
        assert "Otters rest. xxxx" in (await contents(place, ana, view))["partial"]
        # All that is read, BACKLANE_REPLY_AT_MOST, went to the artifact as it came, and memory never held it.
        whole = kept["partial-truncated.json"]
        assert whole["bytes"] == 32 * MEGABYTE
        stored = await service.ports.artifacts.get(whole["sha256"])
        assert stored.startswith(HEAD) and len(stored) == 32 * MEGABYTE
        assert peak < 20 * MEGABYTE
        assert view["cost"]["unpriced"] == 1
        told = [event["type"] for event in await events_of(place, ana, job.id)]
        assert told.count("attempt.finished") == 1
        assert [line.split()[0] for line in server.requests].count("POST") == 1
        await service.drain(grace=5)
