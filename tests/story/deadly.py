"""The small app with a type whose check stops its worker, as a bug in native code does."""

import os
from typing import Any

from backlane import App, Request
from tests.story.steer_types import steer_app
from tests.story.tool_types import Ledger, tool_app
from tests.values import Digest, Note, a_request, small_app


def deadly_app() -> App:
    """All the small app's types, one that kills, one that takes 8 GB of address space, and those with tools."""
    app = small_app()

    @app.job("deadly", authority="read_only")
    def deadly(inputs: Note) -> Request:
        return a_request(inputs)

    @deadly.check
    def divide_by_zero_in_c(result: Digest, job: Any) -> None:
        os._exit(11)

    @app.job("hungry", authority="read_only")
    def hungry_type(inputs: Note) -> Request:
        return a_request(inputs)

    @hungry_type.check
    def takes_much_memory(result: Digest, job: Any) -> None:
        bytes(8 << 30)  # asked for, never touched

    @app.job("deadly-tool", authority="read_only")
    def deadly_tool(inputs: Note) -> Request:
        return Request(model="gpt-6-luna", input=inputs.text)

    @deadly_tool.tool
    def die() -> str:
        os._exit(11)

    return steer_app(tool_app(Ledger(), app))


hungry = deadly_app()
