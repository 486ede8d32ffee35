"""Whatever a text holds: what is printed of it drives no terminal, hides nothing, and says exactly what it was."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlane.cli.visible import exactly, in_line, is_hidden, scripts_in, visible

_CODE = re.compile(r"⟨(?:U\+([0-9A-F]{4,6})|byte 0x([0-9A-F]{2}))⟩")
_TEXTS = st.text() | st.text(alphabet="ap\u0430\u0440 \u202e\u200b\x1b\u0301⟨⟩U+01\n\ufe0f\u2800@.")


def read_back(told: str) -> str:
    """What was escaped, as it was."""
    return _CODE.sub(lambda at: chr(int(at[1], 16) if at[1] else 0xDC00 + int(at[2], 16)), told)


@given(_TEXTS)
def test_what_is_printed_can_be_seen_and_read_back(text: str) -> None:
    told, made = exactly(text)
    assert not any(is_hidden(char) and char not in "\n\t" for char in told)
    assert read_back(told) == text
    assert made == len(_CODE.findall(told))
    assert in_line(text) == in_line(in_line(text))
    assert visible(text) == visible(visible(text))
    assert not set("\n\t\r\x1b\x9b\u202e\u200b") & set(in_line(text))


@given(st.binary())
def test_bytes_that_are_no_text_are_shown_as_bytes(content: bytes) -> None:
    told, _ = exactly(content.decode("utf-8", "surrogateescape"))
    assert read_back(told).encode("utf-8", "surrogateescape") == content


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("p\u0430ypal.com", "p⟨U+0430⟩ypal.com"),
        ("\u0440\u0430\u0443.com", "⟨U+0440⟩⟨U+0430⟩⟨U+0443⟩.com"),
        ("\u043f\u0440\u0438\u0432\u0435\u0442 world", "\u043f\u0440\u0438\u0432\u0435\u0442 world"),
        ("\uff30aypal", "⟨U+FF30⟩aypal"),
        ("naïve café 猫 100 €", "naïve café 猫 100 €"),
        ("⟨U+0041⟩", "⟨U+27E8⟩U+0041⟩"),
        ("a\u0301\u0301\u0301", "a\u0301\u0301⟨U+0301⟩"),
        ("no\u00a0break\u2028", "no⟨U+00A0⟩break⟨U+2028⟩"),
    ],
)
def test_look_alikes_in_a_word_are_told_apart(text: str, told: str) -> None:
    assert exactly(text)[0] == told


PASSING = {
    "p\u0251ypal.com": "p⟨U+0251⟩ypal.com",
    "p\u0251ypal": "p⟨U+0251⟩ypal",
    "paypa\u217c.com": "paypa⟨U+217C⟩.com",
    "\u0261oogle": "⟨U+0261⟩oogle",
    "c\u0131tibank.com": "c⟨U+0131⟩tibank.com",
    "info@c\u0131tibank": "info@c⟨U+0131⟩tibank",
    "payp\u1ea1l.com": "payp⟨U+1EA1⟩l.com",
    "m\u00fcller.test": "m⟨U+00FC⟩ller.test",
    "pay\u2024example.test": "pay⟨U+2024⟩example.test",
    "pay\u3002test": "pay⟨U+3002⟩test",
    "pay\uff61test": "pay⟨U+FF61⟩test",
    "pay\uff0etest": "pay⟨U+FF0E⟩test",
    "https:\u2215\u2215bank.test": "https:⟨U+2215⟩⟨U+2215⟩bank.test",
    "bank.test\u2044a": "bank.test⟨U+2044⟩a",
    "evil.test\uff0fbank.test": "evil.test⟨U+FF0F⟩bank.test",
    "https\uff1a//bank.test": "https⟨U+FF1A⟩//bank.test",
    "https\u2236//bank.test": "https⟨U+2236⟩//bank.test",
    "ana\uff20bank.test": "ana⟨U+FF20⟩bank.test",
    "bank\u2010of.test": "bank⟨U+2010⟩of.test",
    "bank\u2013\u2212of.test": "bank⟨U+2013⟩⟨U+2212⟩of.test",
    "\uff11\uff10\uff10": "⟨U+FF11⟩⟨U+FF10⟩⟨U+FF10⟩",
    "1\u0966\u0030 \u0664.50": "1⟨U+0966⟩0 ⟨U+0664⟩.50",
    "10\u00b2": "10⟨U+00B2⟩",
    "\U0001d41a\U0001d41d\U0001d426in": "⟨U+1D41A⟩⟨U+1D41D⟩⟨U+1D426⟩in",
    "\u0440\u0430\u0443.\u0441\u043e\u043c": "⟨U+0440⟩⟨U+0430⟩⟨U+0443⟩.⟨U+0441⟩⟨U+043E⟩⟨U+043C⟩",
    '{"a":"\u0430@\u0440","b":"\u043a\u043e\u0442"}': '{"a":"⟨U+0430⟩@⟨U+0440⟩","b":"\u043a\u043e\u0442"}',
    "https://x.test/\u65e5\u672c": "https://x.test/⟨U+65E5⟩⟨U+672C⟩",
    "\u732b.test": "⟨U+732B⟩.test",
    "\u0440\u0430\u3002\u0441\u043e\u043c": "⟨U+0440⟩⟨U+0430⟩⟨U+3002⟩⟨U+0441⟩⟨U+043E⟩⟨U+043C⟩",
}
PROSE = [
    "Größe, Straße, naïve café: 100 € – “très bien”, it’s well\u2010known… 1990–2000, −5 °C, ½.",
    "Çok kırmızı bir ırmak. Łódź, Đà Nẵng, cañón, ångström; col·lecció.",
    "Привет, мир! Это т.е. и т.д., цена — 5 руб. Конец.",
    "Καλημέρα, π.χ. κ.λπ. Τι κάνεις; Καλά.",
    "你好，世界。今天（星期一）有雨！是吗？对：是的；",
    "请看example.com。谢谢，再见。价格是100元。",
    "今日は、東京・大阪。「はい」〜",
    "السلام عليكم، ٣.١٤ ؟ שלום. नमस्ते। १००",
    "Pay ana@example.test at https://bank.example.test/a-b?c=d#e 🦦.",
]


@pytest.mark.parametrize(("text", "told"), PASSING.items())
def test_what_passes_for_ascii_is_told(text: str, told: str) -> None:
    assert exactly(text)[0] == told
    assert exactly(f"to {text}, please")[0] == f"to {told}, please"


@pytest.mark.parametrize("text", PROSE)
def test_prose_stays_as_it_is(text: str) -> None:
    assert exactly(text) == (text, 0)


def test_the_scripts_of_a_text_are_named() -> None:
    assert scripts_in("Pay 10 €") == ["LATIN"]
    assert scripts_in("\u0440\u0430\u0443") == ["CYRILLIC"]
    assert scripts_in("猫 and \u0391") == ["GREEK", "LATIN", "OTHER"]
