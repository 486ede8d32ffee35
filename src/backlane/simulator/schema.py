"""JSON that satisfies a requested schema, with values taken from the input wherever the schema leaves room."""

import json
import random
from typing import Any

from backlane.simulator.schema_values import Ink, Schema
from backlane.simulator.text import Source
from backlane.simulator.values import as_list, as_object

# Below this depth a schema that refers to itself takes its emptiest branch.
_DEEP = 4


class Filler:
    """Fills one schema from one input, deterministically."""

    def __init__(self, schema: Schema, source: Source, chance: random.Random) -> None:
        self._root = schema
        self._ink = Ink(source, chance)

    def fill(self) -> Any:
        """The answer's value."""
        return self._value(self._root, "", 0)

    def _value(self, schema: Schema, name: str, depth: int) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._ink.choice(as_list(schema["enum"]), name)
        for several in ("anyOf", "oneOf"):
            if several in schema:
                rest = {key: value for key, value in schema.items() if key != several}
                return self._value({**rest, **self._pick(as_list(schema[several]), depth)}, name, depth)
        return self._typed(schema, name, depth)

    def _typed(self, schema: Schema, name: str, depth: int) -> Any:
        kind = self._kind(schema, depth)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind in ("integer", "number"):
            return self._ink.number(schema, name, whole=kind == "integer")
        if kind == "boolean":
            return self._ink.yes(name)
        return None if kind == "null" else self._ink.string(schema, name)

    def _kind(self, schema: Schema, depth: int) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = [str(one) for one in as_list(kind)]
            if depth > _DEEP and "null" in kinds:
                return "null"
            return next((one for one in kinds if one != "null"), "null")
        if kind is None:
            if "properties" in schema:
                return "object"
            return "array" if "items" in schema or "prefixItems" in schema else "string"
        return str(kind)

    def _resolved(self, schema: Schema) -> Schema:
        """Follow references and lay `allOf` flat."""
        seen: set[str] = set()
        while "$ref" in schema and schema["$ref"] not in seen:
            seen.add(schema["$ref"])
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**self._target(schema["$ref"]), **rest}
        for one in as_list(schema.get("allOf")):
            extra = self._resolved(as_object(one))
            properties = {**as_object(schema.get("properties")), **as_object(extra.get("properties"))}
            required = [*as_list(schema.get("required")), *as_list(extra.get("required"))]
            schema = {**schema, **extra, "required": required}
            if properties:
                schema["properties"] = properties
        return {key: value for key, value in schema.items() if key != "allOf"}

    def _target(self, reference: str) -> Schema:
        node: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            node = as_object(node).get(step.replace("~1", "/").replace("~0", "~"), node if not step else {})
        return as_object(node)

    def _pick(self, options: list[Any], depth: int) -> Schema:
        """The first real option; deep down the emptiest one, so that recursion ends."""
        resolved = [self._resolved(as_object(one)) for one in options]
        nothing = [one for one in resolved if one.get("type") == "null"]
        real = [one for one in resolved if one.get("type") != "null"]
        if depth > _DEEP and nothing:
            return nothing[0]
        if depth > _DEEP:
            return min(real, key=lambda one: len(json.dumps(one)))
        return (real or nothing)[0]

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties, required = as_object(schema.get("properties")), as_list(schema.get("required"))
        filled = {
            key: self._value(as_object(one), key, depth + 1)
            for key, one in properties.items()
            if depth <= _DEEP or key in required
        }
        extra = schema.get("additionalProperties")
        if isinstance(extra, dict) and not properties:
            names = self._ink.names(max(2, int(schema.get("minProperties", 0))))
            filled = {key: self._value(as_object(extra), key, depth + 1) for key in names}
        return filled

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        first = [self._value(as_object(one), name, depth + 1) for one in as_list(schema.get("prefixItems"))]
        least, most = int(schema.get("minItems", 0)), int(schema.get("maxItems", 10_000))
        wished = 0 if depth > _DEEP else 3
        count = max(least, min(wished, most)) - len(first)
        items = as_object(schema.get("items"))
        if schema.get("items") is False or count <= 0:
            return first
        made = [self._value(items, name, depth + 1) for _ in range(count)]
        if schema.get("uniqueItems"):
            made = self._ink.distinct(made, lambda: self._value(items, name, depth + 1))
        return first + made
