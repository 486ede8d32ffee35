"""What kinds of files are taken, and how first bytes tell a file's kind. Pure; names and headers are claims."""

from collections.abc import Mapping
from typing import NamedTuple

TEXTS = frozenset(
    {"text/plain", "text/markdown", "text/csv", "text/html", "application/json", "application/xml"}
)
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
PDF = "application/pdf"
_OFFICE = "application/vnd.openxmlformats-officedocument."
# The part that every such document has, by which its kind is known.
OFFICE_PARTS: Mapping[str, str] = {
    "word/document.xml": _OFFICE + "wordprocessingml.document",
    "xl/workbook.xml": _OFFICE + "spreadsheetml.sheet",
    "ppt/presentation.xml": _OFFICE + "presentationml.presentation",
}
EXTENSIONS: Mapping[str, str] = {
    "pdf": PDF, "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif",
    "webp": "image/webp", "txt": "text/plain", "log": "text/plain", "md": "text/markdown",
    "markdown": "text/markdown", "csv": "text/csv", "json": "application/json", "html": "text/html",
    "htm": "text/html", "xml": "application/xml", "docx": OFFICE_PARTS["word/document.xml"],
    "xlsx": OFFICE_PARTS["xl/workbook.xml"], "pptx": OFFICE_PARTS["ppt/presentation.xml"],
}  # fmt: skip
ALLOWED = frozenset({*EXTENSIONS.values()})
# Browsers on Windows say this of every table, a CSV too, once a spreadsheet program is installed.
_SAYS_TABLE = "application/vnd.ms-excel"
# What is said of a file where nothing is known of it; clients send these by themselves.
_SAYS_NOTHING = frozenset(
    {"", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"}
)
_ALIASES = {
    "image/jpg": "image/jpeg", "application/x-pdf": PDF, "text/xml": "application/xml", "text/json": "application/json",
    "text/x-markdown": "text/markdown", "application/csv": "text/csv", "application/xhtml+xml": "text/html",
}  # fmt: skip
_ZIP, _OLD_OFFICE = "application/zip", "application/x-ole-storage"
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"PK\x03\x04", _ZIP),
    (b"PK\x05\x06", _ZIP),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OLD_OFFICE),
)
_PDF_HEADER = b"%PDF-"
# Some writers put a few bytes before a PDF's header; readers look this far for it.
_PDF_HEADER_WITHIN = 1024
NAME_AT_MOST = 200


class FileInput(NamedTuple):
    """An uploaded file that a job's inputs name: where, its id, and whether it must be a picture."""

    pointer: str
    id: str
    is_image: bool = False


def is_text(claim: str | None) -> bool:
    """Whether a file is claimed to be a text of some kind."""
    return claim is not None and (claim in TEXTS or claim.startswith("text/"))


def sniffed(head: bytes, claim: str | None = None) -> str | None:
    """The kind that the first bytes prove; None for what may be text or is unknown.

    What is claimed to be a text may mention a PDF's header: there it counts only as the very first bytes.
    """
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    within = len(_PDF_HEADER) if is_text(claim) else _PDF_HEADER_WITHIN
    return PDF if _PDF_HEADER in head[:within] else None


def is_zip(kind: str | None) -> bool:
    """Whether the bytes are an archive, which may be an office document."""
    return kind == _ZIP


def is_old_office(kind: str | None) -> bool:
    """Whether the bytes are the container of old and of encrypted office documents."""
    return kind == _OLD_OFFICE


def claimed(content_type: str | None, name: str) -> str | None:
    """The media type a sender claims: the header's, or the name's ending where that says nothing or only `text`."""
    told = (content_type or "").partition(";")[0].strip().lower()
    told = _ALIASES.get(told, told)
    by_name = EXTENSIONS.get(name.rpartition(".")[2].lower()) if "." in name else None
    if told in _SAYS_NOTHING or (told == _SAYS_TABLE and by_name == "text/csv"):
        return by_name
    if told == "text/plain" and by_name in TEXTS:
        return by_name
    return told


def text_kind(claim: str | None, head: str) -> str:
    """The kind of a text: what is claimed of it, else what its beginning shows."""
    if claim in TEXTS:
        return str(claim)
    begin = head.lstrip("\ufeff \t\r\n")[:200].lower()
    if begin.startswith(("<!doctype html", "<html")):
        return "text/html"
    return "application/xml" if begin.startswith("<?xml") else "text/plain"


def extension_of(media_type: str) -> str:
    """The ending that a file of this type is named with."""
    return next((ending for ending, kind in EXTENSIONS.items() if kind == media_type), "bin")


def label(name: str | None, media_type: str) -> str:
    """A file's name as a label: the last part of a path, without control or direction characters, 200 at most."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    kept = "".join(char for char in last if char.isprintable()).strip()
    if not kept.strip("."):
        kept = f"file.{extension_of(media_type)}"
    if len(kept) > NAME_AT_MOST:
        stem, dot, ending = kept.rpartition(".")
        ending = dot + ending if stem and len(ending) <= 16 else ""
        kept = kept[: NAME_AT_MOST - len(ending)] + ending
    return kept
