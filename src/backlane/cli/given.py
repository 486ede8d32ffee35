"""`--inputs FILE|-`, `--input name=value` and times, as they are given at a terminal."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from backlane.errors import SettingsError


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def given_inputs(pairs: list[str], source: str | None) -> dict[str, Any]:
    """The inputs from `--inputs FILE|-` and `--input k=v` (JSON where it parses; a repeated name is a list)."""
    inputs: dict[str, Any] = {}
    if source is not None:
        try:
            raw = sys.stdin.read() if source == "-" else Path(source).read_text()
            given: Any = json.loads(raw)
        except OSError as error:
            raise SettingsError(f"--inputs {source}: {error.strerror}; name a readable JSON file") from None
        except ValueError:
            raise SettingsError(f"--inputs {source}: is not JSON; write one object with the inputs") from None
        if not isinstance(given, dict):
            raise SettingsError(f"--inputs {source}: must be one JSON object")
        inputs = cast(dict[str, Any], given)
    repeated: dict[str, list[Any]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise SettingsError(f"--input {pair!r}: must be name=value")
        repeated.setdefault(name, []).append(_value(value))
    for name, values in repeated.items():
        inputs[name] = values[0] if len(values) == 1 else values
    return inputs


def given_time(option: str, text: str) -> datetime:
    """The time that an option gives. Raises SettingsError for what is none, or has no zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise SettingsError(f"{option} {text}: must be a time with its zone, such as 2026-11-25T16:00:00Z")
    return at
