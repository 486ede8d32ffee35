"""An extractive summary or report: a title, then sentences quoted word for word, each with a citation.

A citation is a `url_citation` whose start and end span the quote in the answer's text; its url
`input://part/2?from=120&to=180` names the input text (counted from 1) and the same characters there.
"""

from dataclasses import dataclass
from typing import Any

from backlane.simulator.text import Sentence, Source

_REPORT_WORDS = ("report", "research", "sections", "detailed", "in depth")
_LONG_INPUT = 4000


@dataclass(frozen=True, slots=True)
class Written:
    """An answer's text with its annotations."""

    text: str
    annotations: list[dict[str, Any]]


class _Page:
    """Text that grows while it remembers where each quote stands."""

    def __init__(self) -> None:
        self.text = ""
        self.annotations: list[dict[str, Any]] = []

    def write(self, text: str) -> None:
        """Plain words."""
        self.text += text

    def quote(self, sentence: Sentence) -> None:
        """A sentence of the input, and the citation that proves it."""
        start = len(self.text)
        self.text += sentence.text
        self.annotations.append(
            {
                "type": "url_citation",
                "start_index": start,
                "end_index": len(self.text),
                "url": f"input://part/{sentence.part}?from={sentence.start}&to={sentence.end}",
                "title": f"Input part {sentence.part}",
            }
        )


def summarize(source: Source, instructions: str) -> Written:
    """What the input says, in its own words."""
    asked = f"{instructions}\n{source.all_text[:300]}".lower()
    is_report = any(word in asked for word in _REPORT_WORDS) or len(source.all_text) > _LONG_INPUT
    page = _Page()
    terms = ", ".join(source.terms[:3]) or "the input"
    page.write(f"# {'Report' if is_report else 'Summary'}: {terms}\n")
    if not source.sentences:
        page.write("\nThe input holds no full sentence to quote.\n")
    elif is_report:
        _report(page, source)
    else:
        _bullets(page, source.key_sentences(4))
    return Written(page.text, page.annotations)


def _bullets(page: _Page, chosen: list[Sentence]) -> None:
    for sentence in chosen:
        page.write("\n- ")
        page.quote(sentence)
    page.write("\n")


def _report(page: _Page, source: Source) -> None:
    chosen = source.key_sentences(10)
    page.write("\n## Overview\n\n")
    page.quote(chosen[0])
    page.write("\n")
    rest = chosen[1:]
    for start in range(0, len(rest), 3):
        section = rest[start : start + 3]
        page.write(f"\n## {_heading(source, section, start // 3 + 1)}\n")
        _bullets(page, section)
    figures = [one for one in source.sentences if any(letter.isdigit() for letter in one.text)]
    fresh = [one for one in figures if one not in chosen][:3]
    if fresh:
        page.write("\n## Figures\n")
        _bullets(page, fresh)
    used = sorted({one.part for one in [*chosen, *fresh]})
    page.write("\n## Sources\n\n" + "\n".join(f"- Input part {number}" for number in used) + "\n")


def _heading(source: Source, section: list[Sentence], number: int) -> str:
    words = " ".join(one.text for one in section).lower()
    named = next((term for term in source.terms if term in words), None)
    return f"{number}. {named.capitalize()}" if named else f"{number}. More"
