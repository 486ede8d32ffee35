"""Reading the bytes of a file: what it is, the text in it, or why nothing can be read. It knows no requests."""

import hashlib
import html.parser
import io
import logging
import zipfile
from dataclasses import dataclass
from xml.etree import ElementTree

from backlane.simulator.pictures import read_picture


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found in a file; `problem` says why nothing was."""

    sha256: str
    size: int
    media_type: str
    text: str
    problem: str | None = None

    @property
    def is_image(self) -> bool:
        """Whether it is a picture the model takes."""
        return self.media_type.startswith("image/")


def read_bytes(data: bytes) -> Reading:
    """The text of a PDF, a Word document, an HTML page, a plain text or a picture, by what the bytes are."""
    media_type, text, problem = "application/octet-stream", "", None
    picture = read_picture(data)
    if not data:
        problem = "it is empty"
    elif picture is not None:
        media_type, text = picture
    elif data.startswith(b"%PDF"):
        media_type = "application/pdf"
        text, problem = _pdf(data)
    elif data.startswith(b"PK\x03\x04"):
        media_type = "application/zip"
        text, problem = _word(data)
    else:
        media_type, text, problem = _plain(data)
    return Reading(hashlib.sha256(data).hexdigest(), len(data), media_type, text, problem)


def _pdf(data: bytes) -> tuple[str, str | None]:
    import pypdf

    # It warns of every flaw it mends; a flaw that matters is told as a problem.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        document = pypdf.PdfReader(io.BytesIO(data))
        if document.is_encrypted:
            return "", "it is encrypted"
        pages = [page.extract_text().strip() for page in document.pages]
    except Exception:  # whatever a broken file makes the reader raise
        return "", "it is broken"
    return "\n\n".join(page for page in pages if page), None if pages else "it has no pages"


def _word(data: bytes) -> tuple[str, str | None]:
    """The paragraphs of a Word document; other archives are nothing to read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            written = archive.read("word/document.xml")
        root = ElementTree.fromstring(written)  # noqa: S314
    except (zipfile.BadZipFile, KeyError, ElementTree.ParseError, NotImplementedError, RuntimeError):
        return "", "it is of a kind that cannot be read"
    space = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
    paragraphs = (
        "".join(run.text or "" for run in paragraph.iter(f"{space}t")) for paragraph in root.iter(f"{space}p")
    )
    return "\n".join(one for one in paragraphs if one), None


def _plain(data: bytes) -> tuple[str, str, str | None]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "application/octet-stream", "", "it is of a kind that cannot be read"
    if "\x00" in text:
        return "application/octet-stream", "", "it is of a kind that cannot be read"
    if text[:200].lstrip().lower().startswith(("<!doctype html", "<html")):
        page = _Page()
        page.feed(text)
        return "text/html", "\n".join(page.lines), None
    return "text/plain", text, None


class _Page(html.parser.HTMLParser):
    """The words of a page, without its scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Leave out what is not shown."""
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        """Until it ends."""
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        """Keep what is shown."""
        if data.strip() and self._hidden <= 0:
            self.lines.append(" ".join(data.split()))
