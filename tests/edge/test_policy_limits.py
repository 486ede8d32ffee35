"""The limits a policy is written with: what they allow, and every odd spelling they do not take for it."""

from decimal import Decimal
from typing import Any

import pytest

from backlane import policy
from backlane.policy import Allow, Refuse, Review


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("0", Allow), ("100", Allow), (Decimal("100.00"), Allow), (99.99, Allow), ("100.01", Review),
        ("1000", Review), ("1000.01", Refuse), ("1e9", Refuse), ("-1", Review), ("NaN", Review), ("-inf", Review),
        ("Infinity", Review), ("", Review), ("12,50", Review), ("१२", Allow), (None, Review), (True, Review),
    ],
)  # fmt: skip
def test_amounts(value: Any, answer: type) -> None:
    assert type(policy.amount(value, allow="100", refuse="1000")) is answer


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("ana@example.test", Allow), ("ana@EXAMPLE.test", Allow), (["ana@example.test", "bo@example.test"], Allow),
        ("Ana@example.test", Review), ("ana@example.test.", Review), ("ana@example.test ", Review),
        ("ana@example.test,eve@evil.test", Review), ("Ana <ana@example.test>", Review), ("ana", Review), ("", Review),
        ("eve@evil.test?x=ana@example.test", Review), ("ana@evil.test@example.test", Review), ([], Review),
        ("ana%40example.test@evil.test", Review), ("аna@example.test", Review), ("ana@exаmple.test", Review),
        ("ana@example.test\n bcc: eve@evil.test", Review), ("ana@example.test\u200b", Review), ([None], Review),
        (["ana@example.test", "eve@evil.test"], Review), (["ana@example.test"] * 3, Review),
    ],
)  # fmt: skip
def test_recipients(given: Any, answer: type) -> None:
    said = policy.recipients(given, known=["ana@example.test", "bo@example.test"], at_most=2)
    assert type(said) is answer
    assert said.reason.isascii() and said.reason.isprintable() and len(said.reason) < 600


@pytest.mark.parametrize(
    ("place", "answer"),
    [
        ("https://shop.example.test/a?b=c", Allow), ("https://SHOP.example.test:443/", Allow),
        ("shop.example.test", Allow),
        ("a@shop.example.test", Allow), ("https://eu.cdn.test/x", Allow), ("https://cdn.test", Allow),
        ("http://shop.example.test", Review), ("https://shop.example.test:8443/", Review),
        ("//shop.example.test", Review),
        ("https://shop.example.test@evil.test/", Review), ("https://shop.example.test.evil.test/", Review),
        ("https://evil.test/shop.example.test", Review), ("https://evil.test\\@shop.example.test/", Review),
        ("https://evil.test#@shop.example.test", Review), ("https://evilcdn.test", Review),
        ("javascript:alert(1)", Review),
        ("https://shоp.example.test", Review), ("https://xn--shp-tna.example.test", Review), ("https://[::1]/", Review),
        ("https://127.0.0.1/", Review), ("https://", Review), ("https://shop.example.test:x/", Review), ("", Review),
    ],
)  # fmt: skip
def test_domains(place: str, answer: type) -> None:
    assert type(policy.domains(place, among=["shop.example.test", ".cdn.test"])) is answer


def test_others_may_be_refused_and_the_strictest_stands() -> None:
    assert isinstance(policy.domains("evil.test", among=[], others=Refuse), Refuse)
    assert isinstance(policy.recipients("x", known=[], others=Refuse), Refuse)
    assert isinstance(policy.strictest(), Review)
    first, second = Review("one"), Review("two")
    assert policy.strictest(Allow(), first, second) is first
    assert isinstance(policy.strictest(first, Refuse("no"), Allow()), Refuse)
