"""Webhooks out: told of when a background run ends, tried again until taken, by this world's clock. No polling."""

import asyncio
import heapq
import itertools
from typing import TYPE_CHECKING, Any

from backlane.simulator.deliveries import Delivery, Endpoint, compose
from backlane.simulator.faults import Fault
from backlane.simulator.match import Asked
from backlane.simulator.runs import TERMINAL, Run, mark
from backlane.simulator.webhook_faults import CONTENT, COPIES, EARLY, SLOTS, TIME

if TYPE_CHECKING:
    from backlane.simulator.world import World

_LONGEST_WAIT = 4 * 3600.0
_NO_ANSWER = (OSError, TimeoutError)


class Webhooks:
    """What is still to be sent, by the time it is due, and to whom."""

    def __init__(self, world: "World", first: Endpoint | None) -> None:
        self._world = world
        self.endpoints: dict[str, Endpoint] = {} if first is None else {first.id: first}
        self._due: list[tuple[float, int, Run | Delivery]] = []
        self._order = itertools.count()
        self._held: list[Delivery] = []
        self._told: set[tuple[str, str]] = set()
        self._sent = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def watch(self, run: Run) -> None:
        """Tell of this run when it ends."""
        if run.background:
            self._push(run.ended_at(), run)

    def ended(self, run: Run) -> None:
        """It ended sooner than it would have by itself."""
        if run.background:
            self._push(self._world.now(), run)

    async def before_reply(self, run: Run) -> None:
        """Where `early_webhook` meets a run: it ends, and is told of, before its create is answered."""
        if not run.background or not self.endpoints:
            return
        world = self._world
        if world.weather.meet("webhook", (EARLY,), world.asked(run.body, run)):
            run.starts_at = run.ends_at = world.now()
            self._tell(run, ["early_webhook"])
            await self.deliver_due()

    def announce(
        self, kind: str, object_id: str, asked: Asked, *, at: float, faults: list[str] | None = None
    ) -> None:
        """Send an event of this type about an object to every endpoint that wants it.

        `asked` is the request behind it, for faults to match; `at` when it happened, in seconds since 1970.
        """
        event = self._event(kind, object_id, at)
        for endpoint in list(self.endpoints.values()):
            if endpoint.wants(kind, at):
                self._address(endpoint, event, asked, faults or [])

    def _event(self, kind: str, object_id: str, at: float) -> dict[str, Any]:
        return {
            "id": mark(self._world.seed, self.next_number(), "evt"),
            "object": "event",
            "created_at": int(at),
            "type": kind,
            "data": {"id": object_id},
        }

    async def send_sample(self, endpoint: Endpoint, kind: str) -> int | None:
        """Send one event about nothing, once; the status answered, None without an answer."""
        stranger = mark(self._world.seed, self.next_number(), "sample").removeprefix("sample_")
        prefix = {"response": "resp", "batch": "batch"}.get(kind.partition(".")[0], "obj")
        event = self._event(kind, f"{prefix}_{stranger}", self._world.now())
        delivery = self._delivery_to(endpoint, event, Asked({}, ""))
        status = await self._send(delivery)
        delivery.line["outcome"] = "delivered" if _is_taken(status) else "given up"
        return status

    def _delivery_to(self, endpoint: Endpoint, event: dict[str, Any], asked: Asked) -> Delivery:
        """A delivery and its line in the truth log; nothing is sent yet."""
        webhook_id = mark(self._world.seed, self.next_number(), "wh")
        line = self._world.note(
            "webhook",
            method="POST",
            path=endpoint.url,
            response_id=event["data"]["id"],
            metadata=asked.body.get("metadata") or {},
            model=asked.body.get("model"),
            background=True,
            status_code=None,
            outcome="pending",
            reply="sent",
            fault=None,
            faults=[],
            request_id=None,
            retry_count=None,
            webhook_id=webhook_id,
            endpoint_id=endpoint.id,
            event_type=event["type"],
            attempts=0,
            statuses=[],
            answered_at=None,
        )
        return Delivery(endpoint, webhook_id, event, line)

    def _address(self, endpoint: Endpoint, event: dict[str, Any], asked: Asked, faults: list[str]) -> None:
        world = self._world
        met = world.weather.meet("webhook", SLOTS, asked)
        time, copies, content = met.get(TIME), met.get(COPIES), met.get(CONTENT)
        delivery = self._delivery_to(endpoint, event, asked)
        delivery.line["faults"] = faults + [one.name for one in met.values()]
        delivery.line["fault"] = next(iter(delivery.line["faults"]), None)
        if content is not None and content.name == "foreign_webhook":
            self._foreign(endpoint, event, content)
        else:
            delivery.fault = content
        self._time(delivery, time)
        for number in range(1, int(copies.values.get("copies", 2)) if copies else 1):
            facts = {key: value for key, value in delivery.line.items() if key not in ("n", "at", "call")}
            line = world.note("webhook", **facts | {"copy": number + 1})
            twin = Delivery(endpoint, delivery.webhook_id, event, line, delivery.fault)
            self._time(twin, time)

    def _foreign(self, endpoint: Endpoint, event: dict[str, Any], fault: Fault) -> None:
        """One more, about a response of somebody else."""
        stranger = mark(self._world.seed, self.next_number(), "stranger").removeprefix("stranger_")
        foreign = event | {"id": f"evt_{stranger}", "data": {"id": f"resp_{stranger}"}}
        delivery = self._delivery_to(endpoint, foreign, Asked({}, ""))
        delivery.line |= {"fault": fault.name, "faults": [fault.name]}
        self._push(self._world.now(), delivery)

    def _time(self, delivery: Delivery, fault: Fault | None) -> None:
        name = fault.name if fault else None
        if name == "lose_webhook":
            delivery.line |= {"outcome": "lost", "reply": "never sent"}
        elif name == "reorder_webhooks":
            delivery.line["outcome"] = "held"
            self._held.append(delivery)
        elif fault is not None and name == "endpoint_down":
            delivery.down_for = float(fault.values.get("seconds", 600))
            self._push(self._world.now(), delivery)
        else:
            late = float(fault.values.get("seconds", 60)) if fault else 0.0
            self._push(self._world.now() + late, delivery)

    def next_due(self) -> float | None:
        """When something is due next, in seconds since 1970; None when nothing is, or nobody listens."""
        return self._due[0][0] if self._due and self.endpoints else None

    async def deliver_due(self) -> None:
        """Attempt all that is due by now, and wait for the answers. In order on a virtual clock, else at once."""
        while due := self._take_due():
            if self._world.is_virtual:
                for delivery in due:
                    await self._attempt(delivery)
            else:
                await asyncio.gather(*(self._attempt(delivery) for delivery in due))

    async def pass_time(self, seconds: float) -> None:
        """Move the clock on, stopping wherever something is due, until all that fell due was attempted."""
        left = seconds
        while (due := self.next_due()) is not None and due <= self._world.now() + left:
            step = min(left, max(0.0, due - self._world.now()))
            self._world.advance(step)
            left -= step
            await self.deliver_due()
        self._world.advance(left)
        await self.deliver_due()
        while self._tasks:
            await asyncio.gather(*self._tasks)
            await self.deliver_due()
        self._arm()

    def close(self) -> None:
        """Send nothing more."""
        self._closed = True
        self._due.clear()
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()

    def next_number(self) -> int:
        """A number for the next id of an event, a delivery or an endpoint."""
        self._sent += 1
        return self._sent

    def _push(self, due: float, item: Run | Delivery) -> None:
        if not self._closed:
            heapq.heappush(self._due, (due, next(self._order), item))
            self._arm()

    def _take_due(self) -> list[Delivery]:
        taken: list[Delivery] = []
        while self._due and self._due[0][0] <= self._world.now():
            _, _, item = heapq.heappop(self._due)
            if isinstance(item, Run):
                self._tell(item, [])
            else:
                taken.append(item)
        return taken

    def _tell(self, run: Run, faults: list[str]) -> None:
        """Announce a run's end, once for each ending it shows."""
        world = self._world
        status, now = world.status(run), world.now()
        if status not in TERMINAL:
            self._push(max(run.ended_at(), now + 0.001), run)
            return
        if run.deleted or (run.id, status) in self._told:
            return
        self._told.add((run.id, status))
        at = min(now, run.ended_at())
        self.announce(f"response.{status}", run.id, world.asked(run.body, run), at=at, faults=faults)
        if run.canceled_at is not None and run.ended_at() > now:
            # It was confirmed canceled, and shows completed later all the same.
            self._push(run.ended_at(), run)

    async def _attempt(self, delivery: Delivery) -> None:
        first_at = delivery.first_at = delivery.first_at or self._world.now()
        if _is_taken(await self._send(delivery)):
            delivery.line["outcome"] = "delivered"
        else:
            self._try_again(delivery, first_at)
        for held in self._held:
            self._push(self._world.now(), held)
        self._held.clear()

    async def _send(self, delivery: Delivery) -> int | None:
        """Once, and what came of it in the truth log."""
        world, line = self._world, delivery.line
        kept = delivery.first_at if world.switches.retry_timestamp == "kept" else None
        headers, body = compose(delivery, world.now() if kept is None else kept)
        down = delivery.is_down(world.now())
        try:
            status = None if down else await world.deliver(delivery.endpoint.url, headers, body)
        except _NO_ANSWER:
            status = None
        delivery.statuses.append(status)
        line |= {"attempts": len(delivery.statuses), "statuses": list(delivery.statuses)}
        line |= {"status_code": status, "answered_at": world.now()}
        return status

    def _try_again(self, delivery: Delivery, first_at: float) -> None:
        """Later and later, until the provider gives up."""
        switches = self._world.switches
        wait = switches.webhook_retry_seconds * 2.0 ** min(len(delivery.statuses) - 1, 40)
        due = self._world.now() + min(wait, _LONGEST_WAIT)
        if due > first_at + switches.webhook_give_up_seconds:
            delivery.line["outcome"] = "given up"
            return
        delivery.line["outcome"] = "retrying"
        self._push(due, delivery)

    def _arm(self) -> None:
        """On a real clock a timer wakes for what is due next; a virtual one is moved by its owner."""
        due = self.next_due()
        if self._world.is_virtual or due is None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(max(0.0, due - self._world.now()), self._wake)

    def _wake(self) -> None:
        for delivery in self._take_due():
            task = asyncio.get_running_loop().create_task(self._attempt(delivery))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._arm()


def _is_taken(status: int | None) -> bool:
    return status is not None and 200 <= status < 300
