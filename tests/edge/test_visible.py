"""Whatever a text holds: what is printed of it drives no terminal, hides nothing, and says exactly what it was."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlane.cli.visible import exactly, in_line, is_hidden, scripts_in, visible

_CODE = re.compile(r"⟨(?:U\+([0-9A-F]{4,6})|byte 0x([0-9A-F]{2}))⟩")
_TEXTS = st.text() | st.text(alphabet="ap\u0430\u0440 \u202e\u200b\x1b\u0301⟨⟩U+01\n\ufe0f\u2800@.")


def read_back(told: str) -> str:
    """What was escaped, as it was."""
    return _CODE.sub(lambda at: chr(int(at[1], 16) if at[1] else 0xDC00 + int(at[2], 16)), told)


@given(_TEXTS)
def test_what_is_printed_can_be_seen_and_read_back(text: str) -> None:
    told, made = exactly(text)
    assert not any(is_hidden(char) and char not in "\n\t" for char in told)
    assert read_back(told) == text
    assert made == len(_CODE.findall(told))
    assert in_line(text) == in_line(in_line(text))
    assert visible(text) == visible(visible(text))
    assert not set("\n\t\r\x1b\x9b\u202e\u200b") & set(in_line(text))


@given(st.binary())
def test_bytes_that_are_no_text_are_shown_as_bytes(content: bytes) -> None:
    told, _ = exactly(content.decode("utf-8", "surrogateescape"))
    assert read_back(told).encode("utf-8", "surrogateescape") == content


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("p\u0430ypal.com", "p⟨U+0430⟩ypal.com"),
        ("\u0440\u0430\u0443.com", "⟨U+0440⟩⟨U+0430⟩⟨U+0443⟩.com"),
        ("\u043f\u0440\u0438\u0432\u0435\u0442 world", "\u043f\u0440\u0438\u0432\u0435\u0442 world"),
        ("\uff30aypal", "⟨U+FF30⟩aypal"),
        ("naïve café 猫 100 €", "naïve café 猫 100 €"),
        ("⟨U+0041⟩", "⟨U+27E8⟩U+0041⟩"),
        ("a\u0301\u0301\u0301", "a\u0301\u0301⟨U+0301⟩"),
        ("no\u00a0break\u2028", "no⟨U+00A0⟩break⟨U+2028⟩"),
    ],
)
def test_look_alikes_in_a_word_are_told_apart(text: str, told: str) -> None:
    assert exactly(text)[0] == told


def test_the_scripts_of_a_text_are_named() -> None:
    assert scripts_in("Pay 10 €") == ["LATIN"]
    assert scripts_in("\u0440\u0430\u0443") == ["CYRILLIC"]
    assert scripts_in("猫 and \u0391") == ["GREEK", "LATIN", "OTHER"]
