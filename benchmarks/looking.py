"""Figure 3: requests a job and how late an end is seen, by schedules simulated in virtual time. No HTTP."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

from backlane.core.duration import KEPT, usual
from backlane.core.schedule import Timings, look_delay
from benchmarks.harness import Aim, Figure, Spread, quantile, spread

_SIGMA = 0.4
_MEDIANS = ((30.0, 0.5), (120.0, 0.2), (300.0, 0.1))
_LATE = 0.05
Looks = Callable[[float, random.Random], list[float]]


def allowed(duration: float) -> float:
    """The delay that is aimed at for a run: a tenth of it, at least 2 seconds."""
    return max(2.0, 0.1 * duration)


def looks(median: float) -> Looks:
    """When Backlane looks at a run, the look that finds its end included, once it has learned.

    The one place that knows Backlane's schedule; what is usual it takes from a sample of runs, as it does
    in service.
    """
    drawn = random.Random(f"learned {median}")
    known = usual([int(median * math.exp(drawn.gauss(0, _SIGMA)) * 1000) for _ in range(KEPT)])

    def times(duration: float, chance: random.Random) -> list[float]:
        timings, found = Timings(), [0.0]
        while found[-1] < duration:
            wait = look_delay(int(found[-1] * 1000), timings, None, chance.random(), known)
            found.append(found[-1] + wait / 1000)
        return found[1:]

    return times


def polled(duration: float, chance: random.Random) -> list[float]:
    """A look every 2 seconds."""
    return [2.0 * number for number in range(1, math.ceil(duration / 2.0) + 1)]


def oracle(median: float, slack: float) -> Looks:
    """A schedule that knows the runs' distribution, for a p95 delay of `slack` times the allowed one.

    It looks first when the shortest 5 % have ended, late by as much as the run at that quantile may be:
    those 5 % are the ones it may see late. From then on each look comes as late as it may for a run that
    ended right after the former look, so none can be left out without another run being seen late.
    """
    shortest = median * math.exp(_SIGMA * NormalDist().inv_cdf(_LATE))

    def times(duration: float, chance: random.Random) -> list[float]:
        found = [shortest + slack * allowed(shortest)]
        while found[-1] < duration:
            found.append(found[-1] + slack * allowed(found[-1]))
        return found

    return times


@dataclass(frozen=True, slots=True)
class Seen:
    """What a schedule cost, and how late it saw the ends."""

    requests: Spread
    delay_p95: float
    late_p95: float  # the delay as a share of the allowed one

    def row(self, name: str) -> dict[str, object]:
        """As the report shows it."""
        return {
            "contender": name,
            "requests_per_job": self.requests.median,
            "requests_per_job_least": self.requests.least,
            "requests_per_job_most": self.requests.most,
            "delay_p95_seconds": self.delay_p95,
            "delay_p95_of_allowed": self.late_p95,
        }


def _watch(schedule: Looks, median: float, jobs: int, rounds: int) -> Seen:
    """The mean requests of several drawings, each schedule on the same runs."""
    means: list[float] = []
    delays: list[float] = []
    shares: list[float] = []
    for seed in range(rounds):
        runs, chance = random.Random(seed), random.Random(seed + 1_000)
        counted = 0
        for _ in range(jobs):
            duration = median * math.exp(runs.gauss(0, _SIGMA))
            times = schedule(duration, chance)
            counted += len(times)
            delays.append(times[-1] - duration)
            shares.append(delays[-1] / allowed(duration))
        means.append(counted / jobs)
    return Seen(spread(means), quantile(delays, 0.95), quantile(shares, 0.95))


def measure(quick: bool, told: Callable[[str], None]) -> Figure:
    """Every schedule over the same drawn runs."""
    jobs, rounds = (4_000, 5) if quick else (20_000, 9)
    figure = Figure(
        f"requests a job and delay of the end, runs lognormal with sigma {_SIGMA:g}, virtual time"
    )
    for median, share in _MEDIANS:
        told(f"runs of {median:g} s")
        own = _watch(looks(median), median, jobs, rounds)
        fixed = _watch(polled, median, jobs, rounds)
        aimed = _watch(oracle(median, 1.0), median, jobs, rounds)
        same = _watch(oracle(median, own.late_p95), median, jobs, rounds)
        figure.rows += [
            own.row(f"{median:g} s: backlane"),
            fixed.row(f"{median:g} s: every 2 s"),
            aimed.row(f"{median:g} s: oracle, at the aim's delay"),
            same.row(f"{median:g} s: oracle, at Backlane's delay"),
        ]
        requests = own.requests.median
        figure.aims += [
            Aim(f"{median:g} s: p95 delay, of max(2 s, 10 % of the run)", own.late_p95, 1.0),
            Aim(f"{median:g} s: requests beside every 2 s", requests / fixed.requests.median, share),
            Aim(f"{median:g} s: requests beside the oracle at the same delay",
                requests / same.requests.median, 1.3),
        ]  # fmt: skip
    figure.notes.append(
        f"{rounds} drawings of {jobs} runs; requests are a drawing's mean; creates are left out"
    )
    return figure
