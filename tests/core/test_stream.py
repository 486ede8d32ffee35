"""A stream's arithmetic: where an event stands beside the cursor, how text is cut; and when a stream is followed."""

import pytest

from backlane.core.job import AttemptState, Phase, Status
from backlane.core.schedule import Timings
from backlane.core.situation import Follow, Look, Situation, Step, Wait
from backlane.core.step import decide
from backlane.core.stream import Place, pieces, place_of
from tests.values import NOW, a_job, an_attempt


def test_a_cursor_takes_the_next_number_drops_old_ones_and_sees_gaps() -> None:
    assert [place_of(4, seq) for seq in (5, 4, 0, 6)] == [Place.NEXT, Place.OLD, Place.OLD, Place.GAP]
    assert [place_of(None, seq) for seq in (0, 1, 2)] == [Place.NEXT, Place.NEXT, Place.GAP]
    assert place_of(4, None) is Place.NEXT


def test_text_is_cut_into_pieces_between_characters() -> None:
    for text in ("", "a", "a" * 9_000, "🦦" * 3_000, "é🦦a" * 2_000):
        cut = list(pieces(text))
        assert "".join(cut) == text
        assert all(0 < len(piece.encode()) <= 4_096 for piece in cut)


def step(*, live: bool = True, room: bool = True, look_at: int = NOW, state: str | None = "open") -> Step:
    job = a_job(status=Status.RUNNING, phase=Phase.MODEL, live=live)
    attempt = an_attempt(AttemptState.ACCEPTED, stream_state=state, look_at=look_at)
    return decide(Situation(job, attempt, Timings(), stream_room=room), NOW)


@pytest.mark.parametrize(
    "otherwise", [{"live": False}, {"room": False}, {"state": "lost"}, {"state": None}], ids=str
)
def test_an_open_stream_is_followed_where_there_is_room_and_any_other_run_is_looked_at(
    otherwise: dict[str, object],
) -> None:
    assert isinstance(step(), Follow)
    assert isinstance(step(**otherwise), Look)  # pyright: ignore
    assert step(look_at=NOW + 5) == Wait(NOW + 5)
