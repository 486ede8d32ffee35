"""The provider's state: its clock, its runs, its weather and its truth log. Every call goes through here."""

import copy
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from backlane.simulator.faults import Fault, Weather, matches
from backlane.simulator.protocol import Refusal, check_create
from backlane.simulator.runs import TERMINAL, Run, cut, halve, mark, response_of, write_output
from backlane.simulator.text import input_texts

_EPOCH = 1_795_000_000.0


@dataclass(slots=True)
class Switches:
    """What is not known of the real provider, and what differs between accounts."""

    retention_seconds: float | None = None
    strict_store: bool = False
    cancel_ended: Literal["refuse", "accept"] = "refuse"
    cancel_keeps_output: bool = False
    speed: float = 1.0


class World:
    """One simulated provider."""

    def __init__(self, seed: int, clock: str, switches: Switches) -> None:
        self.seed = seed
        self.switches = switches
        self._virtual = clock == "virtual"
        self._ahead = 0.0
        self.reset()

    def reset(self) -> None:
        """Empty, as on the first day."""
        self._runs: dict[str, Run] = {}
        self._scripts: list[dict[str, Any]] = []
        self.weather = Weather(random.Random(f"{self.seed}:weather"))
        self.log: list[dict[str, Any]] = []
        self._created = 0

    def now(self) -> float:
        """Seconds since 1970, by this world's clock."""
        return (_EPOCH if self._virtual else time.time()) + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self._ahead += seconds

    def script(self, entry: Mapping[str, Any]) -> None:
        """What the next matching responses do."""
        self._scripts.append({"times": 1, **entry})

    def note(self, call: str, **facts: Any) -> dict[str, Any]:
        """One line of the truth log, in order."""
        line = {"n": len(self.log) + 1, "at": self.now(), "call": call, **facts}
        self.log.append(line)
        return line

    def create(self, given: Any) -> Run:
        """Accept a run. Raises Refusal."""
        body = check_create(given)
        if body.get("background") and body.get("store") is False and self.switches.strict_store:
            raise Refusal(
                400, "Background mode requires store=true.", code="unsupported_parameter", param="background"
            )
        former = body.get("previous_response_id")
        if former is not None and self._runs.get(former) is None:
            message = f"Previous response with id '{former}' not found."
            raise Refusal(400, message, code="previous_response_not_found", param="previous_response_id")
        self._created += 1
        run_id = mark(self.seed, self._created, "resp")
        text = "\n".join(input_texts(body["input"]))
        then = self._shaped(body, text)
        chance = random.Random(f"{self.seed}:{self._created}:time")
        queued = then.get("queued_seconds", chance.uniform(0.05, 0.3) / self.switches.speed)
        running = then.get("running_seconds", chance.uniform(0.4, 2.0) / self.switches.speed)
        if not body.get("background"):
            queued = running = 0.0
        now = self.now()
        output = write_output(body, then, run_id, self.seed)
        run = Run(run_id, body, now, now + queued, now + queued + running, then, output)
        self._finish_shape(run, body, text)
        self._runs[run_id] = run
        return run

    def _shaped(self, body: Mapping[str, Any], text: str) -> dict[str, Any]:
        """How the run will go: the first matching script, then the faults that shape runs."""
        then: dict[str, Any] = {}
        for entry in self._scripts:
            if matches(entry.get("match", {}), body, text):
                then = copy.deepcopy(dict(entry["then"]))
                if entry["times"] is not None:
                    entry["times"] -= 1
                self._scripts = [one for one in self._scripts if one["times"] is None or one["times"] > 0]
                break
        if fault := self.weather.take({"failed"}, "create", body, text):
            then |= {"status": "failed", "error_code": fault.values.get("code", "server_error")}
            then["error_message"] = fault.values.get("message")
        if fault := self.weather.take({"incomplete"}, "create", body, text):
            then |= {
                "status": "incomplete",
                "incomplete_reason": fault.values.get("reason", "max_output_tokens"),
            }
        if fault := self.weather.take({"refusal"}, "create", body, text):
            then["refusal"] = fault.values.get("text", "I can't help with that.")
        if fault := self.weather.take({"slow_run"}, "create", body, text):
            then["running_seconds"] = then.get("running_seconds", 1.0) + float(
                fault.values.get("seconds", 60)
            )
        return then

    def _finish_shape(self, run: Run, body: Mapping[str, Any], text: str) -> None:
        most = body.get("max_output_tokens")
        if most is not None and "status" not in run.then and cut(run.output, most):
            run.then |= {"status": "incomplete", "incomplete_reason": "max_output_tokens"}
        elif run.then.get("status") == "incomplete":
            halve(run.output)
        for name in ("missing_usage", "garbled_usage", "complete_after_cancel"):
            run.flags[name] = self.weather.take({name}, "create", body, text) is not None

    def run(self, run_id: str) -> Run:
        """A run that is still held. Raises the 404 Refusal."""
        run = self._runs.get(run_id)
        kept = self.switches.retention_seconds
        if run is None or run.deleted or (kept is not None and self.now() > run.created_at + kept):
            raise Refusal(404, f"Response with id '{run_id}' not found.")
        return run

    def show(self, run: Run, fault: Fault | None = None) -> dict[str, Any]:
        """A run's Response object now, as this call's fault would have it."""
        status = run.status(self.now())
        shown = response_of(run, status)
        if fault is not None and fault.name == "unknown_status":
            shown["status"] = fault.values.get("status", "thinking")
        if fault is not None and fault.name == "backwards_status" and status in TERMINAL:
            shown = response_of(run, "in_progress")
        return shown

    def cancel(self, run: Run) -> dict[str, Any]:
        """Stop a run, or refuse as the provider does for one that has ended."""
        status = run.status(self.now())
        if not run.body.get("background"):
            raise Refusal(400, "Cannot cancel a synchronous response.")
        if status in TERMINAL and status != "cancelled" and self.switches.cancel_ended == "refuse":
            word = "a failed" if status == "failed" else f"{'an' if status[0] in 'aeiou' else 'a'} {status}"
            raise Refusal(400, f"Cannot cancel {word} response.")
        if status not in TERMINAL:
            run.canceled_at = self.now()
            run.immune = bool(run.flags.get("complete_after_cancel"))
        return self.show(run)

    def delete(self, run: Run) -> dict[str, Any]:
        """Forget a finished run."""
        if run.status(self.now()) not in TERMINAL:
            raise Refusal(400, "Cannot delete an in-flight response.")
        run.deleted = True
        return {"id": run.id, "object": "response", "deleted": True}

    def stats(self) -> dict[str, Any]:
        """Counts by call, runs by status, and every attempt that was bought more than once."""
        counts: dict[str, int] = dict.fromkeys(
            ("creates", "retrieves", "streams", "cancels", "deletes", "batches", "webhooks"), 0
        )
        for line in self.log:
            name = f"{line['call']}s"
            counts[name] = counts.get(name, 0) + 1
        bought: dict[str, int] = {}
        for run in self._runs.values():
            metadata: Any = run.body.get("metadata") or {}
            attempt: Any = metadata.get("backlane_attempt")
            if attempt is not None:
                bought[attempt] = bought.get(attempt, 0) + 1
        twice = {attempt: count for attempt, count in bought.items() if count > 1}
        now, statuses = self.now(), dict[str, int]()
        for run in self._runs.values():
            status = run.status(now)
            statuses[status] = statuses.get(status, 0) + 1
        return {
            **counts,
            "accepted": len(self._runs),
            "refused": counts["creates"] - len(self._runs),
            "duplicates": sum(count - 1 for count in twice.values()),
            "duplicated_attempts": sorted(twice),
            "runs": statuses,
        }
