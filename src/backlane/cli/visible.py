"""Text of a model as a person may safely look at it: what is hidden is made visible, nothing drives a terminal.

What a reviewer decides on is `exactly`: there every ⟨ begins an escape of ours, one in the text is escaped too.
"""

import re
import unicodedata

_OPEN, _CLOSE = "⟨", "⟩"
# Letters and marks that draw nothing, though they count as printable.
_INVISIBLE = frozenset(
    {
        0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0,
        *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0),
    }
)  # fmt: skip
# More marks than this on one letter hide what is around them.
_MARKS_AT_MOST = 2
# Scripts whose letters look like Latin ones.
_ALIKE = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "FULLWIDTH", "MATHEMATICAL")
# Names of domains, people and files are looked at whole.
_WORD = re.compile(r"[\w.@-]+")


def escape(char: str) -> str:
    """One character as its code; a byte that is no UTF-8 as its value."""
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"{_OPEN}byte 0x{code - 0xDC00:02X}{_CLOSE}"
    return f"{_OPEN}U+{code:04X}{_CLOSE}"


def is_hidden(char: str) -> bool:
    """Whether a character draws nothing, turns the text around, or drives a terminal."""
    return (not char.isprintable() and char != " ") or ord(char) in _INVISIBLE


def visible(text: str, *, keep: str = "\n\t", brackets: bool = False) -> str:
    """The text with every hidden character as its code; those in `keep` stay as they are.

    With `brackets` no text can pretend to be such a code; without, doing it twice changes nothing.
    """
    told: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        bare = brackets and char == _OPEN
        plain = char in keep or not (is_hidden(char) or bare or marks > _MARKS_AT_MOST)
        told.append(char if plain else escape(char))
    return "".join(told)


def in_line(text: str) -> str:
    """The same for one line: no text begins a line of its own."""
    return visible(text, keep="")


def script_of(char: str) -> str | None:
    """The script of a letter, as far as it matters for being taken for another; None for what is no letter."""
    if not char.isalpha():
        return None
    word = unicodedata.name(char, "UNKNOWN").split(" ")[0]
    return word if word in _ALIKE else "LATIN" if word == "LATIN" else "OTHER"


def look_alikes(text: str) -> frozenset[int]:
    """Where letters of a look-alike script stand in a word that has Latin ones: the places in the text."""
    found: set[int] = set()
    for word in _WORD.finditer(text):
        scripts = [script_of(char) for char in word.group()]
        if "LATIN" in scripts:
            found |= {word.start() + at for at, one in enumerate(scripts) if one in _ALIKE}
    return frozenset(found)


def exactly(text: str) -> tuple[str, int]:
    """The text as a reviewer is to see it, look-alikes in mixed words as their codes; how many were made visible."""
    alike = look_alikes(text)
    parts: list[str] = []
    last = made = 0
    for at in [*sorted(alike), len(text)]:
        piece = visible(text[last:at], brackets=True)
        parts.append(piece)
        made += piece.count(_OPEN)
        if at < len(text):
            parts.append(escape(text[at]))
            made += 1
        last = at + 1
    return "".join(parts), made


def scripts_in(text: str) -> list[str]:
    """The scripts of the letters in the text, Latin and those that look like it named, in alphabetical order."""
    return sorted({script for script in map(script_of, text) if script is not None})
