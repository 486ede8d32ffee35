"""Whether arguments point at something that could be another by the time they are used: an address, or a file. Pure."""

import re
import unicodedata
from typing import Any, cast

# A scheme, or none: //host and \\host mean what https://host does; browsers take either slash.
_WITH_SLASHES = re.compile(
    r"(?:^|[\s\"'(<\[=:])(?:[a-z][a-z0-9+.-]*:)?[/\\]{2,}[^\s/\\]|:[/\\]{2}", re.IGNORECASE
)
_NO_SLASHES = re.compile(r"\b(?:www\d?\.[^\s.]|(?:file|ftp|blob|cid|urn|doi|magnet|ipfs):\S)", re.IGNORECASE)
# A host and a path: `host.example/terms`; not `1.5/2`, nor `and/or`.
_HOST_AND_PATH = re.compile(
    r"(?:^|[\s\"'(<\[@])(?:[^\W_][\w-]*\.)+[^\W\d_]{2,}(?::\d+)?[/?#]\S", re.IGNORECASE
)
# All of a text is the path of a file: with a root, a home, a drive, or a folder, and with an ending.
_FILE = re.compile(r"(?:~|\.{1,2}|[a-z]:)?[/\\](?:[^/\\\n]+[/\\])*[^/\\\n]+\.\w{1,8}", re.IGNORECASE)


def holds_address(given: Any) -> bool:
    """Whether any text in this JSON, names included, holds an address or is a file's path.

    >>> holds_address({"terms": ["see host.example/terms.pdf"]}), holds_address({"note": "10/12, and/or"})
    (True, False)
    """
    left = [given]
    while left:
        one = left.pop()
        if isinstance(one, str):
            if _is_address(one):
                return True
        elif isinstance(one, dict):
            found = cast(dict[str, Any], one)
            left += [*found.keys(), *found.values()]
        elif isinstance(one, list):
            left += cast(list[Any], one)
    return False


def _is_address(text: str) -> bool:
    plain = unicodedata.normalize("NFKC", text)  # wide letters and dots are read as what they stand for
    if _FILE.fullmatch(plain.strip()):
        return True
    return any(pattern.search(plain) for pattern in (_WITH_SLASHES, _NO_SLASHES, _HOST_AND_PATH))
