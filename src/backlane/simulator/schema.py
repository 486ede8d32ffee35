"""JSON that satisfies a requested schema, with values taken from the input wherever the schema leaves room."""

import random
from typing import Any, cast

from backlane.simulator.text import key_sentences, key_terms, numbers

Schema = dict[str, Any]


class Filler:
    """Fills one schema from one input, deterministically."""

    def __init__(self, schema: Schema, texts: list[str], chance: random.Random) -> None:
        self._root = schema
        self._chance = chance
        self._sentences = [one.text for one in key_sentences(texts, 12)] or [
            text[:200] for text in texts if text
        ]
        self._terms = key_terms(texts, 12)
        self._numbers = numbers(texts)
        self._used = 0

    def fill(self) -> Any:
        """The answer's value."""
        return self._value(self._root, 0)

    def _next(self) -> int:
        self._used += 1
        return self._used - 1

    def _value(self, schema: Schema, depth: int) -> Any:
        if "$ref" in schema:
            return self._value(self._resolve(schema["$ref"]), depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._chance.choice(schema["enum"])
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return self._value(self._pick(schema[several], depth), depth)
        if "allOf" in schema:
            merged: Schema = {}
            for one in schema["allOf"]:
                merged |= self._resolve(one["$ref"]) if "$ref" in one else one
            return self._value(merged, depth)
        return self._typed(schema, depth)

    def _typed(self, schema: Schema, depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kinds = cast(list[str], kind)
            kind = next((one for one in kinds if one != "null"), "null")
        if kind == "object":
            properties = cast(dict[str, Schema], schema.get("properties", {}))
            return {name: self._value(one, depth + 1) for name, one in properties.items()}
        if kind == "array":
            return self._array(schema, depth)
        if kind in ("integer", "number"):
            return self._number(schema, kind == "integer")
        if kind == "boolean":
            return self._chance.random() < 0.5
        return None if kind == "null" else self._string(schema)

    def _resolve(self, reference: str) -> Schema:
        node: Any = self._root
        for step in reference.removeprefix("#/").split("/") if reference != "#" else []:
            node = node[step.replace("~1", "/").replace("~0", "~")]
        return node

    def _pick(self, options: list[Schema], depth: int) -> Schema:
        """The first real option; deep down the emptiest one, so that recursion ends."""
        nothing = [one for one in options if one.get("type") == "null"]
        real = [one for one in options if one.get("type") != "null"]
        return nothing[0] if depth > 6 and nothing else (real or nothing)[0]

    def _array(self, schema: Schema, depth: int) -> list[Any]:
        least, most = schema.get("minItems", 0), schema.get("maxItems", 10_000)
        count = 0 if depth > 6 else min(3, max(1, len(self._terms)))
        count = max(least, min(count, most))
        items = cast(Schema, schema.get("items", {}))
        if items.get("type") == "string" and "enum" not in items and "format" not in items:
            terms = self._terms or [""]
            plain = [terms[index % len(terms)] for index in range(count)]
            return [self._fit(one, items) for one in plain]
        return [self._value(items, depth + 1) for _ in range(count)]

    def _number(self, schema: Schema, whole: bool) -> float | int:
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        if "exclusiveMinimum" in schema:
            low = schema["exclusiveMinimum"] + (1 if whole else 1e-3)
        if "exclusiveMaximum" in schema:
            high = schema["exclusiveMaximum"] - (1 if whole else 1e-3)
        index = self._next()
        value: float = self._numbers[index % len(self._numbers)] if self._numbers else float(len(self._terms))
        value = value if low is None else max(value, low)
        value = value if high is None else min(value, high)
        if "multipleOf" in schema:
            value = schema["multipleOf"] * round(value / schema["multipleOf"])
        return round(value) if whole else value

    def _string(self, schema: Schema) -> str:
        fixed = {"date": "2026-01-15", "date-time": "2026-01-15T09:30:00Z", "time": "09:30:00Z"}
        fixed |= {
            "email": "person@example.test",
            "uri": "https://example.test/",
            "uuid": f"{self._chance.getrandbits(128):032x}",
        }
        kind = schema.get("format")
        if kind in fixed:
            return fixed[kind]
        if not self._sentences:
            return self._fit("", schema)
        return self._fit(self._sentences[self._next() % len(self._sentences)], schema)

    def _fit(self, text: str, schema: Schema) -> str:
        most, least = schema.get("maxLength"), schema.get("minLength", 0)
        text = text if most is None else text[:most]
        return text + "." * max(0, least - len(text))
