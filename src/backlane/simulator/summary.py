"""An extractive summary or report: a title, then sentences quoted word for word, each with a citation.

A citation is a `url_citation` whose start and end span the quote in the answer's text; its url
`input://part/2?from=120&to=180` names the input text (counted from 1, over the whole conversation) and the same
characters there. What was read from an uploaded file is a `file_citation`, its index the end of the quote.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from backlane.simulator.desk import Finding
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

    def __init__(self, source: Source) -> None:
        self._source = source
        self.text = ""
        self.annotations: list[dict[str, Any]] = []

    def write(self, text: str) -> None:
        """Plain words."""
        self.text += text

    def quote(self, sentence: Sentence) -> None:
        """A sentence of the input, and the citation that proves it."""
        start, part = len(self.text), self._source.part(sentence.part)
        self.text += sentence.text
        if part.file_id:
            named = {"file_id": part.file_id, "filename": part.filename or part.file_id}
            self.annotations.append({"type": "file_citation", "index": len(self.text), **named})
            return
        self.annotations.append(
            {
                "type": "url_citation",
                "start_index": start,
                "end_index": len(self.text),
                "url": f"input://part/{sentence.part}?from={sentence.start}&to={sentence.end}",
                "title": part.filename or f"Input part {sentence.part}",
            }
        )


def summarize(source: Source, instructions: str) -> Written:
    """What the input says, in its own words."""
    asked = f"{instructions}\n{source.all_text[:300]}".lower()
    is_report = any(word in asked for word in _REPORT_WORDS) or len(source.all_text) > _LONG_INPUT
    page = _Page(source)
    terms = ", ".join(source.terms[:3]) or "the input"
    page.write(f"# {'Report' if is_report else 'Summary'}: {terms}\n")
    if not source.sentences:
        page.write("\nThe input holds no full sentence to quote.\n")
    elif is_report:
        _report(page, source)
    else:
        _bullets(page, source.key_sentences(4))
    return Written(page.text, page.annotations)


def add_findings(written: Written, findings: Iterable[Finding]) -> Written:
    """The same answer with what the tools found at its end, each with its citation."""
    text, notes = written.text, list(written.annotations)
    for number, finding in enumerate(findings):
        text += "\n- " if number else "\n## Found\n\n- "
        start = len(text)
        text += finding.text
        if finding.note is not None:
            notes.append(_placed(finding, start, len(text)))
    return Written(text if text == written.text else text + "\n", notes)


def place_notes(text: str, findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The citations of an answer that was written without them: at their quote, or at the end."""
    notes: list[dict[str, Any]] = []
    for finding in findings:
        if finding.note is not None:
            start = text.find(finding.text)
            end = start + len(finding.text) if start >= 0 else len(text)
            notes.append(_placed(finding, start if start >= 0 else end, end))
    return notes


def _placed(finding: Finding, start: int, end: int) -> dict[str, Any]:
    note = dict(finding.note or {})
    if note.get("type") == "file_citation":
        return {**note, "index": end}
    return {**note, "start_index": start, "end_index": end}


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
