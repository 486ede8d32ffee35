"""Reading what a declaration says about how much is reviewed: a sampled part, or less than its authority asks for."""

from collections.abc import Mapping
from typing import Any

from backlane.core.authority import Authority
from backlane.errors import DeclarationError

_REASON_AT_MOST = 500


def read_sampled(type_name: str, given: Mapping[str, Any]) -> float | None:
    """The part of jobs that is drawn for review. Raises DeclarationError."""
    value = given["sampled"]
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= 1:
        raise DeclarationError(type_name, f"sampled must be a part above 0 and at most 1, not {value!r}")
    if given["authority"] == Authority.EXTERNAL_EFFECT:
        raise DeclarationError(
            type_name, "sampled is not possible for external_effect: all of it is reviewed"
        )
    if given["authority"] == Authority.DRAFT and given["unreviewed_because"] is None:
        raise DeclarationError(type_name, 'a draft that is only sampled needs unreviewed_because="…"')
    return float(value)


def read_waiver(type_name: str, given: Mapping[str, Any], *, reviewed: bool) -> str | None:
    """Why less is reviewed than the authority asks for. Raises DeclarationError where that cannot be, or is not so."""
    reason, authority = given["unreviewed_because"], given["authority"]
    if reason is None:
        return None
    if not isinstance(reason, str) or not reason.strip() or len(reason) > _REASON_AT_MOST:
        raise DeclarationError(type_name, "unreviewed_because must say why, in at most 500 characters")
    if authority == Authority.EXTERNAL_EFFECT:
        raise DeclarationError(type_name, "unreviewed_because is not possible for external_effect")
    if authority == Authority.READ_ONLY:
        raise DeclarationError(type_name, "read_only is not reviewed by itself: leave unreviewed_because out")
    sampled = given["sampled"] is not None
    if authority == Authority.LOW_RISK_WRITE and sampled:
        raise DeclarationError(type_name, "low_risk_write may be sampled: leave unreviewed_because out")
    if reviewed and not sampled:
        raise DeclarationError(type_name, "says both review=… and unreviewed_because=…")
    return reason.strip()
