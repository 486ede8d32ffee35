"""Writing down what a run asks for, before anything is answered."""

from backlane.core.event import Event
from backlane.core.job import Attempt, Job
from backlane.core.outcome import Answer
from backlane.core.storage import Row, Transaction
from backlane.service.ports import Ports


def note_calls(tx: Transaction, ports: Ports, job: Job, attempt: Attempt, answer: Answer) -> list[Event]:
    """Write down the calls of a run that has ended, each once, in its order."""
    now = ports.clock.now()
    asked = [(one.call_id, "function", one.name, one.arguments) for one in answer.calls]
    asked += [
        (one.id, "mcp_approval", f"{one.server}/{one.name}"[:200], one.arguments) for one in answer.approvals
    ]
    told: list[Event] = []
    for number, (call_id, kind, name, arguments) in enumerate(asked, start=1):
        row: Row = {
            "id": ports.ids.new("call"),
            "workspace": job.workspace,
            "job_id": job.id,
            "attempt_id": attempt.id,
            "number": number,
            "call_id": call_id,
            "kind": kind,
            "name": name,
            "arguments": arguments,
            "state": "called",
            "code": None,
            "output": None,
            "started_at": now,
            "finished_at": None,
        }
        tx.insert_tool_call(row)
        data = {"attempt": attempt.id, "number": number, "kind": kind, "tool": name}
        told.append(Event("tool.called", now, "provider", data))
    return told
