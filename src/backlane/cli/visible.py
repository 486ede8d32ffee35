"""Text of a model as a person may safely look at it: what is hidden is made visible, nothing drives a terminal.

What a reviewer decides on is `exactly`: there every ⟨ begins an escape of ours, one in the text is escaped too.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

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
# Names of people and files are looked at whole.
_WORD = re.compile(r"[\w.@-]+")
# Latin letters of phonetic writing, in the shape of plain ones: ɑ ɡ ɩ ɪ ǀ ʟ ᴄ ᴏ ᴠ ᴡ ᴢ ꜱ.
_PHONETIC = frozenset("\u0251\u0261\u0269\u026a\u01c0\u029f\u1d04\u1d0f\u1d20\u1d21\u1d22\ua731")
# Marks that no prose needs, each with what it passes for: slashes and colons.
_MARKS = {"\u2044": "/", "\u2215": "/", "\u29f8": "/", "\u2236": ":", "\ua789": ":", "\ufe68": "\\"}
# Marks of prose that pass for others only in an address: dashes, the minus, the full stops of Chinese, middle dots.
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"
_STOPS, _DOTS = "\u3002\uff61", "\u00b7\u2027\u30fb"
# Full width ones are prose beside Chinese and Japanese; so is the ellipsis everywhere.
_WIDE = "\uff01-\uff0d\uff1a-\uff1f\uff3b-\uff40\uff5b-\uff5e"
_ELLIPSIS = "\u2026"
# What an address is written with, and letters that such marks join; Greek and Cyrillic ones are as good as Latin.
_NEAR = rf"[A-Za-z0-9\u0370-\u052f/:{_DASHES}]"
_JOINED = rf"(?<={_NEAR})[{_DASHES}{_STOPS}{_DOTS}{_WIDE}](?={_NEAR})"
_PLACE = re.compile(
    rf"(?:[\w\u0300-\u036f.@:/?&=#%+~\u2024\ufe52\uff0e\uff0f\uff20{''.join(_MARKS)}-]|{_JOINED})+"
)
_IS_WIDE, _IS_JOINED = re.compile(f"[{_WIDE}]"), re.compile(_JOINED)
_LABEL = re.compile(r"[\w\u0300-\u036f]+|[^\w\u0300-\u036f]")
# Abbreviations (i.e., and those of other languages) are none.
_ADDRESS = re.compile(r"\w@\w|://|\w{2}\.[^\W\d_]{2}|\w\.[^\W\d_]{3}")


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


@cache
def _passes_for(char: str) -> str | None:
    """The ASCII text that a character is another form of, wherever it stands; None for what is a letter of its own."""
    plain = _MARKS.get(char) or unicodedata.normalize("NFKC", char)
    return plain if plain.isascii() and not char.isascii() and char != _ELLIPSIS else None


def look_alikes(text: str) -> frozenset[int]:
    """Where something stands that passes for ASCII letters, digits or marks, or that is not ASCII in an address.

    Prose is left alone, in any script: what makes a letter suspect is the word or the address around it.
    """
    if text.isascii():
        return frozenset()
    found = {at for at, char in enumerate(text) if char in _PHONETIC or _passes_for(char)}
    # Only where they stand between letters of an address do they pass for its marks.
    found -= {at.start() for at in _IS_WIDE.finditer(text) if not _IS_JOINED.match(text, at.start())}
    for word in _WORD.finditer(text):
        found |= {word.start() + at for at in _mixed(word.group())}
    for place in _PLACE.finditer(text):
        if _is_address(place.group()):
            found |= {place.start() + at for at in _foreign(place.group())}
    return frozenset(found)


def _mixed(word: str) -> Iterator[int]:
    """Letters of a look-alike script in a word that has Latin ones, digits of another script among ASCII ones."""
    scripts = [script_of(char) for char in word]
    latin, plain = "LATIN" in scripts, any(char.isascii() and char.isalnum() for char in word)
    for at, char in enumerate(word):
        if (latin and scripts[at] in _ALIKE) or (plain and char.isdigit() and not char.isascii()):
            yield at


def _is_address(place: str) -> bool:
    if place.isascii():
        return False  # nothing in it can be made visible
    told = (_passes_for(char) or ("." if char in _STOPS else char) for char in place)
    return _ADDRESS.search("".join(told)) is not None


def _foreign(address: str) -> Iterator[int]:
    """What is not ASCII in an address; but for letters that look like none of it, where prose runs into an address."""
    for label in _LABEL.finditer(address):
        plain = any(char.isascii() and char.isalnum() for char in label.group())
        for at, char in enumerate(label.group(), label.start()):
            if not char.isascii() and not (plain and script_of(char) == "OTHER"):
                yield at


def exactly(text: str) -> tuple[str, int]:
    """The text as a reviewer is to see it, look-alikes as their codes; how many were made visible."""
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
