"""How replies look and how they go wrong on the wire. What was accepted is decided elsewhere."""

import json
import random
import socket
import struct
from email.utils import formatdate
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from backlane.simulator.faults import Fault
from backlane.simulator.protocol import Refusal
from backlane.simulator.world import World

TRANSPORT = "backlane.transport"
_PARAMS = {"refuse_stream": "stream", "expired_cursor": "starting_after"}
_REFUSING: dict[str, tuple[int, str, str | None, str]] = {
    "rate_limit": (
        429,
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for {model} on requests per min (RPM).",
    ),
    "quota": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "server_error": (
        500,
        "server_error",
        None,
        "The server had an error while processing your request. Sorry about that!",
    ),
    "overloaded": (
        503,
        "service_unavailable_error",
        "server_is_overloaded",
        "The engine is currently overloaded, please try again later",
    ),
    "slow_down": (503, "rate_limit_error", "slow_down", "Slow down."),
    "flex_unavailable": (429, "invalid_request_error", "resource_unavailable", "Resource Unavailable"),
    "status": (400, "invalid_request_error", None, "No."),
    "refuse_stream": (
        400,
        "invalid_request_error",
        "invalid_value",
        "This response can no longer be streamed because it is more than 5 minutes old",
    ),
    "expired_cursor": (
        400,
        "invalid_request_error",
        "invalid_value",
        "The cursor of this stream has expired.",
    ),
    "gone": (404, "invalid_request_error", None, "Response with id '{run_id}' not found."),
    "cancel_404": (404, "invalid_request_error", None, "Response with id '{run_id}' not found."),
    "cancel_409": (
        409,
        "invalid_request_error",
        "conflict",
        "The resource is being modified by another request. Please retry.",
    ),
}


class _Escaped(JSONResponse):
    """JSON in ASCII, as the provider sends it: so a lone surrogate of a model's can be sent too."""

    def render(self, content: Any) -> bytes:
        """The bytes."""
        return json.dumps(content, separators=(",", ":")).encode()


def takes_effect(fault: Fault | None) -> bool:
    """Whether the call is carried out although this fault meets its reply."""
    if fault is None:
        return True
    if fault.name in ("lose_create_reply", "lose_reply"):
        return bool(fault.values.get("accept", True))
    if fault.name == "stream_error":
        return bool(fault.values.get("accept", True))
    if fault.name == "html_reply":
        return bool(fault.values.get("accept", int(fault.values.get("status", 200)) < 500))
    if fault.name in _REFUSING:
        return bool(fault.values.get("accept", False))
    return fault.name != "cancel_lost"


def loses_reply(fault: Fault | None) -> bool:
    """Whether the caller gets no reply at all."""
    return fault is not None and fault.name in ("lose_create_reply", "lose_reply", "cancel_lost")


def refusal_by(fault: Fault | None, world: World, *, model: str, run_id: str) -> Refusal | None:
    """The error this fault answers with, if it answers with one."""
    if fault is None or fault.name not in _REFUSING:
        return None
    status, kind, code, message = _REFUSING[fault.name]
    values, headers = fault.values, dict[str, str]()
    if fault.name == "rate_limit":
        if "retry_after" in values:
            headers["retry-after"] = str(values["retry_after"])
            if values["retry_after"] == "http-date":
                headers["retry-after"] = formatdate(
                    world.now() + float(values.get("seconds", 20)), usegmt=True
                )
        if "retry_after_ms" in values:
            headers["retry-after-ms"] = str(values["retry_after_ms"])
        waits = str(values.get("retry_after", ""))
        headers["x-ratelimit-remaining-requests"] = "0"
        # The real headers agree with each other: the limit resets when the pause that was asked for ends.
        headers["x-ratelimit-reset-requests"] = f"{waits}s" if waits.isdigit() and waits != "0" else "1s"
    headers |= {str(key).lower(): str(value) for key, value in dict(values.get("headers", {})).items()}
    if fault.name == "gone" and not run_id.startswith("resp_"):
        message = "No such object: {run_id}"
    refusal = Refusal(
        int(values.get("status", status)),
        str(values.get("message", message.format(model=model, run_id=run_id))),
        code=values.get("code", code),
        kind=str(values.get("type", kind)),
        param=values.get("param", _PARAMS.get(fault.name)),
        headers=headers,
    )
    refusal.body = values.get("body", refusal.body)
    return refusal


def limit_headers(world: World) -> dict[str, str]:
    """The account's limits as the last minute of creates leaves them."""
    switches, recent = world.switches, recent_creates(world)
    used = sum(int(line.get("tokens", 0)) for line in recent)
    oldest = min((float(line["at"]) for line in recent), default=world.now() - 60)
    reset = max(0, round((oldest + 60 - world.now()) * 1000))
    return {
        "x-ratelimit-limit-requests": str(switches.requests_per_minute),
        "x-ratelimit-remaining-requests": str(max(0, switches.requests_per_minute - len(recent))),
        "x-ratelimit-reset-requests": f"{reset}ms",
        "x-ratelimit-limit-tokens": str(switches.tokens_per_minute),
        "x-ratelimit-remaining-tokens": str(max(0, switches.tokens_per_minute - used)),
        "x-ratelimit-reset-tokens": f"{reset}ms",
        "x-ratelimit-limit-project-tokens": str(switches.project_tokens_per_minute),
        "x-ratelimit-remaining-project-tokens": str(max(0, switches.project_tokens_per_minute - used)),
        "x-ratelimit-reset-project-tokens": f"{reset}ms",
    }


def recent_creates(world: World) -> list[dict[str, Any]]:
    """The creates of the last minute."""
    recent: list[dict[str, Any]] = []
    for line in reversed(world.log):
        if float(line["at"]) <= world.now() - 60:
            break
        if line["call"] == "create":
            recent.append(line)
    return recent


def reply_headers(world: World, line: dict[str, Any]) -> dict[str, str]:
    """What every reply of the provider carries."""
    return {
        "date": formatdate(world.now(), usegmt=True),
        "x-request-id": str(line["request_id"]),
        "openai-processing-ms": str(random.Random(f"{world.seed}:{line['n']}:ms").randrange(8, 90)),
        "openai-version": "2020-10-01",
        "openai-organization": "simulated",
        **limit_headers(world),
    }


def written(
    world: World, line: dict[str, Any], body: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A reply as the provider sends it."""
    told = reply_headers(world, line) | (headers or {})
    if isinstance(body, bytes):
        return Response(body, status, told, media_type="application/octet-stream")
    if isinstance(body, str):
        return Response(body, status, told, media_type="text/html")
    return _Escaped(body, status, told)


def spoiled(fault: Fault, response: Response) -> Response:
    """The same reply, spoiled on its way."""
    if fault.name == "cut_reply":
        return CutReply(response)
    if fault.name == "html_reply":
        page = "<html><head><title>Error</title></head><body><h1>Bad gateway</h1></body></html>"
        return Response(page, int(fault.values.get("status", 200)), media_type="text/html")
    whole = bytes(response.body).decode("utf-8", "replace")
    return Response(whole[: len(whole) * 2 // 3] + "!", 200, media_type="application/json")


class LostReply(Response):
    """No reply: the connection closes, or is reset."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self._reset = fault.values.get("how") == "reset"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Close, and let the server notice before it can answer in our place."""
        transport = scope.get(TRANSPORT)
        if transport is None:
            raise ConnectionAbortedError("the simulator lost this reply")
        if self._reset:
            _reset_on_close(transport)
        transport.abort()
        await _noticed(receive)


class CutReply(Response):
    """Headers and half of a body, then nothing more."""

    def __init__(self, whole: Response) -> None:
        super().__init__()
        self._whole = whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the half, close, and wait until the server has noticed."""
        body, transport = bytes(self._whole.body), scope.get(TRANSPORT)
        start = {"type": "http.response.start", "status": self._whole.status_code}
        await send({**start, "headers": self._whole.raw_headers})
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        if transport is None:
            raise ConnectionAbortedError("the simulator cut this reply")
        transport.close()
        await _noticed(receive)


def hang_up(scope: Scope, *, reset: bool) -> None:
    """Close or reset a connection on which something was sent; what was sent still arrives unless it is reset.

    Raises ConnectionAbortedError where there is no connection, only a caller.
    """
    transport = scope.get(TRANSPORT)
    if transport is None:
        raise ConnectionAbortedError("the simulator cut this stream")
    if reset:
        _reset_on_close(transport)
        transport.abort()
    else:
        transport.close()


def _reset_on_close(transport: Any) -> None:
    held = transport.get_extra_info("socket")
    held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _noticed(receive: Receive) -> None:
    """Until the server knows the connection is gone; it would answer in our place otherwise."""
    while (await receive())["type"] != "http.disconnect":
        pass
