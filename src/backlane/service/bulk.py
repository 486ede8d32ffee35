"""One verb over many jobs: each job is asked for itself, and its answer stands beside its id."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backlane.core.storage import Search
from backlane.errors import BacklaneError, InvalidRequest, Refusal
from backlane.service import control, mark
from backlane.service.access import Caller, visible
from backlane.service.escalate import escalate
from backlane.service.ports import Ports
from backlane.service.read import within_sight
from backlane.service.rehearse import rehearsing

AT_MOST = 200
ACTIONS = ("cancel", "retry", "resolve", "escalate", "archive", "unarchive", "hold", "release")
# A found run belongs to one attempt: it cannot be attached to many.
CHOICES = ("run_again", "give_up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulk:
    """What is asked of many jobs. `choice` goes with resolve; `dry_run` only says what would be allowed."""

    action: str
    reason: str
    choice: str | None = None
    dry_run: bool = False


async def in_bulk(
    ports: Ports, caller: Caller, asked: Bulk, *, ids: Sequence[str] | None, search: Search | None
) -> dict[str, Any]:
    """Carry a verb out on each job that is named or found, at most 200; what became of each.

    A job that refuses stops no other. Raises InvalidRequest.
    """
    if (asked.action == "resolve") != (asked.choice is not None):
        raise InvalidRequest([("/choice", "goes with action resolve, and only with it")])
    more = False
    if ids is None:
        assert search is not None
        narrowed = within_sight(caller, replace(search, limit=AT_MOST + 1))
        found = await ports.store.read(lambda tx: tx.search(narrowed))
        more, ids = len(found) > AT_MOST, [job.id for job in found[:AT_MOST]]
    results = [await _one(ports, caller, asked, job_id) for job_id in dict.fromkeys(ids)]
    return {
        "object": "bulk",
        "action": asked.action,
        "dry_run": asked.dry_run,
        "data": results,
        "done": sum(row["ok"] for row in results),
        "refused": sum(not row["ok"] for row in results),
        "more": more,
    }


async def _one(ports: Ports, caller: Caller, asked: Bulk, job_id: str) -> dict[str, Any]:
    try:
        # What would stand in the way is said by the verb itself.
        stage = rehearsing(ports) if asked.dry_run else ports
        await _VERBS[asked.action](stage, caller, job_id, asked)
        job = await ports.store.read(lambda tx: visible(tx, caller, tx.job(job_id)))
    except Refusal as refusal:
        told = {"code": refusal.code, "detail": refusal.detail, **refusal.extra}
        return {"job": job_id, "ok": False, "status": None, "error": told}
    except BacklaneError as error:
        return {
            "job": job_id,
            "ok": False,
            "status": None,
            "error": {"code": error.code, "detail": str(error)},
        }
    return {"job": job_id, "ok": True, "status": job.status, "retried_as": job.retried_as, "error": None}


async def _cancel(ports: Ports, caller: Caller, job_id: str, asked: Bulk) -> None:
    await control.cancel(ports, caller, job_id, asked.reason)


async def _retry(ports: Ports, caller: Caller, job_id: str, asked: Bulk) -> None:
    await control.retry(ports, caller, job_id, reason=asked.reason)


async def _resolve(ports: Ports, caller: Caller, job_id: str, asked: Bulk) -> None:
    await control.resolve(ports, caller, job_id, asked.choice or "", notes=asked.reason)


async def _escalate(ports: Ports, caller: Caller, job_id: str, asked: Bulk) -> None:
    await escalate(ports, caller, job_id, asked.reason)


def _marked(verb: Callable[..., Awaitable[None]]) -> Callable[[Ports, Caller, str, Bulk], Awaitable[None]]:
    async def carry_out(ports: Ports, caller: Caller, job_id: str, asked: Bulk) -> None:
        await verb(ports, caller, job_id, asked.reason)

    return carry_out


_VERBS: dict[str, Callable[[Ports, Caller, str, Bulk], Awaitable[None]]] = {
    "cancel": _cancel,
    "retry": _retry,
    "resolve": _resolve,
    "escalate": _escalate,
    "archive": _marked(mark.archive),
    "unarchive": _marked(mark.unarchive),
    "hold": _marked(mark.hold),
    "release": _marked(mark.unhold),
}
