"""The provider's state: its clock, its runs, its weather and its truth log. Every call goes through here."""

import dataclasses
import random
import time
from collections.abc import Mapping
from typing import Any

from backlane.simulator.answers import write_output
from backlane.simulator.declared import check_declared
from backlane.simulator.deliveries import Endpoint
from backlane.simulator.faults import Fault, Weather
from backlane.simulator.http_delivery import Deliver, HttpDelivery
from backlane.simulator.match import Asked
from backlane.simulator.protocol import Refusal
from backlane.simulator.runs import TERMINAL, Run, limit_output, mark, response_of, usage_of
from backlane.simulator.script import Script, read_rule
from backlane.simulator.stats import stats_of
from backlane.simulator.switches import Switches
from backlane.simulator.text import input_texts
from backlane.simulator.values import as_list, as_object
from backlane.simulator.webhooks import Webhooks

_EPOCH = 1_795_000_000.0
_RUN_SLOTS = ("ending", "duration", "usage", "aftermath")
_ENDED_WORD = {"completed": "a completed response", "failed": "a failed response"}


class World:
    """One simulated provider."""

    def __init__(
        self, seed: int, clock: str, switches: Switches, webhook: tuple[str, str] | None = None
    ) -> None:
        """`webhook` is the URL and the secret of an endpoint that is there from the first day."""
        self.seed = seed
        self.switches = switches
        self._first_switches = switches
        self.is_virtual = clock == "virtual"
        self._first_webhook = webhook
        # The way a webhook leaves; whoever has no sockets puts another one here.
        self.deliver: Deliver = HttpDelivery(lambda: self.switches)
        self.webhooks = Webhooks(self, None)
        self.reset()

    def reset(self) -> None:
        """Empty, as on the first day; a virtual clock goes back to its start."""
        self.switches = dataclasses.replace(self._first_switches)
        self.runs: dict[str, Run] = {}
        self.scripts = Script()
        self.weather = Weather(random.Random(f"{self.seed}:weather"))
        self.log: list[dict[str, Any]] = []
        self._ahead = 0.0
        self.webhooks.close()
        url, secret = self._first_webhook or ("", "")
        first = Endpoint("we_configured", "configured", url, secret, 0.0, 0.0) if url else None
        self.webhooks = Webhooks(self, first)

    def now(self) -> float:
        """Seconds since 1970, by this world's clock."""
        return (_EPOCH if self.is_virtual else time.time()) + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self._ahead += seconds

    def script(self, entry: Mapping[str, Any]) -> None:
        """What the next matching responses do. Raises ValueError naming what is wrong."""
        self.scripts.add(read_rule(dict(entry)))

    def stats(self) -> dict[str, Any]:
        """Counts by call, runs by status, and every attempt that was bought more than once."""
        return stats_of(self.log, list(self.runs.values()), self.now())

    def note(self, call: str, **facts: Any) -> dict[str, Any]:
        """One line of the truth log, in order."""
        line = {"n": len(self.log) + 1, "at": self.now(), "call": call, **facts}
        self.log.append(line)
        return line

    def asked(self, body: Mapping[str, Any], run: Run | None = None) -> Asked:
        """The request behind a call, as scripts and faults see it."""
        text = "\n".join(input_texts(body.get("input")))
        return Asked(body, text, run.id if run else None)

    def admit(self, body: Mapping[str, Any]) -> None:
        """Whether this account may make this request now. Raises Refusal."""
        check_declared(body, strict_schemas=self.switches.strict_schemas)
        if body["model"] in self.switches.retired_models:
            told = f"The model `{body['model']}` does not exist or you do not have access to it."
            raise Refusal(404, told, code="model_not_found")
        if body.get("background") and body.get("store") is False and self.switches.strict_store:
            told = "Background mode requires store=true."
            raise Refusal(400, told, code="unsupported_parameter", param="background")
        former = self._former(body)
        if former is not None:
            answered = {as_object(item).get("call_id") for item in as_list(body.get("input"))}
            for call_id in former.open_calls():
                if call_id not in answered:
                    raise Refusal(400, f"No tool output found for function call {call_id}.", param="input")

    def _former(self, body: Mapping[str, Any]) -> Run | None:
        former_id = body.get("previous_response_id")
        if former_id is None:
            return None
        run = self.runs.get(str(former_id))
        if run is None or not self._held(run) or not self._stored(run):
            told = f"Previous response with id '{former_id}' not found."
            raise Refusal(400, told, code="previous_response_not_found", param="previous_response_id")
        return run

    def accept(self, body: Mapping[str, Any]) -> Run:
        """Take the run on: from here it will be paid for, whatever becomes of the reply."""
        number, now = len(self.runs) + 1, self.now()
        run_id = mark(self.seed, number, "resp")
        asked, former = self.asked(body), self._former(body)
        then = self.scripts.take(asked)
        met = self.weather.meet("create", _RUN_SLOTS, asked)
        then |= _ending(met.get("ending"))
        queued, running = self._durations(number, then, met.get("duration"))
        if not body.get("background"):
            queued = running = 0.0
        output = write_output(body, then, run_id.removeprefix("resp_"), self.seed)
        run = Run(run_id, dict(body), now, now + queued, now + queued + running, then, output)
        run.reasoning_tokens = random.Random(f"{self.seed}:{number}:thought").randrange(16, 96)
        run.history_tokens = usage_of(former)["total_tokens"] if former else 0
        limit_output(run)
        run.faults = [fault.name for fault in met.values()]
        if "aftermath" in met:
            run.revives_after = float(met["aftermath"].values.get("seconds", 1))
        self.runs[run_id] = run
        self.webhooks.watch(run)
        return run

    def _durations(self, number: int, then: Mapping[str, Any], slow: Fault | None) -> tuple[float, float]:
        """Scripted seconds are exact; the simulator's own are shortened by `speed`."""
        chance, switches = random.Random(f"{self.seed}:{number}:time"), self.switches
        queued = chance.uniform(*switches.queued_seconds) / switches.speed
        running = chance.uniform(*switches.running_seconds) / switches.speed
        queued = float(then.get("queued_seconds", queued))
        running = float(then.get("running_seconds", running))
        return queued, running + (float(slow.values.get("seconds", 60)) if slow else 0.0)

    def _stored(self, run: Run) -> bool:
        return run.body.get("store") is not False and not self.switches.zdr

    def _held(self, run: Run) -> bool:
        """Whether the provider still has it."""
        age, limits = self.now() - run.ended_at(), [self.switches.retention_seconds]
        if not self._stored(run):
            limits.append(self.switches.ephemeral_seconds if run.background else 0.0)
        return not run.deleted and all(limit is None or age < limit for limit in limits)

    def run(self, run_id: str) -> Run:
        """A run that is still held. Raises the 404 Refusal."""
        run = self.runs.get(run_id)
        if run is None or not self._held(run):
            raise Refusal(404, f"Response with id '{run_id}' not found.")
        return run

    def status(self, run: Run) -> str:
        """Its status by this world's clock."""
        return run.status(self.now())

    def show(self, run: Run, fault: Fault | None = None) -> dict[str, Any]:
        """A run's Response object now, as this call's fault would have it."""
        shown = response_of(run, self.status(run), self.switches)
        if fault is not None and fault.name == "unknown_status":
            shown["status"] = fault.values.get("status", "thinking")
        elif fault is not None and fault.name == "backwards_status":
            shown = response_of(run, "in_progress", self.switches)
        elif fault is not None and fault.name == "changed_usage" and isinstance(shown["usage"], dict):
            for key in ("output_tokens", "total_tokens"):
                # Another fault may have garbled the numbers already.
                told: Any = as_object(shown["usage"]).get(key)
                if isinstance(told, int):
                    shown["usage"][key] = told + int(fault.values.get("add", 100))
        return shown

    def cancel(self, run: Run) -> dict[str, Any]:
        """Stop a run, or refuse as the provider does for one that has ended."""
        status = self.status(run)
        if not run.background:
            raise Refusal(400, "Cannot cancel a synchronous response.")
        if status not in TERMINAL:
            run.canceled_at = self.now()
            self.webhooks.ended(run)
        elif status != "cancelled" and self.switches.cancel_ended != "accept":
            told = f"Cannot cancel {_ENDED_WORD.get(status, 'a response in terminal state')}."
            raise Refusal(409 if self.switches.cancel_ended == "conflict" else 400, told)
        return self.show(run)

    def delete(self, run: Run) -> dict[str, Any]:
        """Forget a finished run."""
        if self.status(run) not in TERMINAL and not self.switches.delete_in_flight:
            raise Refusal(400, "Cannot delete an in-flight response.")
        run.deleted = True
        return {"id": run.id, "object": "response", "deleted": True}


def _ending(fault: Fault | None) -> dict[str, Any]:
    """How a fault makes a run end."""
    if fault is None:
        return {}
    values = fault.values
    if fault.name == "failed":
        return {
            "status": "failed",
            "error_code": values.get("code", "server_error"),
            "error_message": values.get("message"),
        }
    if fault.name == "incomplete":
        return {"status": "incomplete", "incomplete_reason": values.get("reason", "max_output_tokens")}
    return {"refusal": values.get("text", "I can't help with that.")}
