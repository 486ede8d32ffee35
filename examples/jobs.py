"""Digests, a cited report, an answer with tools, a reviewed draft, a refund, a voucher."""

import json
import os
import time
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from backlane import App, CheckFailed, File, Receipt, Request, Review, Sensitive, ToolFailed, ToolView, policy

app = App()


class Text(BaseModel):
    """One text to work on."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"title": "A short note", "text": "The lift is broken again. Guests carry their bags."}
            ]
        }
    )

    title: str
    text: str
    note: Sensitive[str] = ""


class Digest(BaseModel):
    """What a busy person wants to know of a text."""

    summary: str
    themes: list[str]
    numbers: list[float]


@app.job(
    "digest", authority="read_only", useful_for="30m", latency_budget="5m", max_cost="0.50", output=Digest
)
def digest(inputs: Text) -> Request:
    """A short digest of one text: a summary, its themes and the numbers in it."""
    return Request(
        model="gpt-6-luna",
        instructions="Digest the text: one summary, the main themes, the important numbers.",
        input=[inputs.title, inputs.text],
        output=Digest,
    )


@digest.summary
def digest_summary(inputs: Text) -> str:
    """Titles are no secret here; texts are never shown."""
    return f"Digest of {inputs.title!r} ({len(inputs.text.split())} words)"


@digest.check
def every_theme_is_in_the_text(result: Digest, job: object) -> dict[str, int]:
    """A theme that the text does not mention was made up."""
    text = str(getattr(job, "inputs", "")).lower()
    foreign = [theme for theme in result.themes if theme.lower() not in text]
    if foreign:
        raise CheckFailed(f"{len(foreign)} themes are not in the text")
    return {"themes": len(result.themes), "numbers": len(result.numbers)}


@app.job("research-report", authority="read_only", useful_for="2h", max_cost="1.00")
def research_report(inputs: Text) -> Request:
    """A report on one text in which every statement is cited."""
    return Request(
        model="gpt-6-sol",
        instructions="Write a report. Quote the text for every statement and cite where it stands.",
        input=[inputs.text],
    )


@research_report.summary
def report_summary(inputs: Text) -> str:
    """The title only."""
    return f"Report on {inputs.title!r}"


class Papers(BaseModel):
    """What lies on the table: PDFs, tables, pictures."""

    question: str = "What do these papers say?"
    attachments: list[File] = Field(min_length=1, max_length=10)


@app.job("paper-digest", authority="read_only", useful_for="2h", max_cost="1.00")
def paper_digest(inputs: Papers) -> Request:
    """A digest of files that were sent in, in their own words."""
    return Request(
        model="gpt-6-luna",
        instructions="Summarise the attached files. Quote each of them word for word.",
        input=[inputs.question, *inputs.attachments],
    )


@paper_digest.summary
def papers_summary(inputs: Papers) -> str:
    """How many files; their names may be secret."""
    count = len(inputs.attachments)
    return f"Digest of {count} file{'' if count == 1 else 's'}"


Email = Annotated[str, Field(json_schema_extra={"format": "email"})]


class Ticket(BaseModel):
    """What a customer wrote, and from which address."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "ana@example.test", "text": "Where is my order A-17?"}]}
    )

    email: Email
    text: str


class Customer(BaseModel):
    """What the shop knows of a customer."""

    email: str
    name: str
    plan: str
    orders: list[str]


_CUSTOMERS = {
    "ana@example.test": Customer(email="ana@example.test", name="Ana", plan="gold", orders=["A-17", "A-18"]),
    "ben@example.test": Customer(email="ben@example.test", name="Ben", plan="free", orders=[]),
}
_ORDERS = {"A-17": "shipped on Monday", "A-18": "waiting for payment"}


@app.job("ticket-answer", authority="read_only", useful_for="1h", max_cost="0.50", max_turns=6)
def ticket_answer(inputs: Ticket) -> Request:
    """An answer to a ticket. The model looks up the customer and the orders it needs to know of."""
    return Request(
        model="gpt-6-luna",
        instructions="Answer the ticket. Look up the customer and the orders it names; never guess.",
        input=[f"From: {inputs.email}", inputs.text],
    )


@ticket_answer.summary
def ticket_summary(inputs: Ticket) -> str:
    """Neither the address nor the words."""
    return f"A ticket of {len(inputs.text.split())} words"


@ticket_answer.tool(timeout="5s")
async def look_up_customer(email: Email, *, job: ToolView) -> Customer:
    """Find the customer who wrote this ticket by email."""
    # The model reads what strangers write: whose data it may see is decided by the job, not by its words.
    if email != job.inputs.email or email not in _CUSTOMERS:
        raise ToolFailed("no customer by this email wrote this ticket")
    return _CUSTOMERS[email]


@ticket_answer.tool(timeout="5s")
def order_state(order_id: str) -> dict[str, str]:
    """Say where an order is."""
    if order_id not in _ORDERS:
        raise ToolFailed("no such order")
    return {"order": order_id, "state": _ORDERS[order_id]}


@app.job(
    "reply-draft", authority="draft", useful_for="2d", review=Review(role="reviewer", respond_within="4h")
)
def reply_draft(inputs: Text) -> Request:
    """A draft of an answer. Nobody outside sees it before a reviewer approved it."""
    return Request(model="gpt-6-luna", instructions="Draft a friendly answer.", input=[inputs.text])


class Refund(BaseModel):
    """What is paid back, proposed by the model and approved by a person."""

    order: str
    amount: Decimal


def _payments() -> Path:
    """The outside world of this example: a file with one line for each refund that was made."""
    return Path(os.environ.get("EXAMPLE_PAYMENTS", ".backlane/payments.jsonl"))


def _book(line: dict[str, str]) -> None:
    payments = _payments()
    payments.parent.mkdir(parents=True, exist_ok=True)
    with payments.open("a") as file:
        file.write(json.dumps(line) + "\n")
        file.flush()
        os.fsync(file.fileno())


@app.job(
    "refund",
    authority="external_effect",
    useful_for="2d",
    review=Review(role="reviewer", respond_within="4h"),
)
def refund(inputs: Text) -> Request:
    """Answers a complaint; a refund is proposed, approved by another person, and made once."""
    return Request(
        model="gpt-6-luna", instructions="Help. Propose a refund where it is due.", input=[inputs.text]
    )


@refund.action(undo="0s", timeout="30s", target="the payment service")
def issue_refund(args: Refund, *, key: str) -> Receipt:
    """Pay an order back."""
    _book({"key": key, "order": args.order, "amount": str(args.amount)})
    time.sleep(
        float(os.environ.get("EXAMPLE_PAYMENTS_SECONDS", "0"))
    )  # the payment is made, its answer is late
    return Receipt(system="payments", type="refund", id=f"re-{args.order}")


@issue_refund.lookup
def find_refund(key: str) -> Receipt | None:
    """Whether a refund with this key was made."""
    if not _payments().exists():
        return None
    made = [json.loads(line) for line in _payments().read_text().splitlines()]
    order = next((one["order"] for one in made if one["key"] == key), None)
    return None if order is None else Receipt(system="payments", type="refund", id=f"re-{order}")


class Voucher(BaseModel):
    """A small thank-you, proposed by the model."""

    order: str
    amount: Decimal


@app.job("goodwill", authority="low_risk_write", useful_for="2d", finish_after_actions=True)
def goodwill(inputs: Text) -> Request:
    """Answers a complaint, with a small voucher where that is right: the policy says how small."""
    return Request(model="gpt-6-luna", instructions="Help. A voucher may be due.", input=[inputs.text])


@goodwill.action(timeout="30s", target="the shop")
def send_voucher(args: Voucher, *, key: str) -> Receipt:
    """Send a voucher for the next order."""
    _book({"key": key, "order": args.order, "voucher": str(args.amount)})
    return Receipt(system="shop", type="voucher", id=f"vo-{args.order}")


@goodwill.policy
def small_vouchers(asked: policy.Asked) -> policy.Answers:
    """Up to 20 goes out by itself; more is shown to a person; above 200 nobody sends one."""
    return policy.amount(asked.arguments.amount, allow="20", refuse="200")
