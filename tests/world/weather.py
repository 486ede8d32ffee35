"""What a seed turns on: a random subset of faults at random rates, so that rare pairs meet."""

import random
from dataclasses import dataclass, field
from typing import Any

from tests.world.winds import DOORS, changing_winds, winds

# Faults of the provider's wire: how they may look, given the seed's chance.
_CREATE: list[dict[str, Any]] = [
    {"fault": "lose_create_reply"},
    {"fault": "lose_create_reply", "accept": False},
    {"fault": "lose_create_reply", "how": "reset"},
    {"fault": "cut_reply", "call": "create"},
    {"fault": "garble_reply", "call": "create"},
    {"fault": "html_reply", "call": "create", "status": 502},
    {"fault": "html_reply", "call": "create", "status": 502, "accept": True},
    {"fault": "html_reply", "call": "create", "status": 200},
    {"fault": "slow", "call": "create", "when": "after", "seconds": 20, "real": True},
    {"fault": "slow", "call": "create", "when": "after", "seconds": 45, "real": True},
    {"fault": "slow", "call": "create", "when": "before", "seconds": 50, "real": True},
    {"fault": "slow", "call": "create", "when": "before", "seconds": 200, "real": True},
    {"fault": "rate_limit", "retry_after": "3"},
    {"fault": "rate_limit", "retry_after": "http-date"},
    {"fault": "rate_limit", "retry_after": "86400"},
    {"fault": "rate_limit"},
    {"fault": "quota"},
    {"fault": "server_error"},
    {"fault": "server_error", "accept": True},
    {"fault": "overloaded"},
    {"fault": "status", "status": 408, "accept": True},
    {"fault": "status", "status": 409},
    {"fault": "status", "status": 401, "code": "invalid_api_key"},
    {"fault": "status", "status": 400},
]
_RUNS: list[dict[str, Any]] = [
    {"fault": "failed"},
    {"fault": "failed", "code": "rate_limit_exceeded"},
    {"fault": "failed", "code": "invalid_prompt"},
    {"fault": "incomplete"},
    {"fault": "refusal"},
    {"fault": "slow_run", "seconds": 900},
    {"fault": "missing_usage"},
    {"fault": "garbled_usage"},
    {"fault": "complete_after_cancel", "seconds": 20},
]
_READS: list[dict[str, Any]] = [
    {"fault": "lose_reply"},
    {"fault": "cut_reply", "call": "retrieve"},
    {"fault": "garble_reply", "call": "retrieve"},
    {"fault": "html_reply", "call": "retrieve", "status": 503},
    {"fault": "slow", "call": "retrieve", "seconds": 40, "real": True},
    {"fault": "unknown_status"},
    {"fault": "backwards_status"},
    {"fault": "changed_usage"},
    {"fault": "gone"},
    {"fault": "cancel_404"},
    {"fault": "cancel_409"},
    {"fault": "cancel_lost"},
]


@dataclass(slots=True)
class Weather:
    """The rates of one run. Times are virtual seconds; a rate is a chance per call."""

    storm: float
    workers: int
    faces: int
    requesters: int
    jobs: int
    crash_every: float | None = None
    stop_every: float | None = None
    jump_every: float | None = None
    power_cut_every: float | None = None
    outage_every: float | None = None
    wake_lost: float = 0.0
    wake_doubled: float = 0.0
    batch_lost: float = 0.0
    batch_doubled: float = 0.0
    batch_late: float = 0.0
    store_busy: float = 0.0
    refused: float = 0.0
    stall: float = 0.0
    retention: float | None = None
    zdr: bool = False
    cancel_ended: str = "refuse"
    late_hand: float = 0.0
    stream_cut: float = 0.0
    doors: tuple[str, ...] = ()
    visits: int = 0
    gathering: int = 100
    door_down: float = 0.0
    create_doubled: float = 0.0
    vanish_every: float | None = None
    misuses: int | None = None
    petitions: int = 0
    talks: int = 0
    reviewers_stay: bool = True
    outside: dict[str, float] = field(default_factory=dict[str, float])
    revokes: bool = False
    switches_off: bool = False
    vandal: bool = False
    worries: int = 0
    deploys: bool = False
    own_accounts: bool = False
    caps: bool = False
    switches: dict[str, Any] = field(default_factory=dict[str, Any])
    wire: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


# The share of plain work, by the door that most work goes through; "plain" leaves all others shut.
_PLAIN_WORK: dict[str | None, float] = {None: 0.5, "hooks": 0.7, "plain": 1.0}


def draw(seed: int, door: str | None = None) -> Weather:
    """The weather of a seed; with a door, one in which most of the work goes through it."""
    chance = random.Random(f"{seed}:weather")

    def sometimes(odds: float, low: float, high: float) -> float | None:
        return chance.uniform(low, high) if chance.random() < odds else None

    def rate(odds: float, high: float) -> float:
        return sometimes(odds, 0.0, high) or 0.0

    storm = chance.uniform(120, 1200)
    # Of its own, so that it changes no other draw.
    late = random.Random(f"{seed}:late hand")
    streams = random.Random(f"{seed}:streams")
    wire = _wire(chance, door)
    opened = _opened(random.Random(f"{seed}:doors"), door)
    more = _people(random.Random(f"{seed}:people"), door)
    changing = _changes(random.Random(f"{seed}:changes"), door, opened["doors"])
    opened["doors"] += more.pop("doors") + changing.pop("doors")
    wire += opened.pop("wire") + changing.pop("wire")
    return Weather(
        storm=storm,
        workers=chance.randint(1, 3),
        faces=chance.randint(1, 2),
        requesters=chance.randint(2, 4),
        jobs=round(chance.randint(8, 24) * _PLAIN_WORK.get(door, 0)),
        crash_every=sometimes(1.0 if door == "live" else 0.7, 10, 120),
        stop_every=sometimes(0.5, 20, 200),
        jump_every=sometimes(0.3, 60, 400),
        power_cut_every=sometimes(0.25, 60, 400),
        outage_every=sometimes(0.3, 60, 300),
        wake_lost=rate(0.5, 0.5),
        wake_doubled=rate(0.5, 0.5),
        batch_lost=rate(0.4, 0.15),
        batch_doubled=rate(0.4, 0.3),
        batch_late=rate(0.4, 0.2),
        store_busy=rate(0.3, 0.05),
        refused=rate(0.3, 0.3),
        stall=rate(0.4, 0.02),
        retention=chance.choice([None, None, 600.0, 120.0]),
        zdr=chance.random() < 0.15,
        cancel_ended=chance.choice(["refuse", "accept", "conflict"]),
        late_hand=late.uniform(0.2, 0.8) if late.random() < 0.4 else 0.0,
        stream_cut=streams.uniform(0.0, 0.1) if streams.random() < 0.5 else 0.0,
        wire=wire,
        **opened,
        **more,
        **changing,
    )


def _wire(chance: random.Random, door: str | None) -> list[dict[str, Any]]:
    """Which faults of the wire blow, and how often."""
    picked = [one for one in _CREATE if chance.random() < 0.2]
    picked += [one for one in _RUNS if chance.random() < 0.2]
    picked += [one for one in _READS if chance.random() < 0.25]
    # Where live text is looked at, some of it is begun anew.
    picked += [{"fault": "failed"}] if door == "live" else []
    # Where people are looked at, the provider is kinder: what it sends must come to them.
    calm = 0.3 if door in ("acts", "chats", "changes") else 1.0
    return [{**one, "rate": calm * chance.uniform(0.02, 0.3), "times": None} for one in picked]


def _opened(chance: random.Random, only: str | None) -> dict[str, Any]:
    """Which of the newer doors are open, who comes through them, and what goes wrong there."""
    doors = tuple(door for door in DOORS if chance.random() < 0.6)
    doors = doors if only is None else tuple({only} & set(DOORS))
    own = random.Random(chance.random())
    hooks, files = "hooks" in doors, "files" in doors
    return {
        "doors": doors,
        "visits": own.randint(3, 8) + (5 if only else 0) if set(doors) - {"hooks"} else 0,
        "gathering": own.choice([100, 2_000]),
        "door_down": own.uniform(0.0, 0.5) if hooks and own.random() < 0.4 else 0.0,
        "create_doubled": own.uniform(0.0, 0.2) if hooks and own.random() < 0.3 else 0.0,
        "vanish_every": own.uniform(30, 200) if files and own.random() < 0.4 else None,
        "misuses": own.choice([1, 3, 8, None]),
        "switches": {
            "early_errors": own.choice(["status", "status", "flat", "nested"]),
            "cancelled_stream": own.choice(["failed", "cancelled", "nothing"]),
            "stream_seconds": own.choice([300.0, 300.0, 60.0, None]),
        },
        "wire": winds(doors, own),
    }


def _people(chance: random.Random, only: str | None) -> dict[str, Any]:
    """Whether people review, act and talk; what goes wrong outside, and with those who decide."""
    petitions, only = (4, "acts") if only == "changes" else (0, only)
    odds = {"acts": 0.5, "chats": 0.4}
    doors = tuple(door for door, rate in odds.items() if chance.random() < rate)
    doors = doors if only is None else tuple({only} & set(odds))
    acts = "acts" in doors
    faults = (
        "refused",
        "broken before",
        "broken after",
        "reply lost",
        "slow",
        "lookup broken",
        "caller dies",
    )
    return {
        "doors": doors,
        "petitions": petitions or (chance.randint(6, 14) + (10 if only else 0) if acts else 0),
        "talks": chance.randint(2, 6) + (5 if only else 0) if "chats" in doors else 0,
        "reviewers_stay": chance.random() < 0.7,
        "outside": {name: chance.uniform(0.05, 0.6) for name in faults if chance.random() < 0.4},
        "revokes": acts and chance.random() < 0.6,
        "switches_off": acts and chance.random() < 0.4,
        "vandal": acts and chance.random() < 0.3,
    }


def _changes(chance: random.Random, only: str | None, doors: tuple[str, ...]) -> dict[str, Any]:
    """Whether things change under way: new releases of the job types, marks, held lanes; accounts of their own."""
    on = chance.random() < 0.25 if only is None else only == "changes"
    worries, deploys, own = chance.randint(3, 6), chance.random() < 0.7, chance.random() < 0.6
    caps = chance.random() < 0.5
    return {
        "doors": ("changes",) if on else (),
        "caps": on and caps,
        "wire": changing_winds(chance) if on else [],
        "worries": worries + (6 if only else 0) if on else 0,
        "deploys": on and (deploys or only is not None),
        # Whose event it is, an endpoint tells by its secret; here there is one.
        "own_accounts": on and own and "hooks" not in doors,
    }
