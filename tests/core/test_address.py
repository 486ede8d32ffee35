"""What counts as an address or a file's path in an action's arguments, and what does not."""

from typing import Any

import pytest

from backlane.core.address import holds_address

ADDRESSES = (
    "https://shop.test/a", "HTTPS:/\\shop.test", "https:\\\\shop.test", "//shop.test/a", "///shop.test",
    "www.shop.test", "see (http://x.y)", "shop.test/terms.pdf", "shop.test:8080/x", "shop.test?x=1", "ana@shop.test/x",
    "s3://bucket/key", "file:/etc/hosts", "пример.рф/а", "xn--e1afmkfd.test/a", "shop．test／a", "/srv/terms.pdf",
    "~/terms.txt", "../terms.md", "C:\\papers\\terms.docx", "\\\\server\\share\\terms.txt",
)  # fmt: skip
OTHERS = (
    "and/or", "1.5/2", "10/12/2026", "12:30", "ratio 3:4", "e.g./i.e.", "a.m./p.m.", "km/h", "1.000,50 / 3", "v1.2/3",
    "ana@shop.test", "shop.example", "README.md", "/month", "// a comment", "Dr. Who / Ms. X", "note: urgent", "C++",
)  # fmt: skip


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_is_found_wherever_it_stands(text: str) -> None:
    places: tuple[Any, ...] = (text, [text], {"a": {"b": [1, None, text]}}, {text: 1})
    assert all(holds_address(place) for place in places)


@pytest.mark.parametrize("text", OTHERS)
def test_ordinary_words_are_none(text: str) -> None:
    assert not holds_address({"note": text, "count": 3, "more": [None, True, 1.5]})


@pytest.mark.parametrize(
    "text", [part * 50_000 for part in ("a.", "a/", "//", " a.bc", "http", "~", "a-", ":")]
)
def test_long_texts_are_read_in_one_go(text: str) -> None:
    # A pattern that went back over and over would not end before the test's own time.
    assert not holds_address(text)
