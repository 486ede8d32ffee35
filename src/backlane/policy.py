"""What a policy is written with: its three answers, what it is asked, and limits that say which answer fits.

Import the module: `from backlane import policy`, then `policy.Allow()`, `policy.Review("…")`, `policy.Refuse("…")`.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlsplit

from backlane.core.policy import Allow, Asked, Over, PolicyJob, Refuse, Review, most_asked

__all__ = [
    "Allow",
    "Answers",
    "Asked",
    "Over",
    "PolicyJob",
    "Refuse",
    "Review",
    "amount",
    "domains",
    "recipients",
    "strictest",
]

Answers = Allow | Review | Refuse
_ORDER: tuple[type[Answers], ...] = (Allow, Review, Refuse)


def strictest(*answers: Answers) -> Answers:
    """The strictest of these: a refusal before a review before an allow; of two alike the first. None: a review.

    Reviews together ask for the most that any of them does: the highest quorum, an admin where one asks for an admin.
    """
    if not answers:
        return Review("nothing was asked")
    found = max(answers, key=lambda one: _ORDER.index(type(one)))
    if not isinstance(found, Review):
        return found
    quorum, role = most_asked([one for one in answers if isinstance(one, Review)])
    return found if (quorum, role) == (found.quorum, found.role) else replace(found, quorum=quorum, role=role)


def amount(value: Any, *, allow: str | Decimal, refuse: str | Decimal | None = None) -> Answers:
    """Allow amounts from 0 to `allow`, refuse those above `refuse`, have others reviewed. Limits included."""
    try:
        known = Decimal(str(value))
    except InvalidOperation:
        return Review("the amount is not a number")
    if not known.is_finite() or known < 0:
        return Review("the amount is not a number from 0")
    if refuse is not None and known > Decimal(refuse):
        return Refuse(f"the amount is over {refuse}")
    return Allow() if known <= Decimal(allow) else Review(f"the amount is over {allow}")


def recipients(
    addresses: str | Iterable[str],
    *,
    known: Iterable[str],
    at_most: int | None = None,
    others: type[Review] | type[Refuse] = Review,
) -> Answers:
    """Allow mail addresses that are `known`; one that is not, or more than `at_most`, is reviewed (or refused)."""
    given = [addresses] if isinstance(addresses, str) else list(addresses)
    friends = {one for one in map(_address, known) if one is not None}
    if not given:
        return others("there is no recipient")
    if at_most is not None and len(given) > at_most:
        return others(f"there are {len(given)} recipients, more than {at_most}")
    for one in given:
        read = _address(one)
        if read is None:
            return others(f"{_shown(one)} is not one plain address")
        if read not in friends:
            return others(f"{_shown(one)} is no known recipient")
    return Allow()


def domains(
    places: str | Iterable[str],
    *,
    among: Iterable[str],
    others: type[Review] | type[Refuse] = Review,
) -> Answers:
    """Allow addresses and https URLs whose host is `among` these; ".example.com" takes its subdomains too."""
    given = [places] if isinstance(places, str) else list(places)
    if not given:
        return others("there is no address")
    allowed = [one.lower() for one in among]
    for one in given:
        host = _host(one)
        if host is None:
            return others(f"{_shown(one)} names no plain host")
        fits = any(host == name or (name.startswith(".") and f".{host}".endswith(name)) for name in allowed)
        if not fits:
            return others(f"{_shown(host)} is no allowed domain")
    return Allow()


def _shown(text: Any) -> str:
    """Foreign text in a reason: short, and every hidden or look-alike character visible."""
    return ascii(str(text)[:80])


def _address(text: Any) -> str | None:
    """A mail address in one spelling; None for anything that is not exactly one."""
    if not isinstance(text, str) or len(text) > 254 or not text.isascii() or not text.isprintable():
        return None
    name, at, host = text.partition("@")
    plain = not set(text) & set(" ,;:<>()[]\"'\\/%")
    return f"{name}@{host.lower()}" if name and at and plain and _is_host(host) else None


def _is_host(host: str) -> bool:
    parts = host.split(".")
    return len(parts) > 1 and all(part.replace("-", "").isalnum() and part.isascii() for part in parts)


def _host(text: Any) -> str | None:
    """The host of an https URL, of a mail address, or the host itself; None where anything about it is odd."""
    if (
        not isinstance(text, str)
        or not text.isascii()
        or not text.isprintable()
        or set(text) & set(" \\<>\"'")
    ):
        return None
    if "://" not in text:
        read = _address(text)
        host = text if read is None else read.partition("@")[2]
        return host.lower() if _is_host(host) else None
    try:
        parts = urlsplit(text)
        odd = parts.scheme != "https" or parts.username is not None or parts.port not in (None, 443)
    except ValueError:
        return None
    host = parts.hostname or ""
    return host if not odd and _is_host(host) else None
