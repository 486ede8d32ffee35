"""What follows from a result and from the last action: the type's own proposals, then the job's end."""

import json
from collections.abc import Sequence
from dataclasses import replace

from backlane.core.action import Origin
from backlane.core.event import Event
from backlane.core.job import Attempt, Job
from backlane.core.policy import Over
from backlane.core.storage import Transaction
from backlane.service.check import View, newest_result
from backlane.service.complete import release_or_review
from backlane.service.conclude import conclude
from backlane.service.fail import failed
from backlane.service.judge import judge_output, keep_output_verdict
from backlane.service.keep import answer_of
from backlane.service.live_text import final, made_good
from backlane.service.outputs import Output, add_outputs, result_outputs, unhappy_outputs
from backlane.service.ports import Ports
from backlane.service.propose import Proposal, keep_proposal, read_proposal
from backlane.service.release import open_gate_review
from backlane.service.show import artifact_content
from backlane.service.situate import Held


async def propose_from_result(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    """Ask the type which actions follow from its result; without any, the result is reviewed as a draft."""
    try:
        proposals = await _proposals(ports, held)
    except MemoryError:
        raise  # the worker's trouble, not the type's
    except Exception as error:
        ports.log(f"job {held.job.id}: the type could not say its actions: {type(error).__name__}")
        return await failed(ports, held, "proposals_broke")

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        now = ports.clock.now()
        if not proposals:
            return release_or_review(tx, ports, held, job, now)
        told: list[Event] = []
        for place, one in enumerate(proposals, start=1):
            told += keep_proposal(tx, ports, job, attempt, one, call=(None, f"result/{place}"))
        return replace(job, due_at=now), told

    return await conclude(ports, held, turn, hold=bool(proposals))


async def _proposals(ports: Ports, held: Held) -> list[Proposal]:
    assert held.type is not None
    text = (await artifact_content(ports, await newest_result(ports, held))).decode()
    raw = await ports.store.read(lambda tx: tx.inputs(held.job.id))
    inputs = held.type.read_inputs(json.loads(raw))
    result = held.type.read_output(inputs, text)
    view = View(held.job.id, held.job.type, inputs, held.job.metadata, text)
    named = await held.type.proposals(result, view)
    found: list[Proposal] = []
    for name, arguments in named:
        action = held.type.action(name)
        assert action is not None
        found.append(await read_proposal(ports, action, arguments, Origin.TYPE))
    return found


async def finish_acting(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    """Every action took effect, and nothing more is asked of the model: what it wrote beside them is the result."""
    text, outputs = await _written(ports, held, attempt)
    is_result = any(output.kind == "result" for output in outputs)
    # Words in another form than the result's are judged by nobody: whoever has a say about results is not passed by.
    unjudged = bool(outputs) and not is_result and _has_a_say(held)
    said = None
    if is_result and held.type is not None:
        said = await judge_output(ports, held.type, held.job, text or "")

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        now = ports.clock.now()
        told = [] if text is None else made_good(tx, job, attempt, text, now)
        told += add_outputs(tx, ports, job, outputs, attempt_id=attempt.id, now=now)
        tx.drop_answer(attempt.id)
        if is_result:
            told.append(final(job, attempt, text or "", now))
            newest = [row["id"] for row in tx.artifacts(job.id) if row["kind"] == "result"][-1]
            keep_output_verdict(tx, ports, job, said, newest, text or "")
        lead = open_gate_review if unjudged else release_or_review
        after, more = lead(tx, ports, held, job, now)
        return after, [*told, *more]

    return await conclude(ports, held, turn)


def _has_a_say(held: Held) -> bool:
    """Whether a policy or a hook of the type looks at what is written before it is released."""
    return held.type is not None and held.type.rules.version(Over.OUTPUT) is not None


async def _written(ports: Ports, held: Held, attempt: Attempt) -> tuple[str | None, list[Output]]:
    """The text of a run that waited for its actions, and its outputs; where it is no answer, it is partial."""
    body = await ports.store.read(lambda tx: tx.kept_answer(attempt.id))
    if body is None or held.type is None:
        return None, []
    answer = answer_of(body)
    if not answer.text:
        return None, []
    raw = await ports.store.read(lambda tx: tx.inputs(held.job.id))
    try:
        value = held.type.read_output(held.type.read_inputs(json.loads(raw)), answer.text)
    except ValueError:
        return answer.text, await unhappy_outputs(ports, answer)
    return answer.text, await result_outputs(ports, answer, value)
