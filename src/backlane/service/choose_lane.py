"""Choosing how a new job is run: its provider account, its lane, its completion window, and why not another way."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backlane.core.accounts import AccountInfo
from backlane.core.lane import Window, against_window, chosen, verdicts
from backlane.core.ports import JobType
from backlane.errors import NotAvailable
from backlane.service.access import Caller
from backlane.service.ports import Ports


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for; None leaves it to the job type."""

    lane: str | None
    window: str | None
    live: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """How the job is run, and for every lane the verdict and the reason."""

    account: AccountInfo
    lane: str
    window: str
    rows: list[dict[str, str]]

    @property
    def reason(self) -> str:
        """Why this lane."""
        return next(row["reason"] for row in self.rows if row["lane"] == self.lane)


def choose(
    ports: Ports,
    caller: Caller,
    job_type: JobType,
    inputs: Any,
    wanted: Wanted,
    times: Mapping[str, int | None],
) -> Choice:
    """The way a job is run. Raises NotAvailable, with every lane's reason, if there is none."""
    account = ports.accounts.of(caller.workspace_name)
    if account is None:
        raise NotAvailable("This workspace has no provider account; an operator must give it one.")
    window = wanted.window or job_type.window
    against = _against(job_type, inputs, window, wanted.live, times)
    rows = verdicts(
        job_type.lanes,
        wanted.lane,
        window=window,
        against=against,
        background=account.background,
        rebuys=job_type.if_unknown == "rebuy",
    )
    lane = chosen(rows, job_type.lanes)
    if lane is None:
        reasons = "; ".join(f"{row['lane']}: {row['reason']}" for row in rows)
        raise NotAvailable(f"No lane can take this job: {reasons}.", lane_reasons=rows)
    return Choice(account, lane, window, rows)


def _against(
    job_type: JobType, inputs: Any, window: str, live: bool, times: Mapping[str, int | None]
) -> str | None:
    """What speaks against the completion window that was asked for or declared."""
    if window == Window.SOONEST:
        return None
    try:
        tier = job_type.build(inputs).get("service_tier")
    except Exception:
        tier = None  # a type that cannot build its request fails when it is to be sent, and says so
    return against_window(
        window,
        start=times["due_at"] or 0,
        useful_until=times["useful_until"] or 0,
        deadline=times["deadline"],
        live=live,
        service_tier=tier,
    )
