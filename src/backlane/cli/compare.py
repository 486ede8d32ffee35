"""What an edit changed: what was first shown beside what is decided on now, line by line, hidden characters visible."""

import json
from collections.abc import Iterator
from difflib import unified_diff

from backlane.cli.visible import exactly

# Lines beside what is decided on; what is decided on has its own bar.
BESIDE = "┊"


def changed(former: bytes, new: bytes) -> Iterator[str]:
    """Lines of the former version that are gone (-), those in their place (+), with two around them."""
    before, after = _lines(former), _lines(new)
    if before == after:
        yield f"{BESIDE} no difference"
    for line in list(unified_diff(before, after, lineterm="", n=2))[2:]:
        mark, text = line[0], line[1:]
        yield f"{BESIDE} …" if mark == "@" else f"{BESIDE} {mark} {exactly(text)[0]}"


def _lines(content: bytes) -> list[str]:
    """Text as it is; JSON with each value on a line of its own."""
    text = content.decode("utf-8", "surrogateescape")
    try:
        value = json.loads(text)
    except ValueError:
        return text.split("\n")
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True).split("\n")
