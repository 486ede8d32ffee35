"""A model's JSON Schema within the subset that the provider's strict mode takes. Pure; never guesses."""

from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]

_KEYWORDS: Final = frozenset(
    [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "anyOf",
        "enum",
        "const",
        "$ref",
        "$defs",
        "description",
        "pattern",
        "format",
        "multipleOf",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minItems",
        "maxItems",
    ]
)
_FORMATS: Final = frozenset(
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"]
)


def strict_schema(model: type[BaseModel]) -> Schema:
    """A model's JSON Schema as the provider's strict mode takes it: all properties required, none added.

    Keywords outside that subset are dropped (pydantic still checks them on the answer). Raises
    ValueError for a model that the subset cannot say, naming what is in the way.
    """
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    if "$ref" in schema:
        schema = {**definitions[schema["$ref"].rpartition("/")[2]], "$defs": definitions}
    try:
        if schema.get("type") != "object":
            raise ValueError("the provider needs an object with named fields")
        return _strict(schema)
    except ValueError as fault:
        raise ValueError(f"output {model.__name__}: {fault}") from None


def closed_tool_schema(schema: Schema) -> tuple[Schema, bool]:
    """The schema of a tool's arguments and whether it is strict: where the subset cannot say it, as it is."""
    try:
        return _strict(schema), True
    except ValueError:
        return schema, False


def _strict(node: Schema) -> Schema:
    known = {("anyOf" if key == "oneOf" else key): value for key, value in node.items()}
    _refuse(known)
    for key in ("properties", "$defs"):
        if key in known:
            known[key] = {name: _strict(part) for name, part in known[key].items()}
    if "items" in known:
        known["items"] = _strict(known["items"])
    if "anyOf" in known:
        known["anyOf"] = [_strict(part) for part in known["anyOf"]]
    if known.get("type") == "object":
        known |= {"required": list(known["properties"]), "additionalProperties": False}
    if known.get("format") not in _FORMATS:
        known.pop("format", None)
    if "(?" in known.get("pattern", ""):
        known.pop("pattern")
    kept = {key: value for key, value in known.items() if key in _KEYWORDS}
    if "$ref" in kept and "description" in kept:
        # Nothing may stand beside a reference there, so its description stands around it.
        return {"anyOf": [{"$ref": kept["$ref"]}], "description": kept["description"]}
    return {"$ref": kept["$ref"]} if "$ref" in kept else kept


def _refuse(known: Schema) -> None:
    if "allOf" in known or "prefixItems" in known:
        raise ValueError("a tuple or a combined type has no strict schema; use a model or a list")
    if known.get("type") == "object" and ("properties" not in known or known.get("additionalProperties")):
        raise ValueError("an object with free keys has no strict schema; use a list of models")
    if known.get("type") == "array" and not known.get("items"):
        raise ValueError("a list must say what it holds")
    if not known.keys() & {"type", "anyOf", "enum", "const", "$ref"}:
        raise ValueError("a field that may be anything has no strict schema; give it a type")
