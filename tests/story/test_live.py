"""Live jobs over real HTTP: however a stream breaks, its job ends right, its text whole, and one run was bought."""

from typing import Any

import pytest

from tests.conftest import Place
from tests.story.acts import creates, fault, script, verified
from tests.story.live_acts import RUN, lived, types_of


async def test_a_live_job_s_text_comes_in_pieces_and_joins_to_its_result(working: Place) -> None:
    script(working, {**RUN, "running_seconds": 2.0})
    life = await lived(working)
    assert (life["status"], life["live"]) == ("completed", True)
    assert life["joined"] == life["result"]
    assert types_of(life)[-1] == "output.final"
    assert types_of(life).count("output.delta") > 1
    assert "output.reset" not in types_of(life)
    stats = working.simulator.world.stats()
    assert (stats["creates"], stats["streams"], stats["retrieves"]) == (1, 0, 0)
    verified(working)


def stream_lines(place: Place) -> list[dict[str, Any]]:
    """The provider's log of everything that streamed."""
    return [line for line in place.simulator.world.log if "stream_ended" in line]


async def test_a_stream_cut_after_each_event_in_turn_ends_as_if_it_had_not_been(working: Place) -> None:
    short = {"queued_seconds": 0.02, "running_seconds": 0.2, "text": "Otters 🦦 float — at rest. " * 4}
    script(working, short)
    undisturbed = await lived(working)
    count = stream_lines(working)[0]["events"]
    assert count > 10
    for after in range(count - 1):
        script(working, short)
        fault(working, "drop_stream", after=after, call="create", how="reset" if after % 2 else "close")
        life = await lived(working)
        assert life["status"] == "completed", after
        assert life["joined"] == life["result"] == undisturbed["result"], after
        assert "output.reset" not in types_of(life), after
        assert [one["number"] for one in life["attempts"]] == [1]
        assert creates(working) == after + 2
    assert working.simulator.world.stats()["duplicates"] == 0
    assert working.simulator.world.stats()["streams"] >= count - 1
    verified(working)


# A fault of the stream, what it does, and whether the text can go on where it was.
TROUBLE: list[tuple[str, list[dict[str, Any]]]] = [
    ("half a frame", [{"fault": "half_frame", "after": 7}]),
    ("a clean end without a last word", [{"fault": "end_stream_early", "after": 6}]),
    ("an empty stream when it is taken up", [{"fault": "drop_stream", "after": 6, "call": "create"},
                                             {"fault": "end_stream_early", "after": -1, "call": "stream"}]),
    ("an error event, flat", [{"fault": "stream_error", "after": 6}]),
    ("an error event, nested", [{"fault": "stream_error", "after": 6, "shape": "nested"}]),
    ("duplicates", [{"fault": "duplicate_events", "at": 5, "count": 3}]),
    ("a gap once", [{"fault": "gap_in_events", "at": 6, "count": 2, "call": "create"}]),
    ("a gap that stays", [{"fault": "gap_in_events", "at": 6, "count": 2, "times": None}]),
    ("a gap to the end", [{"fault": "gap_in_events", "at": 6, "count": 99, "times": None}]),
    ("broken JSON", [{"fault": "garble_frame", "at": 6}]),
    ("broken JSON every time", [{"fault": "garble_frame", "at": 6, "times": None}]),
    ("a type nobody knows", [{"fault": "unknown_event", "after": 4}]),
    ("a restart at the first event", [{"fault": "drop_stream", "after": 8, "call": "create"},
                                      {"fault": "restart_at_zero"}]),
    ("a cursor that expired", [{"fault": "drop_stream", "after": 8, "call": "create"},
                               {"fault": "expired_cursor", "times": None}]),
    ("a refusal to take it up", [{"fault": "drop_stream", "after": 8, "call": "create"},
                                 {"fault": "refuse_stream", "times": None}]),
    ("a server that is down for streams", [{"fault": "drop_stream", "after": 8, "call": "create"},
                                           {"fault": "refuse_stream", "status": 503, "times": None}]),
]  # fmt: skip


@pytest.mark.parametrize("faults", [faults for _, faults in TROUBLE], ids=[name for name, _ in TROUBLE])
async def test_a_stream_in_trouble_never_costs_its_job_a_word(
    working: Place, faults: list[dict[str, Any]]
) -> None:
    for one in faults:
        fault(working, one["fault"], **{key: value for key, value in one.items() if key != "fault"})
    script(working, RUN)
    life = await lived(working)
    assert life["status"] == "completed"
    assert life["joined"] == life["result"] == RUN["text"]
    assert "output.reset" not in types_of(life)
    assert types_of(life)[-1] == "output.final"
    assert creates(working) == 1
    verified(working)
