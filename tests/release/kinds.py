"""Job types of every authority class whose runs leave something of each kind behind, each with a canary in it.

A canary is one rare character, so that even a cut piece of what it marks is found.
"""

from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from backlane import App, Receipt, Request, Review, policy
from backlane.policy import Answers, Asked
from tests.values import Digest, Note


class Thing(StrEnum):
    """What a surface may show of a job, and the canary that marks it."""

    INPUT = "ꀀ"
    TEXT = "ꀁ"
    LIVE = "ꀂ"
    TOOL = "ꀃ"
    CALL = "ꀄ"
    SOURCE = "ꀅ"
    NAME = "ꀆ"
    FILE = "ꀇ"
    CODE = "ꀈ"
    PARTIAL = "ꀉ"
    ACTION = "ꀊ"
    RECEIPT = "ꀋ"
    EDIT = "ꀌ"
    ASIDE = "ꀍ"
    TOLD = "ꀎ"
    PROVIDER = "ꀏ"


class Payment(BaseModel):
    """What an action is given."""

    order: str


# Each type by its authority; `sensitive` is `read` with a sensitive input.
TYPES = {
    "read": "read_only",
    "draft": "draft",
    "low": "low_risk_write",
    "effect": "external_effect",
    # Its answer misses its model; drawn for review, and not; a policy over the output; two reviewers; an undo delay.
    "missed": "read_only",
    "drawn": "draft",
    "spared": "draft",
    "policed": "read_only",
    "pair": "draft",
    "slow": "external_effect",
    # A policy over the output that cannot read what is written beside the last action; a remote tool that acts.
    "beside": "low_risk_write",
    "remote": "external_effect",
}
ACTS = ("low", "effect", "slow", "beside")
_BECAUSE = "a print shop reads them before anybody else does"
_DECLARED: dict[str, dict[str, Any]] = {
    "missed": {"if_invalid": "review"},
    "drawn": {"sampled": 1.0, "unreviewed_because": _BECAUSE},
    "spared": {"sampled": 1e-12, "unreviewed_because": _BECAUSE},
    "pair": {"review": Review(respond_within="4h", quorum=2)},
    "beside": {"finish_after_actions": True},
}
# These review what their draw, their policy or their answer's form says, not everything.
_NOT_ALL = ("drawn", "spared", "beside")
_FORMED = ("missed", "beside")
_REMOTE = {"type": "mcp", "server_label": "crm", "server_url": "https://mcp.example.test/sse"}
INTERPRETER = {"type": "code_interpreter", "container": {"type": "auto"}}


def marked(thing: Thing, words: str = "", length: int = 40) -> str:
    """Text that is full of one canary."""
    return f"{words} {thing * length}".strip()


def canary_app(folder: Path) -> App:
    """The types, and the file that their actions write."""
    app = App()
    for name, authority in TYPES.items():
        _add(app, name, authority, folder / "effects")
    return app


def _words(asked: Asked) -> Answers:
    """What may be written."""
    return policy.Refuse("it says a forbidden word") if "forbidden" in str(asked.output) else policy.Allow()


def _add(app: App, name: str, authority: str, effects: Path) -> None:
    reviewed = authority != "read_only" and name not in _NOT_ALL
    more: dict[str, Any] = {"review": Review(respond_within="4h")} if reviewed else {}
    more |= _DECLARED.get(name, {})

    # A failed run opens a case by itself, whose words are the failure's.
    @app.job(name, authority=authority, cases={"invalid_prompt": True}, **more)
    def job(inputs: Note) -> Request:
        tools = [INTERPRETER, {"type": "web_search"}]
        if name == "remote":
            tools = [{**_REMOTE, "require_approval": "always"}]
        form = {"output": Digest} if name in _FORMED else {}
        return Request(model="gpt-6-luna", instructions="Help.", input=inputs.text, tools=tools, **form)

    if name in ("policed", "beside"):
        job.policy(over="output")(_words)

    if name != "remote":

        @job.tool
        async def look_up(word: str) -> str:
            return marked(Thing.TOOL, word[:16])

    if name in ACTS:

        @job.action(timeout="2s", undo="1h" if name == "slow" else "0s")
        async def pay(args: Payment, *, key: str) -> Receipt:
            with effects.open("a") as file:
                file.write(f"{key}\n")
            return Receipt(system="bank", type="payment", id=marked(Thing.RECEIPT), url=None)
