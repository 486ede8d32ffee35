"""The provider's state: its clock, its runs, its weather and its truth log. Every call goes through here."""

import asyncio
import contextlib
import dataclasses
import random
import time
from collections.abc import Mapping
from typing import Any

from backlane.simulator.answers import write_output
from backlane.simulator.attached import read_items
from backlane.simulator.containers import Containers
from backlane.simulator.conversation import Turn, check_items, check_turn, input_of
from backlane.simulator.declared import check_declared
from backlane.simulator.deliveries import Endpoint
from backlane.simulator.desk import Desk
from backlane.simulator.faults import Fault, Weather
from backlane.simulator.files import Files
from backlane.simulator.hosted import shown_items
from backlane.simulator.http_delivery import Deliver, HttpDelivery
from backlane.simulator.interpreting import check_containers
from backlane.simulator.match import Asked
from backlane.simulator.mcp import tool_failure
from backlane.simulator.protocol import Refusal
from backlane.simulator.runs import TERMINAL, Run, carried_tokens, limit_output, mark, response_of
from backlane.simulator.script import Script, read_rule
from backlane.simulator.stats import stats_of
from backlane.simulator.switches import Switches
from backlane.simulator.text import input_texts
from backlane.simulator.turns import history_of, read_turn
from backlane.simulator.values import as_list, as_object
from backlane.simulator.waiting import Bell, Pause
from backlane.simulator.webhooks import Webhooks
from backlane.simulator.windows import durations

_EPOCH = 1_795_000_000.0
_RUN_SLOTS = ("ending", "duration", "usage", "aftermath", "novelty", "tool")
_CLOCK = "clock"
_ENDED_WORD = {"completed": "a completed response", "failed": "a failed response"}

_FAILED_CODE = {"failed": "server_error", "file_unreadable": "image_parse_error"}


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
        # How a stream lets time pass; who drives the clock from outside may set another one.
        self.pause: Pause | None = None if self.is_virtual else asyncio.sleep
        self._bell = Bell()
        self.reset()

    def reset(self) -> None:
        """Empty, as on the first day; a virtual clock goes back to its start."""
        self.switches = dataclasses.replace(self._first_switches)
        self.runs: dict[str, Run] = {}
        self.files, self.containers = Files(), Containers()
        self.scripts = Script()
        self.weather = Weather(random.Random(f"{self.seed}:weather"), self.now)
        self.log: list[dict[str, Any]] = []
        self._ahead = 0.0
        self.webhooks.close()
        url, secret = self._first_webhook or ("", "")
        first = Endpoint("we_configured", "configured", url, secret, 0.0, 0.0) if url else None
        self.webhooks = Webhooks(self, first)
        self._bell.ring()

    def now(self) -> float:
        """Seconds since 1970, by this world's clock."""
        return (_EPOCH if self.is_virtual else time.time()) + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self._ahead += seconds
        if seconds > 0:
            self._bell.ring(_CLOCK)

    async def rest(self, run: Run, seconds: float) -> None:
        """Until these seconds have passed, the clock was moved, or the run was stopped, whichever is first."""
        waits: set[asyncio.Future[None]] = {self._bell.listen(run.id, _CLOCK)}
        if self.pause is not None:
            waits.add(asyncio.ensure_future(self.pause(max(0.0, seconds))))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def script(self, entry: Mapping[str, Any]) -> None:
        """What the next matching responses do. Raises ValueError naming what is wrong."""
        self.scripts.add(read_rule(dict(entry)))

    def stats(self) -> dict[str, Any]:
        """Counts by call, runs by status, and every attempt that was bought more than once."""
        files = self.files.stats(self.now())
        return {**stats_of(self.log, list(self.runs.values()), self.now()), "files": files}

    def note(self, call: str, **facts: Any) -> dict[str, Any]:
        """One line of the truth log, in order."""
        line = {"n": len(self.log) + 1, "at": self.now(), "call": call, **facts}
        self.log.append(line)
        return line

    def asked(self, body: Mapping[str, Any], run: Run | None = None) -> Asked:
        """The request behind a call, as scripts and faults see it."""
        given = input_of(body) if run is None else run.given
        # A file may be gone by now; whoever looks into the request then sees it as it was sent.
        with contextlib.suppress(Refusal):
            given = read_items(given, self.files, self.now())[0] if run is None else given
        return Asked(body, "\n".join(input_texts(given)), run.id if run else None)

    def admit(self, body: Mapping[str, Any]) -> None:
        """Whether this account may make this request now. Raises Refusal."""
        check_declared(body, strict_schemas=self.switches.strict_schemas)
        if body["model"] in self.switches.retired_models:
            told = f"The model `{body['model']}` does not exist or you do not have access to it."
            raise Refusal(404, told, code="model_not_found")
        if body.get("background") and not self.switches.background:
            told = "Background mode is not supported by this server."
            raise Refusal(400, told, code="unsupported_parameter", param="background")
        if body.get("background") and body.get("store") is False and self.switches.strict_store:
            told = "Background mode requires store=true."
            raise Refusal(400, told, code="unsupported_parameter", param="background")
        check_items(input_of(body))
        turn = self._turn(body)
        check_turn(turn)
        check_containers(turn, self.containers, self.files, self.now(), self.switches.container_minutes)

    def _turn(self, body: Mapping[str, Any]) -> Turn:
        """A create's words with its files read, and the conversation it continues. Raises Refusal."""
        former = self._former(body)
        history = history_of(former, self.status(former), self.switches) if former else []
        held = (run for run in self.runs.values() if self._held(run))
        return read_turn(body, history, held, self.files, self.now(), self.switches)

    def _former(self, body: Mapping[str, Any]) -> Run | None:
        former_id = body.get("previous_response_id")
        if former_id is None:
            return None
        run = self.runs.get(str(former_id))
        gone = run is not None and not (self._held(run) and self._stored(run))
        if run is None or (gone and self.switches.deleted_parent == "refuse"):
            told = f"Previous response with id '{former_id}' not found."
            raise Refusal(400, told, code="previous_response_not_found", param="previous_response_id")
        if self.status(run) not in TERMINAL and not self.switches.continue_unfinished:
            told = f"Previous response with id '{former_id}' has not finished."
            raise Refusal(400, told, param="previous_response_id")
        return run

    def accept(self, body: Mapping[str, Any]) -> Run:
        """Take the run on: from here it will be paid for, whatever becomes of the reply."""
        number, now = len(self.runs) + 1, self.now()
        run_id = mark(self.seed, number, "resp")
        turn, former = self._turn(body), self._former(body)
        asked = Asked(body, "\n".join(input_texts(turn.given)))
        then = self.scripts.take(asked)
        met = self.weather.meet("create", _RUN_SLOTS, asked)
        then |= _ending(met.get("ending")) | tool_failure(met.get("tool"))
        if turn.problem is not None:
            code, message = turn.problem
            then |= {"status": "failed", "error_code": code, "error_message": message}
        queued, running = self._durations(number, body, then, met.get("duration"))
        if "novelty" in met:
            then["unknown_event"] = {"after": 2, "type": "response.mood.changed", **met["novelty"].values}
        tail = run_id.removeprefix("resp_")
        work = write_output(Desk(turn, then, tail, turn.source(), self.files, now), self.seed)
        output = shown_items(work.items, work.hidden, as_list(body.get("include")))
        run = Run(run_id, dict(body), now, now + queued, now + queued + running, then, output)
        run.given, run.history, run.files, run.hidden = turn.given, turn.history, turn.files, work.hidden
        for container in work.containers:
            self.containers.start(container, run.starts_at, run.ends_at)
        run.reasoning_tokens = random.Random(f"{self.seed}:{number}:thought").randrange(16, 96)
        run.history_tokens = carried_tokens(former) if former else 0
        limit_output(run)
        run.faults = [fault.name for fault in met.values()]
        if "aftermath" in met:
            run.revives_after = float(met["aftermath"].values.get("seconds", 1))
        self.runs[run_id] = run
        self.webhooks.watch(run)
        return run

    def _durations(
        self, number: int, body: Mapping[str, Any], then: Mapping[str, Any], slow: Fault | None
    ) -> tuple[float, float]:
        chance, former = random.Random(f"{self.seed}:{number}:time"), self.runs.values()
        return durations(chance, body, then, slow, self.switches, former)

    def _stored(self, run: Run) -> bool:
        return run.body.get("store") is not False and not self.switches.zdr

    def _held(self, run: Run) -> bool:
        """Whether the provider still has it."""
        age, limits = self.now() - run.ended_at(), [self.switches.retention_seconds]
        if not self._stored(run):
            limits.append(self.switches.ephemeral_seconds if run.background else 0.0)
        return not run.deleted and all(limit is None or age < limit for limit in limits)

    def run(self, run_id: str, *, waited_for_too: bool = False) -> Run:
        """A run that is still held; one that its caller waits for only if asked. Raises the 404 Refusal."""
        run = self.runs.get(run_id)
        waited_for = (
            not waited_for_too and run is not None and not run.background and self.status(run) not in TERMINAL
        )
        if run is None or waited_for or not self._held(run):
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

    def cancel(self, run_id: str) -> dict[str, Any]:
        """Stop a run, or refuse as the provider does for one that has ended."""
        run = self.run(run_id, waited_for_too=self.switches.cancel_foreground == "accept")
        status = self.status(run)
        if not run.background and self.switches.cancel_foreground == "refuse":
            raise Refusal(400, "Cannot cancel a synchronous response.")
        if status not in TERMINAL:
            self._stop(run)
        elif status != "cancelled" and self.switches.cancel_ended != "accept":
            told = f"Cannot cancel {_ENDED_WORD.get(status, 'a response in terminal state')}."
            raise Refusal(409 if self.switches.cancel_ended == "conflict" else 400, told)
        return self.show(run)

    def abandon(self, run: Run) -> None:
        """A run whose caller has left: one that nobody but its caller waits for is stopped."""
        if not run.background and self.status(run) not in TERMINAL:
            self._stop(run)

    def _stop(self, run: Run) -> None:
        run.canceled_at = self.now()
        self._bell.ring(run.id)
        self.webhooks.ended(run)

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
    if fault.name in ("failed", "file_unreadable"):
        return {
            "status": "failed",
            "error_code": values.get("code", _FAILED_CODE[fault.name]),
            "error_message": values.get("message"),
        }
    if fault.name == "incomplete":
        return {"status": "incomplete", "incomplete_reason": values.get("reason", "max_output_tokens")}
    return {"refusal": values.get("text", "I can't help with that.")}
