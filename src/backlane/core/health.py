"""How a lane is: counts of lately, when they mean trouble, when to try again, and in which steps to reopen. Pure."""

import math
from dataclasses import dataclass

from backlane.core.outcome import NotSent, Refused, Unknown
from backlane.core.schedule import MINUTE, Timings
from backlane.core.stream import Broken

# So many failed calls, and so large a share of all, within so many minutes are trouble at the provider.
BAD_AT_LEAST = 5
BAD_SHARE = 0.5
MINUTES = 3
# What a lane shows of its past.
SHOWN_MINUTES = 15
TROUBLE = "provider_trouble"
HELD = "held_by_person"
# A lane that a person holds is not tried by itself; this is so far away that no job lives to see it.
NEVER = 2**52

# The provider answered, and said that it cannot work now.
_OVERLOADED = frozenset({"server_is_overloaded", "slow_down"})
# The provider answered well enough; what it said is not usable, and that is no outage.
_ODD = frozenset({"wrong_response", "reply_too_large"})


@dataclass(frozen=True, slots=True)
class Counts:
    """Calls of an account and lane: good ones, failed ones, and how long the good ones took, milliseconds."""

    good: int = 0
    bad: int = 0
    delay: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.good + other.good, self.bad + other.bad, self.delay + other.delay)


def is_bad(outcome: object) -> bool:
    """Whether a call's outcome speaks of trouble: a 5xx, a time-out, a connection that failed or broke."""
    match outcome:
        case NotSent():
            return True
        case Unknown(code):
            return code not in _ODD
        case Refused(_, code):
            return code in _OVERLOADED
        case Broken():
            return outcome.outage
        case _:
            return False


def is_trouble(lately: Counts) -> bool:
    """Whether the counts of the last minutes are reason to send nothing new."""
    return lately.bad >= BAD_AT_LEAST and lately.bad >= BAD_SHARE * (lately.good + lately.bad)


def first_minute(now: int, minutes: int = MINUTES) -> int:
    """The first of the last `minutes` minutes, counted since 1970; `now` is milliseconds since 1970."""
    return now // MINUTE - minutes + 1


def probe_delay(probes: int, timings: Timings) -> int:
    """How long after probe number `probes` the next one may go out: 30 s, 60 s … at most five minutes."""
    return min(timings.incident_probe * 2 ** min(probes, 20), timings.incident_probe_max)


def waits_after(number: int) -> int:
    """How long after a lane was reopened job number `number` (from 0) goes out, in milliseconds.

    Two at once; by each further second twice as many as by the one before.
    """
    return int(1000 * math.log2(max(1.0, (number + 1) / 2)))


def hold_place(workspace: str, account: str) -> str:
    """Under which name a person's hold stands: it holds one workspace's jobs, whoever shares the account."""
    return f"{workspace}:{account}"
