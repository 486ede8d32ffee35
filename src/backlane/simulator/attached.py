"""The files and pictures of a request's input, read: inline, or by the id of an upload. Links are not followed."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backlane.simulator.files import Files
from backlane.simulator.protocol import Refusal, missing, wrong
from backlane.simulator.reading import Reading
from backlane.simulator.values import as_list, as_object

Item = dict[str, Any]
_PICTURE = (
    "The image data you provided does not represent a valid image. Please check your input and try again with one of "
    "the supported image formats: ['image/jpeg', 'image/png', 'image/gif', 'image/webp']."
)


@dataclass(frozen=True, slots=True)
class Attached:
    """One file of the input."""

    part: Item
    where: str
    how: str
    reading: Reading | None = None
    filename: str | None = None
    file_id: str | None = None

    def line(self) -> Item:
        """What the truth log tells of it."""
        read = self.reading
        return {
            "how": self.how,
            "file_id": self.file_id,
            "filename": self.filename,
            "sha256": read.sha256 if read else None,
            "bytes": read.size if read else None,
            "media_type": read.media_type if read else None,
        }

    def problem(self) -> tuple[str, str] | None:
        """Why it cannot be read: an error code and a message."""
        read = self.reading
        if read is None:
            return None
        if self.part["type"] == "input_image" and not read.is_image:
            return ("empty_image_file" if not read.size else "invalid_image_format"), _PICTURE
        if read.problem:
            return (
                "invalid_file",
                f"The file '{self.filename or self.file_id}' cannot be read: {read.problem}.",
            )
        return None


def read_items(items: list[Item], files: Files, now: float) -> tuple[list[Item], list[Attached]]:
    """The items with the text of each file in its place. Raises Refusal for a file that is not there."""
    found: list[Attached] = []
    return [_read_item(item, f"input[{index}]", files, now, found) for index, item in enumerate(items)], found


def _read_item(item: Item, where: str, files: Files, now: float, found: list[Attached]) -> Item:
    for key in ("content", "output"):
        if any(_is_attached(part) for part in as_list(item.get(key))):
            parts: list[Any] = []
            for number, part in enumerate(as_list(item[key])):
                if not _is_attached(part):
                    parts.append(part)
                    continue
                one = _attached(as_object(part), f"{where}.{key}[{number}]", files, now)
                found.append(one)
                parts.append(_read_part(one))
            return {**item, key: parts}
    return item


def _is_attached(part: Any) -> bool:
    return as_object(part).get("type") in ("input_file", "input_image")


def _read_part(one: Attached) -> Item:
    """The part with its text instead of its bytes."""
    part = {key: value for key, value in one.part.items() if key not in ("file_data", "image_url")}
    if one.reading is not None and one.problem() is None:
        part |= {"read_text": one.reading.text, "is_image": one.reading.is_image}
    return part | {"filename": one.filename}


def _attached(part: Item, where: str, files: Files, now: float) -> Attached:
    filename, file_id = part.get("filename"), part.get("file_id")
    inline, url = _ways(part)
    if file_id:
        stored = files.find(str(file_id), now)
        if stored is None:
            raise file_missing(str(file_id), f"{where}.file_id")
        return Attached(part, where, "file_id", files.read(stored.data), stored.filename, stored.id)
    if inline:
        return Attached(part, where, "inline", files.read(_decoded(str(inline), part, where)), filename)
    if url:
        return Attached(part, where, "url", None, filename)
    raise missing(f"{where}.file_id")


def file_missing(file_id: str, where: str) -> Refusal:
    """The refusal of a request that names a file which is not there."""
    told = f"The file '{file_id}' was not found. It does not exist, has expired or was deleted."
    return wrong(where, told, "file_not_found")


def _ways(part: Item) -> tuple[Any, Any]:
    """The inline data and the link of a part, whichever it has."""
    if part["type"] == "input_file":
        return part.get("file_data"), part.get("file_url")
    link = part.get("image_url")
    return (link, None) if str(link or "").startswith("data:") else (None, link)


def _decoded(given: str, part: Item, where: str) -> bytes:
    try:
        return base64.b64decode(given.rpartition(",")[2], validate=True)
    except binascii.Error:
        name = "file_data" if part["type"] == "input_file" else "image_url"
        code = "invalid_value" if name == "file_data" else "invalid_base64_image"
        raise wrong(f"{where}.{name}", f"Invalid '{where}.{name}': it is not valid base64.", code) from None


def check_attached(found: list[Attached], *, most: int, refuses: bool) -> tuple[str, str] | None:
    """The first problem among the files, where problems fail the run. Raises Refusal where they refuse the create."""
    total = sum(one.reading.size for one in found if one.reading)
    if total > most:
        told = f"The files of one request may have {most} bytes together; these have {total}."
        raise Refusal(400, told, code="file_too_large", param="input")
    for one, problem in _problems(found):
        if refuses:
            raise wrong(one.where, problem[1], problem[0])
        # A failed run has no word of its own for files.
        return ("invalid_prompt" if problem[0] == "invalid_file" else problem[0]), problem[1]
    return None


def _problems(found: list[Attached]) -> Iterator[tuple[Attached, tuple[str, str]]]:
    for one in found:
        problem = one.problem()
        if problem is not None:
            yield one, problem
