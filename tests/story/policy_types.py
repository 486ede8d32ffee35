"""Job types whose policies decide: over what they do outside, and over what they write."""

from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from backlane import App, Receipt, Request, Review, policy
from backlane.policy import Answers, Asked
from tests.story.action_types import World, receipt
from tests.values import Digest, Note


class Credit(BaseModel):
    """What the model proposes: every argument is the model's word."""

    tenant: str
    to: str
    amount: Decimal
    link: str = "https://shop.example.test/terms"


def limits(asked: Asked) -> Answers:
    """The requester's own tenant, a known recipient, a small amount, our own site."""
    args, job = asked.arguments, asked.job
    own = policy.Allow() if args.tenant == job.account else policy.Refuse("this is another tenant's")
    return policy.strictest(
        own,
        policy.recipients(args.to, known=["ana@example.test"]),
        policy.amount(args.amount, allow="100", refuse="1000"),
        policy.domains(args.link, among=["shop.example.test"]),
    )


def looser_limits(asked: Asked) -> Answers:
    """What a later deploy says."""
    return policy.amount(asked.arguments.amount, allow="5000")


def stricter_limits(asked: Asked) -> Answers:
    """What another later deploy says."""
    return policy.amount(asked.arguments.amount, allow="1")


def broken(asked: Asked) -> Any:
    """Not one of these is an answer."""
    kind = asked.arguments.to.partition("@")[0]
    if kind == "raises":
        raise RuntimeError("no word")
    if kind == "exits":
        raise SystemExit(1)
    return {"none": None, "true": True, "text": "allow", "type": policy.Allow, "other": Review()}[kind]


def two_people(asked: Asked) -> Answers:
    """Large ones are for two."""
    return policy.Review("two people look at these", quorum=2)


def words(asked: Asked) -> Answers:
    """What may be written."""
    text = str(asked.output)
    if "forbidden" in text:
        return policy.Refuse("it says a forbidden word")
    return policy.Review("it says a doubtful word") if "doubtful" in text else policy.Allow()


def policed_app(world: World, rule: Any = limits) -> App:
    """The types `credit` (low risk), `credit-later` (undo), `credit-outside`, and others with policies."""
    app = App()
    for name, authority, undo, declared, one in (
        ("credit", "low_risk_write", "0s", {}, rule),
        ("credit-later", "low_risk_write", "1h", {}, rule),
        ("credit-soon", "low_risk_write", "300ms", {}, rule),
        ("credit-outside", "external_effect", "0s", {}, rule),
        ("credit-outside-later", "external_effect", "1h", {}, rule),
        ("credit-drawn", "low_risk_write", "0s", {"sampled": 1.0}, rule),
        ("credit-spared", "low_risk_write", "0s", {"sampled": 1e-12}, rule),
        ("credit-broken", "low_risk_write", "0s", {}, broken),
        ("credit-pair", "external_effect", "0s", {}, two_people),
    ):
        _crediting(app, world, name, authority, undo=undo, declared=declared, rule=one)
    for name, authority, declared in (
        ("policed-note", "read_only", {}),
        ("policed-write", "low_risk_write", {}),
        ("policed-draft", "draft", {}),
        ("trusted-draft", "draft", {"unreviewed_because": "an editor reads the page before it is printed"}),
    ):
        _writing(app, name, authority, declared)
    _remote(app)
    return app


def _crediting(
    app: App, world: World, name: str, authority: str, *, undo: str, declared: dict[str, Any], rule: Any
) -> None:
    @app.job(name, authority=authority, **declared)
    def credit(inputs: Note) -> Request:
        return Request(model="gpt-6-luna", instructions="Help.", input=inputs.text)

    @credit.action(undo=undo, timeout="4s", target="the ledger", unbound=True)
    async def give_credit(args: Credit, *, key: str) -> Receipt:
        """Give somebody credit."""
        world.calls.append(key)
        world.effect(key, f"{args.tenant}/{args.to}/{args.amount}")
        return receipt(args.to)

    credit.policy(rule)


def one_ticket(asked: Asked) -> Answers:
    """A remote tool's call, by its plain arguments."""
    mine = (asked.target, asked.action, asked.arguments) == ("crm", "close_ticket", {"ticket": 7})
    return policy.Allow() if mine else policy.Review("another call")


def _remote(app: App) -> None:
    server = {"type": "mcp", "server_label": "crm", "server_url": "https://mcp.example.test/sse"}

    @app.job("remote-ticket", authority="low_risk_write")
    def remote(inputs: Note) -> Request:
        tools = [{**server, "require_approval": "always"}]
        return Request(model="gpt-6-luna", instructions="Help.", input=inputs.text, tools=tools)

    remote.policy(one_ticket)


def _writing(app: App, name: str, authority: str, declared: dict[str, Any]) -> None:
    @app.job(name, authority=authority, **declared)
    def note(inputs: Note) -> Request:
        return Request(model="gpt-6-luna", instructions="Digest.", input=inputs.text, output=Digest)

    note.policy(over="output")(words)


def only_at_home(asked: Asked) -> Answers:
    """A rule of one workspace: what another one proposes is for a person."""
    at_home = asked.job.workspace_name == "main"
    return policy.Allow() if at_home else policy.Review(f"{asked.job.workspace_name} has no rule of its own")
