"""Authority classes and the gate each sets by default. Pure; decided once, at submit."""

from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What a type declares about its reviews.

    `reviewed`: it asks for one; `policed`: a policy has a say about the output; `hooked`: a hook over the output
    may find it sensitive; `waived`: a reason is named why less is reviewed than the authority asks for.
    """

    reviewed: bool = False
    policed: bool = False
    hooked: bool = False
    waived: bool = False


def gate_for(authority: str, controls: Controls, *, sensitive: bool, drawn: bool | None = None) -> Gate:
    """The gate of a job. `drawn` says how the sampled draw went; None where the type is not sampled.

    By default everything but read-only work is reviewed. A low-risk write may leave that to its policy or to a
    sampled draw; anything else that is looser is waived with a reason, and an external effect never is.
    """
    if authority == Authority.EXTERNAL_EFFECT or _all_reviewed(authority, controls, drawn):
        return Gate.OUTPUT
    if sensitive:
        return Gate.SENSITIVE
    if drawn:
        return Gate.SAMPLED
    return Gate.POLICY if controls.policed or controls.hooked else Gate.NONE


def _all_reviewed(authority: str, controls: Controls, drawn: bool | None) -> bool:
    decided_otherwise = drawn is not None or (controls.policed and authority == Authority.LOW_RISK_WRITE)
    if controls.reviewed and not decided_otherwise and not controls.waived:
        return True
    if authority == Authority.LOW_RISK_WRITE:
        return not (decided_otherwise or controls.waived)
    return authority == Authority.DRAFT and not controls.waived


# The later ones are stricter; those of one number keep as much closed, and a person decides either way.
_STRICTNESS = {Gate.NONE: 0, Gate.POLICY: 1, Gate.SAMPLED: 2, Gate.OUTPUT: 3, Gate.SENSITIVE: 3}


def stricter(one: Gate, other: Gate) -> Gate:
    """The stricter of two gates; the first where they are alike."""
    return other if _STRICTNESS[other] > _STRICTNESS[one] else one
