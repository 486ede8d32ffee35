"""Small real files, made by hand: what the tests upload and send."""

import base64
import io
import struct
import zipfile
import zlib

from pypdf import PdfReader, PdfWriter


def pdf(*lines: str) -> bytes:
    """A PDF of one page with these lines."""
    drawn = " T* ".join(f"({line}) Tj" for line in lines)
    stream = f"BT /F1 12 Tf 14 TL 72 720 Td {drawn} ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    written, places = b"%PDF-1.4\n", list[int]()
    for number, one in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    tail = b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(written))
    return written + head + table + tail


def encrypted_pdf() -> bytes:
    """The same, locked."""
    writer, made = PdfWriter(PdfReader(io.BytesIO(pdf("Nobody may read this line.")))), io.BytesIO()
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(made)
    return made.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *texts: str) -> bytes:
    """A white PNG with texts written into it: plain, packed, international in turn."""
    rows = zlib.compress((b"\0" + b"\xff" * (width * 3)) * height)
    made = [_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))]
    for number, text in enumerate(texts):
        if number % 3 == 0:
            made.append(_chunk(b"tEXt", b"Title\0" + text.encode("latin-1")))
        elif number % 3 == 1:
            made.append(_chunk(b"zTXt", b"Title\0\0" + zlib.compress(text.encode("latin-1"))))
        else:
            made.append(_chunk(b"iTXt", b"Title\0\0\0\0\0" + text.encode()))
    return b"\x89PNG\r\n\x1a\n" + b"".join([*made, _chunk(b"IDAT", rows), _chunk(b"IEND", b"")])


def jpeg(width: int, height: int, text: str) -> bytes:
    """The frame of a JPEG with a comment; no picture data follows."""
    comment = text.encode()
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    return (
        b"\xff\xd8\xff\xfe"
        + struct.pack(">H", len(comment) + 2)
        + comment
        + b"\xff\xc0"
        + struct.pack(">H", len(frame) + 2)
        + frame
        + b"\xff\xd9"
    )


def gif(width: int, height: int, text: str) -> bytes:
    """The head of a GIF with a comment."""
    words = text.encode()
    return (
        b"GIF89a"
        + struct.pack("<HH", width, height)
        + b"\0\0\0\x21\xfe"
        + bytes([len(words)])
        + words
        + b"\0;"
    )


def webp(width: int, height: int) -> bytes:
    """The head of an extended WebP."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + size


def docx(*lines: str) -> bytes:
    """A Word document with these paragraphs."""
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = "".join(f"<w:p><w:r><w:t>{line}</w:t></w:r></w:p>" for line in lines)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(
            "word/document.xml", f'<w:document xmlns:w="{space}"><w:body>{body}</w:body></w:document>'
        )
    return made.getvalue()


def data_url(data: bytes, media_type: str) -> str:
    """The file inline."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
