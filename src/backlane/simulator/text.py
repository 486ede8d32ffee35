"""Answers computed from the actual request: extractive, quoted, deterministic. No answer is made up."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
_WORD = re.compile(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ'-]{3,}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "that this with from have they were will would could should there their which about when what into more "
        "than then them been being also each other some such only over after before because your yours ours does "
        "doing very just most much many same these those where while again once",
    )
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of the input and where it stands: which part, from which character to which."""

    part: int
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Written:
    """An answer's text with its annotations."""

    text: str
    annotations: list[dict[str, Any]]


def input_texts(given: Any) -> list[str]:
    """The texts of a request's input, part by part."""
    if isinstance(given, str):
        return [given]
    texts: list[str] = []
    items = cast(list[Any], given) if isinstance(given, list) else []
    for item in items:
        content: Any = item.get("content", item.get("output"))
        if isinstance(content, str):
            texts.append(content)
        for part in cast(list[Any], content) if isinstance(content, list) else []:
            text: Any = part.get("text")
            if isinstance(text, str):
                texts.append(text)
    return texts


def sentences(texts: list[str]) -> list[Sentence]:
    """Every sentence of the input with at least three words."""
    found: list[Sentence] = []
    for index, text in enumerate(texts):
        for match in _SENTENCE.finditer(text):
            stripped = match[0].strip()
            if len(stripped.split()) >= 3:
                start = match.start() + match[0].index(stripped)
                found.append(Sentence(index, start, start + len(stripped), stripped))
    return found


def key_terms(texts: list[str], count: int) -> list[str]:
    """The words the input uses most, longest first among equals."""
    words = Counter(word.lower() for text in texts for word in _WORD.findall(text))
    ranked = sorted(
        (word for word in words if word not in _COMMON), key=lambda word: (-words[word], -len(word), word)
    )
    return ranked[:count]


def numbers(texts: list[str]) -> list[float]:
    """The numbers in the input, in order."""
    return [float(found) for text in texts for found in _NUMBER.findall(text)]


def key_sentences(texts: list[str], count: int) -> list[Sentence]:
    """The sentences richest in the input's own key terms, in reading order."""
    everything = sentences(texts)
    terms = set(key_terms(texts, 25))
    ranked = sorted(
        enumerate(everything),
        key=lambda pair: (
            -sum(word.lower() in terms for word in _WORD.findall(pair[1].text))
            / (8 + len(pair[1].text.split())),
            pair[0],
        ),
    )
    chosen = sorted(index for index, _ in ranked[:count])
    return [everything[index] for index in chosen]


def summary(texts: list[str], instructions: str) -> Written:
    """A title and quoted sentences, each with a citation of where in the input it stands.

    A citation is a `url_citation` over the quote's span; its url `input://part/2?from=120&to=180`
    names the input part (counted from 1) and the quote's characters there, so it can be verified.
    """
    report = "report" in instructions.lower()
    chosen = key_sentences(texts, 9 if report else 4)
    terms = key_terms(texts, 3)
    title = f"# {'Report' if report else 'Summary'}: {', '.join(terms) or 'the input'}"
    text, notes = title + "\n", list[dict[str, Any]]()
    if not chosen:
        return Written(f"{title}\n\nThe input holds no full sentence to quote.", [])
    for index, sentence in enumerate(chosen):
        if report and index % 3 == 0:
            heading = key_terms([one.text for one in chosen[index : index + 3]], 1)
            text += f"\n## {heading[0].capitalize() if heading else 'More'}\n"
        text += "\n- "
        start = len(text)
        text += sentence.text
        notes.append(
            {
                "type": "url_citation",
                "start_index": start,
                "end_index": len(text),
                "url": f"input://part/{sentence.part + 1}?from={sentence.start}&to={sentence.end}",
                "title": f"Input part {sentence.part + 1}",
            }
        )
    return Written(text + "\n", notes)
