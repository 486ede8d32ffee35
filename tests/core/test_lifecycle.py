"""The table is the whole truth: every pair is walked, every set is computed from it."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

import pytest

from backlane.core.event import EVENT_TYPES
from backlane.core.job import Phase, Status
from backlane.core.lifecycle import (
    CHANGE_EVENTS,
    OPEN,
    TABLE,
    TERMINAL,
    Command,
    apply,
    target,
)
from backlane.core.verb import VERBS, allowed, allows
from backlane.errors import NotAllowed
from tests.values import NOW, a_job

ENDED = {Status.COMPLETED, Status.FAILED, Status.CANCELED, Status.EXPIRED}


def in_status(status: Status):
    phase = {Status.QUEUED: Phase.READY, Status.RUNNING: Phase.MODEL, Status.NEEDS_REVIEW: Phase.OUTPUT}.get(
        status
    )
    return a_job(status=status, phase=phase, finished_at=None if phase else NOW)


@pytest.mark.parametrize(("command", "status"), list(itertools.product(Command, Status)))
def test_every_pair_is_in_the_table_or_refused(command: Command, status: Status) -> None:
    moves = TABLE[command].moves
    phase = next(iter(TABLE[command].phases))
    if command is Command.SUBMIT or status not in moves:
        with pytest.raises((NotAllowed, ValueError)):
            if command is Command.SUBMIT:
                target(command, status)
            apply(in_status(status), command, NOW, phase=phase)
        return
    after, event = apply(in_status(status), command, NOW + 5, phase=phase, actor="ana")
    assert after.status is moves[status]
    assert after.phase is phase
    assert event.type == TABLE[command].event
    assert event.data["before"]["status"] == status
    assert event.data["after"] == {"status": after.status, "phase": phase}
    assert (after.finished_at is not None) == (after.status in ENDED)


def test_terminal_statuses_are_what_nothing_leads_out_of() -> None:
    assert TERMINAL == ENDED
    assert set(Status) == OPEN | TERMINAL
    assert not OPEN & TERMINAL


def test_a_phase_the_row_does_not_lead_to_is_refused() -> None:
    with pytest.raises(ValueError, match="does not lead to phase"):
        apply(a_job(), Command.START, NOW, phase=Phase.READY)


def test_started_at_is_the_first_start_only() -> None:
    first, _ = apply(a_job(), Command.START, NOW + 1, phase=Phase.MODEL)
    again, _ = apply(first, Command.REQUEUE, NOW + 2, phase=Phase.RETRY)
    second, _ = apply(again, Command.START, NOW + 3, phase=Phase.MODEL)
    assert second.started_at == NOW + 1


def test_every_event_of_the_table_is_in_the_closed_list_and_in_the_past_tense() -> None:
    assert set(EVENT_TYPES) >= CHANGE_EVENTS
    for name in EVENT_TYPES:
        word = name.split(".")[1].split("_")[-1]
        past = word.endswith("ed") or word in {
            "sent", "unknown", "review", "delta", "reset", "final", "waiting", "chosen", "undone", "held", "unheld",
        }  # fmt: skip
        assert past, name


def test_commands_are_imperative_and_never_name_an_event() -> None:
    words = {event.split(".")[1] for event in EVENT_TYPES}
    assert not {str(command) for command in Command} & words


def test_the_gate_has_no_way_around_it() -> None:
    assert target(Command.FINISH_UNREVIEWED, Status.RUNNING) is Status.COMPLETED
    leads_to_completed = [row for row in TABLE.values() if Status.COMPLETED in row.moves.values()]
    assert leads_to_completed == [TABLE[Command.FINISH_UNREVIEWED], TABLE[Command.APPROVE]]
    with pytest.raises(NotAllowed):
        target(Command.FINISH_UNREVIEWED, Status.NEEDS_REVIEW)


@pytest.mark.parametrize("status", list(Status))
def test_verbs_are_allowed_where_the_contract_says(status: Status) -> None:
    phase = in_status(status).phase
    assert allows("cancel", status, phase) == (status in OPEN)
    assert allows("retry", status, phase) == (status in TERMINAL)
    assert not allows("resolve", status, phase)
    assert allows("resolve", Status.NEEDS_REVIEW, Phase.SUBMISSION_UNKNOWN)
    assert not allows("cancel", Status.NEEDS_REVIEW, Phase.EFFECT_UNKNOWN)


def test_allowed_is_computed_for_the_caller() -> None:
    job = a_job()
    assert allowed(job, frozenset({"requester"})) == ["cancel", "escalate"]
    assert allowed(job, frozenset({"requester"}), "operator") == ["escalate"]
    assert allowed(job, frozenset({"operator"}), "operator") == ["cancel", "escalate", "hold"]
    assert allowed(job, frozenset({"onlooker"})) == ["escalate"]
    assert allowed(job, frozenset()) == []
    doubtful = a_job(status=Status.NEEDS_REVIEW, phase=Phase.SUBMISSION_UNKNOWN)
    assert allowed(doubtful, frozenset({"requester"})) == ["cancel", "escalate"]
    assert "resolve" in allowed(doubtful, frozenset({"operator"}))
    verbs = {
        "cancel",
        "approve",
        "request_changes",
        "reject",
        "retry",
        "resolve",
        "escalate",
        "archive",
        "unarchive",
        "hold",
        "release",
        "message",
    }
    assert set(VERBS) == verbs


@pytest.mark.parametrize("status", list(Status))
def test_what_stands_beside_a_status_decides_which_of_two_verbs_is_left(status: Status) -> None:
    plain, archived, held = in_status(status), replace(in_status(status), archived_at=NOW), a_job(held=True)
    ends = ["archive"] if status in TERMINAL else []
    assert [verb for verb in allowed(plain, frozenset({"requester"})) if "archive" in verb] == ends
    back = ["unarchive"] if status in TERMINAL else []
    assert [verb for verb in allowed(archived, frozenset({"operator"})) if "archive" in verb] == back
    assert "hold" in allowed(plain, frozenset({"operator"}))
    assert "release" not in allowed(plain, frozenset({"operator"}))
    assert allowed(held, frozenset({"operator"}))[-1] == "release"
    assert not {"hold", "release"} & set(allowed(plain, frozenset({"requester", "onlooker"})))
    assert allows("escalate", status, plain.phase) == (status not in (Status.COMPLETED, Status.CANCELED))


def test_an_open_job_is_spoken_to_in_the_interactive_lane_only() -> None:
    requester = frozenset({"requester"})
    held = a_job(lane="interactive")
    assert [verb for verb in allowed(held, requester) if verb != "escalate"] == ["cancel", "message"]
    assert "message" not in allowed(held, frozenset({"operator"}))
    for phase in (Phase.CANCELING, Phase.CHECK, Phase.ACTION):
        assert not allows("message", Status.RUNNING, phase, "interactive")
    assert not allows("message", Status.NEEDS_REVIEW, Phase.OUTPUT, "interactive")
    assert not allows("message", Status.RUNNING, Phase.MODEL, "background")
    assert all(
        allows("message", status, None, lane) for status in TERMINAL for lane in ("background", "batch")
    )


def test_a_status_is_assigned_only_in_the_lifecycle() -> None:
    root = Path(__file__).parents[2] / "src" / "backlane"
    assigning = re.compile(r"replace\([^)]*\bstatus=(Status\.|\")")
    lists = re.compile(r"[(\[{]\s*Status\.\w+,\s*Status\.\w+,\s*Status\.\w+")
    for path in (root / "service").glob("*.py"):
        assert not assigning.search(path.read_text()), path
    for path in root.rglob("*.py"):
        if path.name != "lifecycle.py":
            assert not lists.search(path.read_text()), f"a tuple of statuses outside the table: {path}"
