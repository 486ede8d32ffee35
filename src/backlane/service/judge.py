"""Asking the policies: about an action before anybody is, about an output before it is released. What they say is kept.

The job type's code runs here, outside every transaction; whatever breaks in it is a review.
"""

import hashlib
import json
from typing import Any

from backlane.core.action import Action, Origin
from backlane.core.authority import Authority
from backlane.core.job import Gate, Job
from backlane.core.policy import NO_POLICY, Answer, Asked, Over, PolicyJob, Verdict
from backlane.core.ports import JobType
from backlane.core.storage import Row, Transaction
from backlane.errors import BacklaneError
from backlane.service.ports import Ports
from backlane.service.seal import seal_action


async def _policy_job(ports: Ports, job_type: JobType, job: Job) -> PolicyJob:
    """The job as its policies see it. Raises InvalidRequest for inputs that do not fit any more."""

    def body(tx: Transaction) -> tuple[str, str]:
        names = [row["name"] for row in tx.workspaces() if row["id"] == job.workspace]
        return names[0], tx.inputs(job.id)

    name, raw = await ports.store.read(body)
    inputs = job_type.read_inputs(json.loads(raw))
    return PolicyJob(
        id=job.id,
        workspace=job.workspace,
        workspace_name=name,
        type=job.type,
        authority=job.authority,
        submitted_by=job.submitted_by,
        user=job.user,
        account=job.account,
        inputs=inputs,
        metadata=dict(job.metadata),
    )


def policy_version(job_type: JobType | None, over: Over) -> str:
    """The version that a payload is bound to: of all that has a say about it now."""
    known = None if job_type is None else job_type.rules.version(over)
    return known or NO_POLICY


async def judge_action(ports: Ports, job_type: JobType, job: Job, action: Action) -> Verdict | None:
    """What the policies say about this action; None where none has a say. Inputs that do not fit any more: a review."""
    version = job_type.rules.version(Over.ACTION)
    if version is None:
        return None
    try:
        about_job = await _policy_job(ports, job_type, job)
        arguments = _arguments(job_type, action)
    except (BacklaneError, ValueError):
        return _unread(version)
    about = {"action": action.type, "target": action.target, "arguments": arguments}
    return await job_type.rules.judge(Asked(over=Over.ACTION, job=about_job, **about))


async def judge_output(ports: Ports, job_type: JobType, job: Job, text: str) -> Verdict | None:
    """What the policies and the hook say about this result; None where none has a say."""
    version = job_type.rules.version(Over.OUTPUT)
    if version is None:
        return None
    try:
        about_job = await _policy_job(ports, job_type, job)
        output = job_type.read_output(about_job.inputs, text)
    except (BacklaneError, ValueError):
        return _unread(version)
    return await job_type.rules.judge(Asked(over=Over.OUTPUT, job=about_job, output=output))


def _unread(version: str) -> Verdict:
    reason = "what is to be judged does not fit its type any more"
    return Verdict(answer=Answer.REVIEW, version=version, reason=reason, sensitive=True)


def _arguments(job_type: JobType, action: Action) -> Any:
    declared = None if action.origin is Origin.MCP else job_type.action(action.type)
    return json.loads(action.arguments) if declared is None else declared.typed(action.arguments)


def keep_verdict(
    tx: Transaction,
    ports: Ports,
    job: Job,
    said: Verdict,
    payload_hash: str,
    *,
    action: str | None = None,
    artifact: str | None = None,
) -> None:
    """Write down what was said about exactly these bytes."""
    tx.insert_verdict(
        {
            "id": ports.ids.new("pol"),
            "workspace": job.workspace,
            "job_id": job.id,
            "over": str(Over.OUTPUT if action is None else Over.ACTION),
            "action_id": action,
            "artifact_id": artifact,
            "payload_hash": payload_hash,
            "version": said.version,
            "answer": str(said.answer),
            "sensitive": said.sensitive,
            "policy": said.policy,
            "reason": said.reason,
            "quorum": said.quorum,
            "role": said.role,
            "at": ports.clock.now(),
        }
    )


def keep_output_verdict(
    tx: Transaction, ports: Ports, job: Job, said: Verdict | None, artifact: str, text: str
) -> None:
    """Write down what was said about a result, if anything has a say about it."""
    if said is not None:
        digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
        keep_verdict(tx, ports, job, said, digest, artifact=artifact)


def output_verdict(tx: Transaction, job_id: str) -> Row | None:
    """What was said about the newest result; None where nothing was."""
    results = [row["id"] for row in tx.artifacts(job_id) if row["kind"] == "result"]
    said = [row for row in tx.verdicts(job_id) if row["over"] == Over.OUTPUT]
    return said[-1] if said and results and said[-1]["artifact_id"] == results[-1] else None


def is_examined(job_type: JobType) -> bool:
    """Whether a result is looked at by checks, policies or a hook before it meets its gate."""
    return bool(job_type.checks) or job_type.rules.version(Over.OUTPUT) is not None


def may_allow(job: Job) -> bool:
    """Whether a policy's allow is enough for an action of this job: not if it was drawn, nor if it is sensitive."""
    tight = job.gate in (Gate.SAMPLED, Gate.SENSITIVE) or job.sensitive is not None
    return job.authority == Authority.LOW_RISK_WRITE and not tight


def allowed_as_it_is(tx: Transaction, job: Job, action: Action, version: str) -> bool:
    """Whether the newest word of the policies, of this version, allows exactly these bytes."""
    said = [row for row in tx.verdicts(job.id) if row["action_id"] == action.id]
    if not said or version == NO_POLICY or not may_allow(job):
        return False
    newest, sealed = said[-1], seal_action(action).hash
    same = newest["payload_hash"] == sealed and newest["version"] == version == action.policy_version
    return same and newest["answer"] == Answer.ALLOW
