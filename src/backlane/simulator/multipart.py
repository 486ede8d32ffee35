"""Reading a multipart form, as the provider's clients send uploads. It reads whole bodies only."""

from dataclasses import dataclass, field
from email.message import Message

from backlane.simulator.protocol import Refusal


@dataclass(slots=True)
class Form:
    """The texts by field name, and the name and bytes of the one file."""

    texts: dict[str, str] = field(default_factory=dict[str, str])
    file: tuple[str, bytes] | None = None


def read_form(content_type: str, body: bytes) -> Form:
    """The form's fields. Raises Refusal when it is no form."""
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise Refusal(400, "Content-Type must be multipart/form-data with a boundary.")
    form = Form()
    for piece in (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1"))[1:]:
        if piece.startswith(b"--"):
            return form
        head, found, content = piece.partition(b"\r\n\r\n")
        if not found:
            break
        name, filename = _named(head)
        if filename is None:
            form.texts[name] = content.decode("utf-8", "replace")
        elif name == "file":
            form.file = (filename, content)
    raise Refusal(400, "We could not parse the form of your request.")


def _named(head: bytes) -> tuple[str, str | None]:
    """The field's name, and the file's name where it is one."""
    for line in head.decode("utf-8", "replace").split("\r\n"):
        key, _, value = line.partition(":")
        if key.strip().lower() == "content-disposition":
            header = Message()
            header["content-disposition"] = value.strip()
            name = header.get_param("name", "", "content-disposition")
            return str(name), header.get_filename()
    return "", None
