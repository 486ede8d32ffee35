from typing import Any, assert_type

from pydantic import BaseModel

from backlane import App, CheckFailed, File, Image, Request, Review, Sensitive, policy
from backlane.core.ports import JobType, JobView, Types

app = App()


class Tickets(BaseModel):
    tickets: list[str]
    attachments: list[File] = []
    board: Image | None = None
    note: Sensitive[str] = ""


class Digest(BaseModel):
    summary: str
    themes: list[str]


class Receipt(BaseModel):
    id: str


@app.job(
    "ticket-digest",
    authority="read_only",
    useful_for="30m",
    latency_budget="5m",
    max_cost="0.50",
    lanes=["background", "batch"],
    live=False,
    max_attempts=4,
    if_unknown="ask",
    who_may_cancel="requester",
)
def ticket_digest(inputs: Tickets) -> Request:
    assert_type(inputs.note, str)
    return Request(model="m", instructions="…", input=[*inputs.tickets, *inputs.attachments], output=Digest)


@ticket_digest.summary
def _(inputs: Tickets) -> str:
    return str(len(inputs.tickets))


@ticket_digest.tool
async def look_up_customer(email: str) -> dict[str, Any]:
    return {"email": email}


@ticket_digest.check
def every_ticket_is_cited(result: Digest, job: JobView) -> None:
    if not result.themes:
        raise CheckFailed(job.id)


@ticket_digest.check(name="other")
async def another(result: Digest, job: JobView) -> None: ...


@app.job(
    "refund",
    authority="external_effect",
    useful_for="2d",
    review=Review(role="reviewer", quorum=1, respond_within="4h"),
)
def refund(inputs: Tickets) -> Request:
    return Request(model="m", input="x")


@refund.action(undo="0s", timeout="30s")
async def issue_refund(args: Tickets, *, key: str) -> Receipt:
    return Receipt(id=key)


@issue_refund.lookup
async def _(key: str) -> Receipt | None:
    return None


@refund.action
async def again(args: Tickets, *, key: str) -> Receipt:
    return Receipt(id=key)


@refund.policy
def small(asked: policy.Asked) -> policy.Answers:
    return policy.strictest(policy.amount(asked.arguments.amount, allow="20"), policy.Allow())


@refund.policy(over=["action", "output"])
def careful(asked: policy.Asked) -> policy.Review | policy.Allow:
    return policy.Review("large", quorum=2) if asked.job.account else policy.Allow()


@refund.sensitive(over="output")
def names_somebody(inputs: Tickets, result: Digest | None) -> bool:
    return result is not None and bool(inputs.note)


@app.policy
def everywhere(asked: policy.Asked) -> policy.Answers:
    return policy.Refuse("closed") if asked.job.workspace == "ws_1" else policy.Allow()


assert_type(ticket_digest(Tickets(tickets=["a"])), Request)
types: Types = app
one: JobType | None = app.get("refund")
