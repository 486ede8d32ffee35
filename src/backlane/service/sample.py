"""The sampled review: one draw for each job, from the service's secret and the job's id; nothing else can sway it."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

from backlane.core.authority import Controls, gate_for, stricter
from backlane.core.job import Gate, Job
from backlane.core.ports import JobType
from backlane.core.storage import Row, Transaction
from backlane.service.ports import Ports


@dataclass(frozen=True, slots=True)
class Draw:
    """How one draw went: `value` from 0 to below 1, drawn if it is below `rate`. The same work keeps its draw."""

    rate: float
    value: float
    drawn: bool
    drawn_for: str


def draw_for(
    ports: Ports, job_type: JobType, job_id: str, former: Row | None, *, same: bool = True
) -> Draw | None:
    """The draw of a new job; None where its type is not sampled.

    `former` is the draw of the job it stands for or goes on from. Only the `same` work keeps a draw that spared it:
    other words are drawn anew, or one spared job would let anything out for ever.
    """
    rate = job_type.sampled
    if former is not None and (same or former["drawn"]):
        rate = former["rate"] if rate is None else rate
        drawn = former["drawn"] or former["value"] < rate
        return Draw(rate, former["value"], drawn, former["drawn_for"])
    if rate is None:
        return None
    value = _value(ports.secret, job_id)
    return Draw(rate, value, value < rate, job_id)


def _value(secret: bytes, job_id: str) -> float:
    """A number that nobody without the secret can foresee; whole numbers of 2^-53, so that it is exact."""
    digest = hmac.new(secret, b"draw/" + job_id.encode(), hashlib.sha256).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (1 << 53)


def controls_of(job_type: JobType) -> Controls:
    """What a type declares about its reviews."""
    return Controls(
        reviewed=job_type.reviewed,
        policed=job_type.rules.releases(),
        hooked=job_type.rules.hooked(),
        waived=job_type.unreviewed_because is not None,
    )


def controlled(
    job_type: JobType, inputs: Any, draw: Draw | None, *, former: Job | None, asked: bool
) -> dict[str, Any]:
    """What stands between a new job's run and its release: decided here, later only made stricter.

    `former` is the job that this one stands for or goes on from; `asked` says that its submitter calls it sensitive.
    """
    sensitive = former.sensitive if former is not None else None
    sensitive = sensitive or job_type.why_sensitive(inputs) or ("submit" if asked else None)
    # A former draw is kept, but spares nobody a review once the type is not sampled any more.
    drawn = None if draw is None or job_type.sampled is None else draw.drawn
    gate = gate_for(job_type.authority, controls_of(job_type), sensitive=sensitive is not None, drawn=drawn)
    if former is not None:
        gate = stricter(former.gate, gate)
    spared = drawn is False and gate in (Gate.NONE, Gate.POLICY)
    # A marked field is masked by itself; where the whole is sensitive, no text of it is told.
    summary = job_type.summarize(inputs, sensitive=sensitive not in (None, "field"))
    state = "sampled_out" if spared else "not_required"
    return {"gate": gate, "sensitive": sensitive, "review_state": state, "summary": summary}


def keep_draw(tx: Transaction, job: Job, draw: Draw | None) -> None:
    """Write the draw down with its job, once and for ever."""
    if draw is None:
        return
    row = {"job_id": job.id, "workspace": job.workspace, "rate": draw.rate, "value": draw.value}
    tx.insert_draw({**row, "drawn": draw.drawn, "drawn_for": draw.drawn_for, "at": job.created_at})


def keep_waiver(tx: Transaction, job: Job, job_type: JobType | None) -> None:
    """One audit line for each job of which less is reviewed than its authority asks for, and why."""
    if job_type is None or job_type.unreviewed_because is None:
        return
    line = {"workspace": job.workspace, "at": job.created_at, "actor": "backlane", "action": "review.waived"}
    data = {"type": job.type, "type_version": job.type_version, "because": job_type.unreviewed_because}
    tx.audit({**line, "subject": job.id, "data": {**data, "authority": job.authority, "gate": str(job.gate)}})
