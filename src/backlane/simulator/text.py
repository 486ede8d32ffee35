"""Reading a request's input: its parts, sentences, key terms and numbers. Nothing here is made up."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
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
    """One text of the conversation, counted from 1; instructions-like parts are not quoted."""

    number: int
    text: str
    quotable: bool
    # What a tool answered: each of its lines may be quoted, however short.
    is_output: bool = False
    # Said in the latest turn, not before it.
    is_latest: bool = True
    filename: str | None = None
    # The uploaded file it was read from.
    file_id: str | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the input and where it stands: which part, from which character to which."""

    part: int
    start: int
    end: int
    text: str


class Source:
    """Everything an answer may draw on: the latest turn first, then what was said before it."""

    def __init__(self, given: Any, history: Iterable[Any] = ()) -> None:
        self.parts = _parts(given, history)
        usable = [part for part in self.parts if part.quotable] or self.parts
        latest = [part for part in usable if part.is_latest]
        self.texts = [part.text for part in [*latest, *(part for part in usable if not part.is_latest)]]
        self._usable = usable

    @property
    def all_text(self) -> str:
        """Every part, also those that are not quoted."""
        return "\n".join(part.text for part in self.parts)

    @cached_property
    def sentences(self) -> list[Sentence]:
        """Every sentence of the input with at least three words, in reading order."""
        return [
            one for part in self._usable for one in _sentences(part) if part.is_output or _counts(one.text)
        ]

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

    @cached_property
    def told(self) -> dict[str, Any]:
        """What the tools answered in JSON, by key; the latest answer wins."""
        found: dict[str, Any] = {}
        for part in self.parts:
            if part.is_output:
                found.update(_told(part.text))
        return found

    def part(self, number: int) -> Part:
        """A part by its number."""
        return self.parts[number - 1]

    def latest_first(self, sentences: list[Sentence]) -> list[Sentence]:
        """The same sentences, those of the latest turn before the others."""
        return sorted(sentences, key=lambda one: not self.part(one.part).is_latest)

    def key_sentences(self, count: int) -> list[Sentence]:
        """The sentences richest in key terms, one from each stretch of the input, in reading order.

        In a conversation most of them come from its latest turn.
        """
        everything = self.sentences
        latest = [one for one in everything if self.part(one.part).is_latest]
        former = [one for one in everything if not self.part(one.part).is_latest]
        if not former or not latest:
            return self._spread(everything, count)
        fresh = self._spread(latest, max(1, count - min(len(former), 1)))
        return self._spread(former, count - len(fresh)) + fresh

    def _spread(self, everything: list[Sentence], count: int) -> list[Sentence]:
        if len(everything) <= count:
            return list(everything)
        terms = set(self.terms[:25])
        chosen: list[Sentence] = []
        for index in range(count):
            first, last = index * len(everything) // count, (index + 1) * len(everything) // count
            chosen.append(max(everything[first:last], key=lambda one: _richness(one.text, terms)))
        return chosen


def _parts(given: Any, history: Iterable[Any]) -> list[Part]:
    turns: list[tuple[Any, bool]] = [(item, False) for item in history]
    turns += (
        [({"content": given}, True)] if isinstance(given, str) else [(one, True) for one in as_list(given)]
    )
    found: list[Part] = []
    for item, is_latest in turns:
        known = as_object(item)
        quotable = known.get("role") not in ("system", "developer", "assistant")
        quotable = quotable and known.get("type") != "reasoning"
        is_output = "output" in known
        for piece in _pieces(known.get("content", known.get("output"))):
            text = piece.get("read_text", piece.get("text"))
            if isinstance(text, str):
                filename, file_id = piece.get("filename"), piece.get("file_id")
                found.append(Part(len(found) + 1, text, quotable, is_output, is_latest, filename, file_id))
    return found


def _pieces(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        yield {"text": content}
    yield from (as_object(piece) for piece in as_list(content))


def _told(text: str) -> dict[str, Any]:
    """The plain values of a JSON object, those of nested objects too."""
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    found: dict[str, Any] = {}
    waiting: list[Any] = [value]
    while waiting:
        for key, one in as_object(waiting.pop(0)).items():
            if isinstance(one, dict):
                waiting.append(one)
            elif isinstance(one, str | int | float):
                found.setdefault(key, one)
    return found


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
    return [part.text for part in _parts(given, ())]
