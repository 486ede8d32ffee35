"""The single values of a schema answer: strings, numbers and choices taken from the input. Structure is not its job."""

import json
import random
import re
from collections.abc import Callable
from typing import Any

from backlane.simulator.text import Source

Schema = dict[str, Any]

_NAME_WORDS = (
    "name",
    "title",
    "topic",
    "label",
    "term",
    "keyword",
    "tag",
    "key",
    "category",
    "subject",
    "entit",
)
_CODE_WORDS = ("id", "code", "number", "reference", "sku", "version")
_FALLBACKS = (
    "A-1",
    "2026-01-15",
    "abc",
    "ABC",
    "abc-1",
    "a",
    "1",
    "12",
    "123",
    "1234",
    "+10000000000",
    "a@b.test",
)


class Ink:
    """What the input offers for one answer, handed out in turn."""

    def __init__(self, source: Source, chance: random.Random) -> None:
        self._source = source
        self._chance = chance
        self._sentences = [one.text for one in source.latest_first(source.key_sentences(12))]
        self._sentences = self._sentences or [text.strip() for text in source.texts if text.strip()]
        self._terms = source.terms[:24]
        self._lowered = source.all_text.lower()
        self._turns: dict[str, int] = {}

    def _turn(self, kind: str, offered: list[Any]) -> Any:
        index = self._turns.get(kind, 0)
        self._turns[kind] = index + 1
        return offered[index % len(offered)]

    def choice(self, options: list[Any], name: str) -> Any:
        """The option the input names; otherwise one of them."""
        named = [one for one in options if isinstance(one, str) and one and one.lower() in self._lowered]
        if named:
            return self._turn(f"choice:{name}", named)
        return self._chance.choice(options)

    def yes(self, name: str) -> bool:
        """Whether the input speaks of it."""
        told = self._source.told.get(name)
        if isinstance(told, bool):
            return told
        return any(word in self._lowered for word in _words(name)) if name else bool(self._sentences)

    def names(self, count: int) -> list[str]:
        """Distinct keys for a map."""
        return [*self._terms, *(f"key_{number}" for number in range(count))][:count]

    def number(self, schema: Schema, name: str, *, whole: bool) -> float | int:
        """A number of the input that fits; the nearest fitting one otherwise."""
        told = self._source.told.get(name)
        found = [float(told)] if isinstance(told, int | float) and not isinstance(told, bool) else []
        found = found or self._near(name) or self._source.numbers
        fitting = [one for one in found if _fits(one, schema, whole=whole)]
        if fitting:
            value: float = self._turn(f"number:{name}", fitting)
        else:
            value = _forced(found[0] if found else float(len(self._sentences)), schema, whole=whole)
        return int(value) if whole or value.is_integer() else value

    def _near(self, name: str) -> list[float]:
        """The numbers in a sentence that mentions the property."""
        for sentence in self._source.latest_first(self._source.sentences):
            if any(word in sentence.text.lower() for word in _words(name)):
                found = re.findall(r"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w-])", sentence.text)
                if found:
                    return [float(one) for one in found]
        return []

    def string(self, schema: Schema, name: str) -> str:
        """A sentence, a key term or a code of the input, as the property's name and limits suggest."""
        if "format" in schema:
            formed = self._formed(str(schema["format"]))
            if formed is not None:
                return formed
        if "pattern" in schema:
            return self._patterned(str(schema["pattern"]))
        told = self._source.told.get(name)
        if isinstance(told, str):
            return _sized(told, schema, self._sentences)
        words = name.lower()
        if any(words == one or words.endswith(f"_{one}") for one in _CODE_WORDS) and self._source.codes:
            return _sized(self._turn(f"code:{name}", self._source.codes), schema, self._sentences)
        if self._terms and (
            any(one in words for one in _NAME_WORDS) or int(schema.get("maxLength", 999)) < 24
        ):
            return _sized(self._turn(f"term:{name}", self._terms), schema, self._sentences)
        offered = self._sentences or [""]
        mentioned = [one for one in offered if any(word in one.lower() for word in _words(name))]
        return _sized(self._turn(f"sentence:{name}", mentioned + offered), schema, self._sentences)

    def _formed(self, kind: str) -> str | None:
        date = (self._source.dates or ["2026-01-15"])[0]
        found = re.search(r"[\w.]+@[\w-]+\.\w+", self._source.all_text)
        link = re.search(r"https?://[^\s)>\"]+", self._source.all_text)
        bits = f"{self._chance.getrandbits(128):032x}"
        made = {
            "date": date,
            "date-time": f"{date}T09:30:00Z",
            "time": "09:30:00Z",
            "duration": "P1D",
            "email": found[0] if found else "person@example.test",
            "uri": link[0] if link else "https://example.test/",
            "uuid": f"{bits[:8]}-{bits[8:12]}-4{bits[13:16]}-a{bits[17:20]}-{bits[20:]}",
            "ipv4": "192.0.2.1",
            "ipv6": "2001:db8::1",
            "hostname": "example.test",
        }
        return made.get(kind)

    def _patterned(self, pattern: str) -> str:
        """The first thing at hand that the pattern takes; a pattern nobody meets is left unmet."""
        offered = [*self._source.dates, *self._source.codes, *self._terms, *self._sentences, *_FALLBACKS]
        met = re.search(pattern.strip("^$"), self._source.all_text)
        candidates = [met[0], *offered] if met and met[0] else offered
        return next((one for one in candidates if re.search(pattern, one)), "")

    def distinct(self, made: list[Any], another: Callable[[], Any]) -> list[Any]:
        """The same values without repeats, with fresh ones in the gaps."""
        kept: list[Any] = []
        seen: set[str] = set()
        for value in [*made, *(another() for _ in range(8 * len(made)))]:
            told = json.dumps(value, sort_keys=True)
            if told not in seen and len(kept) < len(made):
                seen.add(told)
                kept.append(value)
        while len(kept) < len(made) and kept and not isinstance(kept[-1], dict | list | bool):
            last = kept[-1]
            kept.append(last + 1 if isinstance(last, int | float) else f"{kept[0]} {len(kept) + 1}")
        return kept


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z]+", name.lower()) if len(word) > 2]


def _bounds(schema: Schema, *, whole: bool) -> tuple[float | None, float | None]:
    step = 1 if whole else 1e-6
    lows = [
        schema[key] + extra for key, extra in (("minimum", 0), ("exclusiveMinimum", step)) if key in schema
    ]
    highs = [
        schema[key] - extra for key, extra in (("maximum", 0), ("exclusiveMaximum", step)) if key in schema
    ]
    return (max(lows) if lows else None, min(highs) if highs else None)


def _fits(value: float, schema: Schema, *, whole: bool) -> bool:
    low, high = _bounds(schema, whole=whole)
    if (low is not None and value < low) or (high is not None and value > high):
        return False
    if "multipleOf" in schema and not float(value / schema["multipleOf"]).is_integer():
        return False
    return not whole or value.is_integer()


def _forced(value: float, schema: Schema, *, whole: bool) -> float:
    low, high = _bounds(schema, whole=whole)
    value = value if low is None else max(value, low)
    value = value if high is None else min(value, high)
    step = float(schema.get("multipleOf", 1 if whole else 0))
    if step:
        value = step * (value // step)
        value = value + step if low is not None and value < low else value
    return float(value)


def _sized(text: str, schema: Schema, sentences: list[str]) -> str:
    """The text within its length limits, cut between words where that is possible."""
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    index = 0
    while len(text) < least:
        text = (
            f"{text} {sentences[index % len(sentences)]}" if sentences else text + "." * (least - len(text))
        )
        index += 1
    if most is not None and len(text) > int(most):
        shorter = text[: int(most)].rpartition(" ")[0]
        text = shorter if len(shorter) >= max(least, 1) else text[: int(most)]
    return text
