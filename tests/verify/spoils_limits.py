"""Planted corruptions of what a request may hold, and of why a job failed."""

from collections.abc import Callable
from typing import Any

Rows = dict[str, Any]


def a_note_that_no_request_could_bring(rows: Rows) -> None:
    rows["notes"][0]["text"] = "a" * 10_001


def a_reason_that_no_request_could_bring(rows: Rows) -> None:
    rows["cases"][0]["reason"] = "a" * 2_001


def a_promise_that_no_request_could_bring(rows: Rows) -> None:
    rows["cases"][0]["promise"] = "a" * 501


def _failed(rows: Rows, **failure: Any) -> None:
    told = {"cause": "internal", "code": "worker_crashed", "message": "It stopped.", **failure}
    rows["jobs"][0] |= {"status": "failed", "failure": told}


def a_cause_that_nobody_declared(rows: Rows) -> None:
    _failed(rows, cause="bad luck")


def an_internal_fault_without_a_name(rows: Rows) -> None:
    _failed(rows, code="KeyError")


def an_end_without_a_cause(rows: Rows) -> None:
    rows["jobs"][0] |= {"status": "failed", "failure": None}


SPOILS_OF_LIMITS: list[tuple[str, Callable[[Rows], None]]] = [
    ("I09", a_note_that_no_request_could_bring), ("I09", a_reason_that_no_request_could_bring),
    ("I09", a_promise_that_no_request_could_bring), ("I09", a_cause_that_nobody_declared),
    ("I09", an_internal_fault_without_a_name), ("I09", an_end_without_a_cause),
]  # fmt: skip
