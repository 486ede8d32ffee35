"""A changed policy over jobs that have ended: what it would say now against what happened then. It writes nothing."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from backlane.core.action import Action, ActionState
from backlane.core.authority import gate_for
from backlane.core.job import Gate, Job, Status
from backlane.core.policy import Answer, Over, Verdict
from backlane.core.ports import JobType
from backlane.core.storage import Row, Transaction
from backlane.errors import BacklaneError, InvalidRequest
from backlane.service.approve_action import POLICY
from backlane.service.judge import judge_action, judge_output, may_allow
from backlane.service.ports import Ports
from backlane.service.sample import controls_of
from backlane.service.show import artifact_content

_PAGE = 100
# What happened, as the answer that would have led to it.
_MEANT = {"allowed": Answer.ALLOW, "released": Answer.ALLOW, "refused": Answer.REFUSE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One action or output: what happened then, and what the loaded policies lead to now.

    `answer` is the policies' own word; `now` what it leads to, for an allow is not enough everywhere.
    """

    job: str
    type: str
    over: str
    subject: str
    then: str
    answer: str
    now: str
    reason: str
    policy: str
    version: str

    @property
    def changed(self) -> bool:
        """Whether it would go another way now."""
        return _MEANT.get(self.then, Answer.REVIEW) != self.now


@dataclass(frozen=True, slots=True)
class _Ended:
    job: Job
    actions: Sequence[Action]
    reviews: Sequence[Row]
    results: Sequence[str]
    draw: Row | None


async def replay(
    ports: Ports, type_name: str | None, workspace: str | None, limit: int
) -> AsyncIterator[Replayed]:
    """Every action and output of the newest-made `limit` jobs that have ended, oldest first.

    Raises InvalidRequest for a type that is not loaded.
    """
    if type_name is not None and ports.types.get(type_name) is None:
        known = ", ".join(ports.types.names()) or "none is loaded"
        raise InvalidRequest([("/type", f"there is no job type {type_name[:64]!r}; known: {known}")])
    for ended in await _ended(ports, type_name, workspace, limit):
        found = await ports.store.read(lambda tx, job_id=ended: _read(tx, job_id))
        job_type = ports.types.get(found.job.type)
        if job_type is not None:
            async for one in _replayed(ports, job_type, found):
                yield one


async def _ended(ports: Ports, type_name: str | None, workspace: str | None, limit: int) -> list[str]:
    ids: list[str] = []
    while True:
        after = ids[-1] if ids else ""
        page = await ports.store.read(
            lambda tx, after=after: tx.finished_jobs(workspace, type_name, after, _PAGE)
        )
        ids += page
        if len(page) < _PAGE:
            return ids[-limit:]


def _read(tx: Transaction, job_id: str) -> _Ended:
    job = tx.job(job_id)
    assert job is not None
    results = [row["id"] for row in tx.artifacts(job_id) if row["kind"] == "result"]
    return _Ended(job, tx.actions(job_id), tx.reviews_of([job_id])[job_id], results, tx.draw(job_id))


async def _replayed(ports: Ports, job_type: JobType, found: _Ended) -> AsyncIterator[Replayed]:
    for action in found.actions:
        said = await judge_action(ports, job_type, found.job, action)
        if said is not None:
            allows = said.answer is Answer.ALLOW and may_allow(found.job)
            yield _one(found.job, Over.ACTION, action.id, _then(found, action), said, allows)
    if not found.results:
        return
    try:
        text = (await artifact_content(ports, found.results[-1])).decode()
    except (BacklaneError, UnicodeDecodeError) as error:
        ports.log(f"job {found.job.id}: its result cannot be read: {type(error).__name__}")
        return
    said = await judge_output(ports, job_type, found.job, text)
    if said is not None:
        allows = said.answer is Answer.ALLOW and _lets_out(job_type, found, said)
        yield _one(found.job, Over.OUTPUT, found.results[-1], _then_output(found), said, allows)


def _lets_out(job_type: JobType, found: _Ended, said: Verdict) -> bool:
    """Whether an allow releases an output of such a job now."""
    job = found.job
    drawn = None if found.draw is None or job_type.sampled is None else found.draw["drawn"]
    sensitive = said.sensitive or job.sensitive is not None
    gate = gate_for(job_type.authority, controls_of(job_type), sensitive=sensitive, drawn=drawn)
    acted = bool(found.actions) and all(one.state is ActionState.SUCCEEDED for one in found.actions)
    return gate in (Gate.NONE, Gate.POLICY) or (acted and not sensitive and not job_type.reviews_text)


def _one(job: Job, over: Over, subject: str, then: str, said: Verdict, allows: bool) -> Replayed:
    now = Answer.REVIEW if said.answer is Answer.ALLOW and not allows else said.answer
    return Replayed(
        job=job.id,
        type=job.type,
        over=str(over),
        subject=subject,
        then=then,
        answer=str(said.answer),
        now=str(now),
        reason=said.reason,
        policy=said.policy,
        version=said.version,
    )


def _then(found: _Ended, action: Action) -> str:
    """What became of an action: allowed and refused are a policy's word, approved and rejected a person's."""
    if action.code == "policy_refused":
        return "refused"
    if action.approved_by == POLICY:
        return "allowed"
    if action.approved_by is not None:
        return "approved"
    return "rejected" if action.state is ActionState.REJECTED else "ended"


def _then_output(found: _Ended) -> str:
    """What became of an output: released without a person, or what the person, or the policy, said."""
    job = found.job
    code = (job.failure or {}).get("code")
    if code == "policy_refused" and not any(one.code == code for one in found.actions):
        return "refused"
    asked = [one for one in found.reviews if one["kind"] in ("output", "sensitive", "sampled")]
    if asked:
        return str(asked[-1]["state"])
    return "released" if job.status is Status.COMPLETED else "ended"


def summed_up(rows: Iterable[Replayed]) -> dict[str, dict[str, int]]:
    """How many went which way then, and would go which way now."""
    counted: dict[str, Counter[str]] = {}
    for row in rows:
        counted.setdefault(row.then, Counter())[row.now] += 1
    return {then: dict(sorted(now.items())) for then, now in sorted(counted.items())}
