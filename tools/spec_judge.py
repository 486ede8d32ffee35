"""Judges recorded calls by an OpenAPI 3.1 description: every request body, response body, stream event and webhook."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_DOCUMENT = "urn:described"
_METHODS = ("get", "post", "put", "patch", "delete")
_EVENTS = "/components/schemas/ResponseStreamEvent"
_REFUSAL = "/components/schemas/ErrorResponse"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call as it went over the wire; `body` and `answer` are parsed JSON, or None."""

    method: str
    path: str
    body: Any
    status: int
    answer: Any
    # The parsed data of a stream's events, instead of an answer.
    events: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Violation:
    """What is not as described: where it stands, and why."""

    operation: str
    place: str
    pointer: str
    told: str

    def __str__(self) -> str:
        return f"{self.operation} {self.place} {self.pointer or '/'}: {self.told}"


class Description:
    """An OpenAPI file that can be asked whether a body is as it says."""

    def __init__(self, path: Path) -> None:
        self._document: dict[str, Any] = yaml.safe_load(path.read_text())
        resource: Resource[Any] = Resource.from_contents(self._document, default_specification=DRAFT202012)
        empty: Registry[Any] = Registry()  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        self._registry = empty.with_resource(_DOCUMENT, resource)
        self._operations = list(self._read_operations())

    def _read_operations(self) -> Iterator[tuple[str, str, re.Pattern[str]]]:
        for template, item in dict(self._document.get("paths", {})).items():
            pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)))
            for method in _METHODS:
                if method in item:
                    yield method.upper(), template, pattern

    def operation(self, method: str, path: str) -> str | None:
        """The operation a call belongs to, such as `GET /responses/{response_id}`; the plainest path wins."""
        found = [
            template
            for verb, template, pattern in self._operations
            if verb == method and pattern.fullmatch(path)
        ]
        return f"{method} {min(found, key=lambda one: one.count('{'))}" if found else None

    def judge(self, call: Exchange) -> list[Violation]:
        """All that is not as described in one call; nothing for an operation the file does not have."""
        operation = self.operation(call.method, call.path)
        if operation is None:
            return []
        method, template = operation.split(" ", 1)
        where = f"/paths/{_escaped(template)}/{method.lower()}"
        # What was refused as wrong was sent so on purpose.
        given = None if call.status == 400 else call.body
        found = self._judged(operation, "request", self._content(f"{where}/requestBody"), given)
        if call.events:
            for event in call.events:
                kind = f"event {_kind(event)}"
                found += self._judged(operation, kind, self._existing(_EVENTS), event)
            return found
        schema = self._content(f"{where}/responses/{call.status}")
        if schema is None and call.status >= 400:
            schema = self._existing(_REFUSAL)
        return found + self._judged(operation, f"answer {call.status}", schema, call.answer)

    def judge_webhook(self, event: Any) -> list[Violation]:
        """All that is not as described in a webhook's body."""
        name = _kind(event).replace(".", "_")
        schema = self._content(f"/webhooks/{name}/post/requestBody")
        return self._judged(f"webhook {_kind(event)}", "body", schema, event)

    def _judged(self, operation: str, place: str, schema: str | None, value: Any) -> list[Violation]:
        if schema is None or value is None:
            return []
        judge = Draft202012Validator({"$ref": _DOCUMENT + "#" + schema}, registry=self._registry)
        errors = cast(Iterable[ValidationError], judge.iter_errors(value))  # pyright: ignore[reportUnknownMemberType]
        return [
            Violation(operation, place, _pointer(cause), _told(cause))
            for error in errors
            for cause in _causes(error)
        ]

    def _content(self, where: str) -> str | None:
        """Where the schema of a JSON or form body stands, if there is one."""
        node = self._at(where)
        if isinstance(node, dict) and "$ref" in node:
            where = str(cast(Any, node)["$ref"]).removeprefix("#")
        for kind in ("application/json", "multipart/form-data"):
            found = self._existing(f"{where}/content/{_escaped(kind)}/schema")
            if found:
                return found
        return None

    def _existing(self, where: str) -> str | None:
        return where if self._at(where) is not None else None

    def _at(self, where: str) -> Any:
        node: Any = self._document
        for part in where.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, dict) or name not in node:
                return None
            node = cast(Any, node)[name]
        return node


def _causes(error: ValidationError) -> list[ValidationError]:
    """What is really wrong behind "none of these fits": the alternative of the value's own type, looked into."""
    branches: dict[Any, list[ValidationError]] = {}
    for one in error.context or []:
        branches.setdefault(one.schema_path[0], []).append(one)
    meant = [errors for errors in branches.values() if not any(_names_another_type(one) for one in errors)]
    if not meant:
        return [error]
    nearest = min(meant, key=len)
    return [cause for one in nearest for cause in _causes(one)]


def _names_another_type(error: ValidationError) -> bool:
    path = list(error.relative_path)
    if error.validator == "type" and not path:
        return True
    if error.validator in ("const", "enum", "not") and path[-1:] == ["type"]:
        return True
    children = error.context or []
    return bool(children) and all(_names_another_type(one) for one in children)


def _told(error: ValidationError) -> str:
    if error.validator == "oneOf" and not error.context:
        return "fits more than one alternative"
    return error.message[:300]


def _pointer(error: ValidationError) -> str:
    return "".join(f"/{_escaped(str(part))}" for part in error.absolute_path)


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _kind(event: Any) -> str:
    return str(cast(Any, event).get("type", "?")) if isinstance(event, dict) else "?"


def events_of(text: str) -> tuple[Any, ...]:
    """The data of a stream's events."""
    lines = [line.removeprefix("data:").strip() for line in text.splitlines() if line.startswith("data:")]
    return tuple(json.loads(line) for line in lines if line != "[DONE]")
