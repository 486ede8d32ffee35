"""The corpus on a reviewer's card: nothing of it drives a terminal, and what is decided on can be read back."""

import json
from collections.abc import Iterator
from typing import Any

import rfc8785

from backlane.cli.review_card import Shown, card
from backlane.cli.visible import is_hidden
from tests.edge.test_review_card import HEADS, shown
from tests.edge.test_visible import read_back
from tests.hostile.corpus import CORPUS, SPEAKABLE


def behind(lines: list[str], title: str) -> Iterator[str]:
    """The lines behind the bar under the titles that begin like this."""
    inside = False
    for line in lines:
        inside = line.startswith(f"── {title}") if line.startswith("── ") else inside
        if inside and line.startswith("│ "):
            yield line.removeprefix("│ ")


def printed(review: Shown) -> list[str]:
    """The card's lines: nothing in them drives a terminal, is hidden, or begins a line of its own."""
    told = card(review)
    lines = told.split("\n")
    assert not {char for char in told if is_hidden(char) and char not in "\n\t"}
    assert all(line.startswith((*HEADS, "  unbound  ")) for line in lines), lines
    return lines


def test_an_output_can_be_read_back_from_its_card() -> None:
    for text in CORPUS:
        whole = shown(text)
        content = text.encode("utf-8", "surrogatepass")
        lines = printed(whole)
        assert sum(line.startswith("── ") for line in lines) == 7, repr(text)
        assert lines.count("  you may       approve") == 1, repr(text)
        first = "\n".join(behind(lines, "file "))
        no_text = "\nno text; look at it with: backlane review … --save FOLDER"
        assert read_back(first.removesuffix(no_text)).encode("utf-8", "surrogateescape") == content, repr(
            text
        )


def test_an_action_can_be_read_back_from_its_card() -> None:
    for text in SPEAKABLE:
        payload: dict[str, Any] = {
            "type": text,
            "target": text,
            "arguments": {"order": text, text: 1},
            "content": None,
        }
        whole = shown(text)
        review = {**whole.review, "payload": payload}
        lines = printed(Shown(review, whole.job, rfc8785.dumps(payload)))
        [told] = behind(lines, "what the hash covers")
        assert json.loads(read_back(told)) == payload
        assert read_back(told).encode() == rfc8785.dumps(payload), repr(text)
        order, other = list(behind(lines, "the action"))
        assert json.loads(read_back(order).removeprefix("order = ")) == text
        assert read_back(other) == f"{text} = 1", repr(text)
