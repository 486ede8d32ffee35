"""Job types of every authority class whose runs leave something of each kind behind, each with a canary in it.

A canary is one rare character, so that even a cut piece of what it marks is found.
"""

from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from backlane import App, Receipt, Request, Review
from tests.values import Note


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
TYPES = {"read": "read_only", "draft": "draft", "low": "low_risk_write", "effect": "external_effect"}
ACTS = ("low", "effect")
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


def _add(app: App, name: str, authority: str, effects: Path) -> None:
    more: dict[str, Any] = {} if authority == "read_only" else {"review": Review(respond_within="4h")}

    # A failed run opens a case by itself, whose words are the failure's.
    @app.job(name, authority=authority, cases={"invalid_prompt": True}, **more)
    def job(inputs: Note) -> Request:
        tools = [INTERPRETER, {"type": "web_search"}]
        return Request(model="gpt-6-luna", instructions="Help.", input=inputs.text, tools=tools)

    @job.tool
    async def look_up(word: str) -> str:
        return marked(Thing.TOOL, word[:16])

    if name in ACTS:

        @job.action(timeout="2s")
        async def pay(args: Payment, *, key: str) -> Receipt:
            with effects.open("a") as file:
                file.write(f"{key}\n")
            return Receipt(system="bank", type="payment", id=marked(Thing.RECEIPT), url=None)
