"""Reading a request's input: its parts, sentences, key terms and numbers. Nothing here is made up."""

import base64
import binascii
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from backlane.simulator.values import as_list, as_object

# A sentence ends at a mark followed by a space, so that "3.5" and "v1.2" stay whole.
_SENTENCE = re.compile(r"\S[^\n]*?(?:[.!?]+[\"')\]”’]*(?=\s|$)|[。！？]+|(?=\n)|$)")
_WORD = re.compile(r"[^\W\d_][\w'’-]{3,}")
_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w-])")
_CODE = re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*\b")
_DATE = re.compile(r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])\b")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "that this with from have they were will would could should there their which about when what into more "
        "than then them been being also each other some such only over after before because your yours ours does "
        "doing very just most much many same these those where while again once please write summary summarize "
        "summarise report following text",
    )
)
_LONGEST_QUOTE = 320


@dataclass(frozen=True, slots=True)
class Part:
    """One text of the input, counted from 1; instructions-like parts are not quoted."""

    number: int
    text: str
    quotable: bool


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the input and where it stands: which part, from which character to which."""

    part: int
    start: int
    end: int
    text: str


class Source:
    """Everything an answer may draw on."""

    def __init__(self, given: Any) -> None:
        self.parts = _parts(given)
        usable = [part for part in self.parts if part.quotable] or self.parts
        self.texts = [part.text for part in usable]
        self._usable = usable

    @property
    def all_text(self) -> str:
        """Every part, also those that are not quoted."""
        return "\n".join(part.text for part in self.parts)

    @cached_property
    def sentences(self) -> list[Sentence]:
        """Every sentence of the input with at least three words, in reading order."""
        return [one for part in self._usable for one in _sentences(part) if _counts(one.text)]

    @cached_property
    def terms(self) -> list[str]:
        """The words the input uses most, longest first among equals."""
        words = Counter(word.lower() for text in self.texts for word in _WORD.findall(text))
        ranked = (word for word in words if word not in _COMMON)
        return sorted(ranked, key=lambda word: (-words[word], -len(word), word))[:40]

    @cached_property
    def numbers(self) -> list[float]:
        """The numbers in the input, in order."""
        return [float(found) for text in self.texts for found in _NUMBER.findall(text)]

    @cached_property
    def codes(self) -> list[str]:
        """Order numbers, versions and the like: words that mix letters and digits."""
        return [found for text in self.texts for found in _CODE.findall(text)]

    @cached_property
    def dates(self) -> list[str]:
        """The ISO dates in the input."""
        return [found for text in self.texts for found in _DATE.findall(text)]

    def key_sentences(self, count: int) -> list[Sentence]:
        """The sentences richest in key terms, one from each stretch of the input, in reading order."""
        everything = self.sentences
        if len(everything) <= count:
            return list(everything)
        terms = set(self.terms[:25])
        chosen: list[Sentence] = []
        for index in range(count):
            first, last = index * len(everything) // count, (index + 1) * len(everything) // count
            chosen.append(max(everything[first:last], key=lambda one: _richness(one.text, terms)))
        return chosen


def _parts(given: Any) -> list[Part]:
    if isinstance(given, str):
        return [Part(1, given, True)]
    found: list[tuple[str, bool]] = []
    for item in as_list(given):
        known = as_object(item)
        quotable = known.get("role") not in ("system", "developer", "assistant")
        content = known.get("content", known.get("output"))
        if isinstance(content, str):
            found.append((content, quotable))
        for piece in as_list(content):
            text = _piece(as_object(piece))
            if text is not None:
                found.append((text, quotable))
    return [Part(number, text, quotable) for number, (text, quotable) in enumerate(found, 1)]


def _piece(piece: dict[str, Any]) -> str | None:
    """The text of a content part; a file sent inline counts when it is plain text."""
    if isinstance(piece.get("text"), str):
        return piece["text"]
    data = piece.get("file_data")
    if piece.get("type") == "input_file" and isinstance(data, str):
        try:
            return base64.b64decode(data.rpartition(",")[2], validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def _sentences(part: Part) -> list[Sentence]:
    found: list[Sentence] = []
    for match in _SENTENCE.finditer(part.text):
        quote = match[0].rstrip()
        if len(quote) > _LONGEST_QUOTE:
            shorter = quote[:_LONGEST_QUOTE]
            quote = shorter.rpartition(" ")[0] or shorter
        found.append(Sentence(part.number, match.start(), match.start() + len(quote), quote))
    return found


def _counts(text: str) -> bool:
    return len(text.split()) >= 3 or (len(text) >= 8 and not text.isascii())


def _richness(text: str, terms: set[str]) -> float:
    words = _WORD.findall(text)
    return sum(word.lower() in terms for word in words) / (8 + len(text.split()))


def input_texts(given: Any) -> list[str]:
    """The texts of a request's input, part by part."""
    return [part.text for part in _parts(given)]
