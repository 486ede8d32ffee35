"""MCP servers, simulated: the list of tools, approvals asked for and given, calls that work or fail."""

import json
from typing import Any

from backlane.simulator.conversation import Item
from backlane.simulator.desk import Desk, Finding, Work
from backlane.simulator.faults import Fault
from backlane.simulator.values import as_list, as_object


def call_servers(desk: Desk) -> Work:
    """What is listed, asked for and called in this turn."""
    work = _lists(desk)
    answers = [item for item in desk.turn.given if item.get("type") == "mcp_approval_response"]
    if answers:
        for number, answer in enumerate(answers):
            _answer(answer, number, desk, work)
        return work
    for number, call in enumerate(_wanted(desk)):
        if _asks_first(call, desk):
            request = {"id": f"mcpr_{desk.tail}{number}", "type": "mcp_approval_request"}
            named = {key: call[key] for key in ("server_label", "name", "arguments")}
            work.items.append(request | named)
            work.waits = True
        else:
            _call(call, number, None, desk, work)
    return work


def tool_failure(fault: Fault | None) -> dict[str, Any]:
    """How a fault makes the tools of a run fail."""
    if fault is None:
        return {}
    values, message = fault.values, str(fault.values.get("message", "Bad gateway"))
    if values.get("listing"):
        return {"mcp_list_error": message}
    kind = str(values.get("type", "http_error"))
    if kind == "mcp_tool_execution_error":
        return {"mcp_error": {"type": kind, "content": [{"type": "text", "text": message}]}}
    return {"mcp_error": {"type": kind, "code": int(values.get("code", 502)), "message": message}}


def _lists(desk: Desk) -> Work:
    """The tools of each server, once in a conversation."""
    work = Work()
    known = {item.get("server_label") for item in desk.turn.items("mcp_list_tools")}
    for number, tool in enumerate(desk.turn.tools("mcp")):
        label = str(tool.get("server_label"))
        if label in known:
            continue
        item: Item = {"id": f"mcpl_{desk.tail}{number}", "type": "mcp_list_tools", "server_label": label}
        failure = desk.then.get("mcp_list_error")
        if failure:
            work.items.append(item | {"tools": [], "error": str(failure)})
            work.findings.append(Finding(f"The tools of {label} could not be listed: {failure}"))
        else:
            work.items.append(item | {"tools": [_listed(name) for name in tool_names(tool)]})
    return work


def tool_names(tool: Item) -> list[str]:
    """The tools a server offers: those the request allows, or one search."""
    allowed: Any = tool.get("allowed_tools")
    return [str(name) for name in as_list(as_object(allowed).get("tool_names")) or as_list(allowed)] or [
        "search"
    ]


def _listed(name: str) -> Item:
    schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    return {"name": name, "description": f"Simulated {name}", "input_schema": schema, "annotations": None}


def _wanted(desk: Desk) -> list[Item]:
    """The calls of this turn: the script's, or one to each server that was not called before."""
    scripted, servers = desk.scripted("mcp"), desk.turn.tools("mcp")
    if isinstance(scripted, list):
        first = servers[0] if servers else {}
        default = {"server_label": str(first.get("server_label", "server")), "name": tool_names(first)[0]}
        return [_filled({**default, **as_object(call)}, desk) for call in as_list(scripted)]
    if desk.then.get("mcp_list_error"):
        return []
    done = [*desk.turn.items("mcp_call"), *desk.turn.items("mcp_approval_request")]
    labels = {item.get("server_label") for item in done}
    fresh = [tool for tool in servers if tool.get("server_label") not in labels]
    return [
        _filled({"server_label": tool["server_label"], "name": tool_names(tool)[0]}, desk) for tool in fresh
    ]


def _filled(call: Item, desk: Desk) -> Item:
    arguments = call.get("arguments", {"query": desk.topic()})
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {**call, "arguments": written}


def _asks_first(call: Item, desk: Desk) -> bool:
    """Whether a person must approve it: always, unless the request or the script says otherwise."""
    if isinstance(call.get("approval"), bool):
        return call["approval"]
    for tool in desk.turn.tools("mcp"):
        if tool.get("server_label") == call["server_label"]:
            rule: Any = tool.get("require_approval") or "always"
            if isinstance(rule, str):
                return rule != "never"
            never, always = as_object(as_object(rule).get("never")), as_object(as_object(rule).get("always"))
            if call["name"] in as_list(never.get("tool_names")):
                return False
            return bool(never) or call["name"] in as_list(always.get("tool_names"))
    return False


def _answer(answer: Item, number: int, desk: Desk, work: Work) -> None:
    requests = {item.get("id"): item for item in desk.turn.items("mcp_approval_request")}
    request = requests[answer["approval_request_id"]]
    if answer.get("approve") is True:
        _call(request, number, str(request["id"]), desk, work)
        return
    reason = f": {answer['reason']}" if answer.get("reason") else ""
    told = f"The call of {request['name']} on {request['server_label']} was not approved{reason}."
    work.findings.append(Finding(told))


def _call(call: Item, number: int, request_id: str | None, desk: Desk, work: Work) -> None:
    scripted = [as_object(one) for one in as_list(desk.scripted("mcp"))]
    said = scripted[number] if number < len(scripted) else {}
    error, output = said.get("error", desk.then.get("mcp_error")), None
    name, label = str(call["name"]), str(call["server_label"])
    if error is None:
        default = {"found": [one.text for one in desk.source.key_sentences(2)]}
        given: Any = said.get("output", default)
        output = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        work.findings.append(Finding(f"{label} says to {name}: {output}"))
    else:
        told = as_object(error).get("message") or as_object(error).get("content")
        work.findings.append(Finding(f"The tool {name} of {label} failed: {told}"))
    work.items.append(
        {
            "id": f"mcp_{desk.tail}{number}",
            "type": "mcp_call",
            "status": "completed" if error is None else "failed",
            "approval_request_id": request_id,
            "server_label": label,
            "name": name,
            "arguments": str(call["arguments"]),
            "output": output,
            "error": error,
        }
    )
