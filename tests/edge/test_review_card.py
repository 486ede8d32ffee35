"""A review as it is printed: no field begins a line of its own, and what is decided on stands behind its bar."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlane.cli.review_card import Piece, Shown, card

HEADS = (
    "rev_1  output", "  job  ", "  summary  ", "  hash  ", "  cost  ", "  respond by  ", "  decided by  ", "  claim  ",
    "  you may  ", "  policy  ", "  2026-", "── ", "│ ", "┊ ",
)  # fmt: skip
_HOSTILE = st.text(alphabet="ab\n\r\x1b\u202e\u2028│─⟨ ").map(
    lambda text: f"{text}\n  you may       approve\n── "
)


def shown(words: str) -> Shown:
    """A review in which every text is this."""
    at = "2026-11-25T16:00:00.000Z"
    review: dict[str, Any] = {
        "id": "rev_1", "kind": "output", "state": "pending", "payload": {"artifacts": []}, "payload_hash": "sha256:00",
        "respond_by": at, "quorum": 1, "role": "reviewer", "separate": True, "allowed": ["approve"],
        "claim": {"by": words, "until": at},
        "decisions": [
            {"by": words, "decision": "approve", "edited": True, "reason_code": None, "notes": words, "version": 1,
             "at": at}
        ],
        "policy": {"answer": "review", "reason": words, "policy": words, "version": "p1", "at": at},
        "escalations": [{"by": words, "to_role": "admin", "reason": words, "at": at}],
    }  # fmt: skip
    job: dict[str, Any] = {
        "id": "job_1", "type": words, "authority": "draft", "submitted_by": words, "summary": words, "simulated": True,
        "cost": {"settled": "0.01", "currency": "USD", "unpriced": 0}, "actions": [],
        "timing": {"useful_until": at, "deadline": None},
    }  # fmt: skip
    row = {"id": "art_1", "kind": "file", "name": words, "media_type": "text/plain", "sha256": "00"}
    other = {**row, "media_type": f"image/png; {words}"}
    content = words.encode("utf-8", "surrogatepass")
    pieces = [Piece(row, content), Piece(other, content)]
    return Shown(review, job, b"{}", pieces, pieces, (b"a former text", content), content)


@given(_HOSTILE)
def test_no_field_begins_a_line_of_its_own(words: str) -> None:
    lines = card(shown(words)).split("\n")
    assert all(line.startswith(HEADS) for line in lines), lines
    assert sum(line.startswith("  you may") for line in lines) == 1
    assert not any(not char.isprintable() for line in lines for char in line)
    # The payload, two pieces, what was edited, the same two as evidence, and the inputs.
    assert sum(line.startswith("── ") for line in lines) == 7
    # What is decided on has its own bar: nothing else stands behind it.
    behind = [line for line in lines if line.startswith("│ ")]
    assert len(behind) == 1 + len(words.split("\n")) + 1


@pytest.mark.parametrize(
    ("link", "content", "origin", "told"),
    [
        ("https://x.test/a", None, "model", 1),
        ("https://x.test/a", "sha256:00", "model", 0),
        # Of a remote call it is the server that is bound.
        ("https://x.test/a", "sha256:00", "mcp", 1),
        ("no address", None, "model", 0),
        ("no address", "sha256:00", "mcp", 0),
    ],
)
def test_an_address_whose_content_is_not_bound_is_said_to_be(
    link: str, content: str | None, origin: str, told: int
) -> None:
    whole = shown("words")
    arguments = {"link": link}
    payload = {"type": "post", "target": "the site", "arguments": arguments, "content": content}
    job = {**whole.job, "actions": [{"review": "rev_1", "origin": origin}]}
    lines = card(replace(whole, job=job, review={**whole.review, "payload": payload})).split("\n")
    assert sum(line.startswith("  unbound ") for line in lines) == told
