"""Authority classes and the gate each sets by default. Pure; decided once, at submit."""

from enum import StrEnum

from backlane.core.job import Gate


class Authority(StrEnum):
    """What a job of this type may do in the world."""

    READ_ONLY = "read_only"
    DRAFT = "draft"
    LOW_RISK_WRITE = "low_risk_write"
    EXTERNAL_EFFECT = "external_effect"


# Only these may change the outside world.
MAY_ACT = frozenset({Authority.LOW_RISK_WRITE, Authority.EXTERNAL_EFFECT})


def gate_for(authority: str, *, sensitive: bool, reviewed: bool) -> Gate:
    """The gate of a job: none only for read-only work without sensitive inputs or a declared review."""
    if authority != Authority.READ_ONLY or reviewed:
        return Gate.OUTPUT
    return Gate.SENSITIVE if sensitive else Gate.NONE
