"""Running a job type's checks over a result; they may run for minutes, and are resumed after a crash."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backlane.core.event import Event
from backlane.core.job import Job
from backlane.core.ports import TypeCheck
from backlane.core.storage import Transaction
from backlane.errors import CheckFailed
from backlane.service.complete import complete_or_review
from backlane.service.conclude import conclude
from backlane.service.fail import fail
from backlane.service.judge import judge_output, keep_output_verdict
from backlane.service.lease import renewed
from backlane.service.outputs import Output, add_outputs, json_bytes, store_output
from backlane.service.ports import Ports
from backlane.service.show import artifact_content
from backlane.service.situate import Held


@dataclass(frozen=True, slots=True)
class View:
    """What a check is given beside the result."""

    id: str
    type: str
    inputs: Any
    metadata: Mapping[str, str]
    text: str


@dataclass(frozen=True, slots=True)
class _Verdict:
    passed: bool
    code: str | None
    report: Any


async def run_checks(ports: Ports, held: Held) -> Held | None:
    """Run the checks that have not finished yet, one after the other, then complete or open the review."""
    assert held.type is not None and held.attempt is not None
    newest = await newest_result(ports, held)
    done = await ports.store.read(lambda tx: tx.finished_checks(held.job.id, newest))
    text = (await artifact_content(ports, newest)).decode()
    raw = await ports.store.read(lambda tx: tx.inputs(held.job.id))
    inputs = held.type.read_inputs(json.loads(raw))
    result = held.type.read_output(inputs, text)
    view = View(held.job.id, held.job.type, inputs, held.job.metadata, text)
    still: Held | None = held
    for check in held.type.checks:
        if check.name in done:
            continue
        still = await _begin(ports, still, check)
        if still is None:
            return None
        async with renewed(ports, still):
            verdict = await _run(ports, check, result, view)
        still = await _finish(ports, still, check, verdict, newest)
        if still is None or not verdict.passed:
            return still
    return await _all_passed(ports, still, newest, text)


async def newest_result(ports: Ports, held: Held) -> str:
    """The id of the result that counts: the run's, or the version a reviewer wrote."""
    rows = await ports.store.read(lambda tx: tx.artifacts(held.job.id))
    return [row for row in rows if row["kind"] == "result"][-1]["id"]


async def _begin(ports: Ports, held: Held, check: TypeCheck) -> Held | None:
    now = ports.clock.now()
    attempt = held.attempt
    assert attempt is not None
    told = Event("check.started", now, "backlane", {"check": check.name, "attempt": attempt.id})
    # A check that stops its worker must not be counted as progress each time it begins anew.
    if held.job.leases_lost > 0:
        return held
    return await conclude(ports, held, lambda _, job: (job, [told]), hold=True)


async def _run(ports: Ports, check: TypeCheck, result: Any, view: View) -> _Verdict:
    try:
        return _Verdict(True, None, await check.run(result, view))
    except CheckFailed as failure:
        return _Verdict(False, "check_failed", str(failure))
    except MemoryError:
        raise  # the worker's trouble, not the result's
    except Exception as error:
        ports.log(f"job {view.id}: check {check.name} broke: {type(error).__name__}")
        return _Verdict(False, "check_error", f"{type(error).__name__}: {error}")


async def _finish(
    ports: Ports, held: Held, check: TypeCheck, verdict: _Verdict, result_id: str
) -> Held | None:
    """Keep the check's report as evidence; a failed check ends the job."""
    now = ports.clock.now()
    report = {"check": check.name, "passed": verdict.passed, "report": verdict.report}
    name = f"check-{check.name}.json"
    output: Output = await store_output(ports, "json", name, "application/json", json_bytes(report))
    attempt = held.attempt
    assert attempt is not None

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        told = add_outputs(tx, ports, job, [output], attempt_id=attempt.id, now=now)
        verdict_word = "passed" if verdict.passed else "failed"
        data = {"check": check.name, "attempt": attempt.id, "artifact": result_id, "verdict": verdict_word}
        told.append(Event("check.finished", now, "backlane", data))
        if verdict.code is None:
            return job, told
        after, event = fail(job, now, verdict.code, detail=None, partial=True)
        return after, [*told, event]

    return await conclude(ports, held, turn, hold=verdict.passed)


async def _all_passed(ports: Ports, held: Held | None, result_id: str, text: str) -> Held | None:
    """The policies and the hook have the last word before the gate; a person's release is theirs to refuse only."""
    if held is None or held.type is None:
        return None
    async with renewed(ports, held):
        said = await judge_output(ports, held.type, held.job, text)
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        keep_output_verdict(tx, ports, job, said, result_id, text)
        return complete_or_review(tx, ports, held, job, now)

    return await conclude(ports, held, turn)
