"""The text that followers of a live job have, kept equal to the answer: pieces as they come, voided, made good."""

from dataclasses import replace

from backlane.core.event import Event
from backlane.core.job import Attempt, Job
from backlane.core.outcome import Answer
from backlane.core.storage import Transaction
from backlane.core.stream import pieces
from backlane.service.outputs import sha256_hex
from backlane.service.ports import Ports


def deltas(text: str, now: int) -> list[Event]:
    """The events that give this text to followers."""
    return [Event("output.delta", now, "provider", {"text": piece}) for piece in pieces(text)]


def voided(tx: Transaction, job: Job, attempt_id: str, now: int) -> list[Event]:
    """The event that takes back what an earlier attempt wrote; none where nothing was streamed."""
    if not job.live or not tx.streamed(job.id):
        return []
    return [Event("output.reset", now, "backlane", {"attempt": attempt_id, "reason": "next_attempt"})]


def made_good(tx: Transaction, job: Job, attempt: Attempt, text: str, now: int) -> list[Event]:
    """The events after which what was streamed joins to this text: what is missing, or all of it anew."""
    if not job.live:
        return []
    streamed = tx.streamed(job.id)
    if text.startswith(streamed):
        return deltas(text[len(streamed) :], now)
    data = {"attempt": attempt.id, "reason": "replaced"}
    return [Event("output.reset", now, "backlane", data), *deltas(text, now)]


def final(job: Job, attempt: Attempt, text: str, now: int) -> Event:
    """The event that nothing follows; that of a live job says by its hash what followers have now."""
    known = {"sha256": sha256_hex(text.encode())} if job.live else {}
    return Event("output.final", now, "backlane", {"attempt": attempt.id, **known})


async def with_streamed(ports: Ports, job: Job, answer: Answer) -> Answer:
    """The answer of a run that ended badly; one without text of its own has what was streamed of it."""
    # The text of one that is too large is the head of a reply, in JSON: what was streamed is the run's own words.
    own = answer.text and answer.code != "result_too_large"
    if not job.live or answer.status == "completed" or own:
        return answer
    streamed = await ports.store.read(lambda tx: tx.streamed(job.id))
    return replace(answer, text=streamed) if streamed else answer
