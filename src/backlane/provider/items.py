"""Output items that are no message: calls, what the provider's own tools did, files, and what a next turn repeats.

Item types and fields: openai 3.54, types/responses/response_output_item.py.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from backlane.core.outcome import Approval, CitedFile, Container, ToolCall
from backlane.provider.reading import as_list, as_mapping, as_second, as_stored, as_text, is_run_id
from backlane.provider.vocabulary import FIELDS, PARTS

Items = Sequence[Mapping[str, Any]]

# Items that wait for an answer nobody here can give.
_UNSERVED = frozenset({"custom_tool_call", "computer_call", "local_shell_call", "apply_patch_call"})
# Without these the provider refuses the answers to them, however long they are.
_NEEDED = frozenset({"function_call", "mcp_approval_request"})
_REPEATED = _NEEDED | {"message", "mcp_list_tools", "mcp_call"}
# Charged by the call or by the minute; the price data knows none of them.
_UNPRICED = {
    "file_search_call": "file search calls",
    "code_interpreter_call": "container time",
    "shell_call": "shell container time",
    "image_generation_call": "image generation",
}
# What only the provider can read, of an item that is kept for something else.
_SEALED = "encrypted_content"
_HOSTED_AT_MOST = 4_000_000
_REPEATED_AT_MOST = 1_000_000


def _kind(item: Mapping[str, Any]) -> str:
    return as_text(item.get("type"), 100) or ""


def unserved(items: Items) -> bool:
    """Whether a call waits for an answer that cannot be given: of another kind, or without an id."""
    kinds = [_kind(item) for item in items]
    if "shell_call" in kinds and "shell_call_output" not in kinds:
        return True  # a shell of ours was meant
    for item, kind in zip(items, kinds, strict=True):
        if kind in _UNSERVED:
            return True
        if kind == "function_call" and not _is_id(item.get("call_id")):
            return True
        if kind == "mcp_approval_request" and not _is_id(item.get("id")):
            return True
    return False


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and as_text(value) == value


def calls_of(items: Items) -> tuple[ToolCall, ...]:
    """The function calls, each id once."""
    found: dict[str, ToolCall] = {}
    for item in items:
        call_id = item.get("call_id")
        if _kind(item) == "function_call" and isinstance(call_id, str) and _is_id(call_id):
            name, arguments = as_text(item.get("name"), 200), as_text(item.get("arguments"))
            found.setdefault(call_id, ToolCall(call_id, name or "", arguments or ""))
    return tuple(found.values())


def approvals_of(items: Items) -> tuple[Approval, ...]:
    """The remote calls that ask to be allowed, each id once."""
    found: dict[str, Approval] = {}
    for item in items:
        asked = item.get("id")
        if _kind(item) == "mcp_approval_request" and isinstance(asked, str) and _is_id(asked):
            server, name = as_text(item.get("server_label"), 200), as_text(item.get("name"), 200)
            arguments = as_text(item.get("arguments")) or ""
            found.setdefault(asked, Approval(asked, server or "", name or "", arguments))
    return tuple(found.values())


def hosted_of(items: Items) -> tuple[dict[str, Any], ...]:
    """What the provider's own tools did, in its words, and items that say what nobody here knows, up to a size.

    What is left out is counted.
    """
    kept: list[dict[str, Any]] = []
    room, left_out = _HOSTED_AT_MOST, 0
    for item in items:
        known = FIELDS.get(_kind(item))
        if not item or (known is not None and not _says_more(item, known)):
            continue
        whole = as_stored(item)
        if known is not None:
            whole.pop(_SEALED, None)
        room -= len(json.dumps(whole, ensure_ascii=False))
        if room < 0:
            left_out += 1
            continue
        kept.append(whole)
    if left_out:
        kept.append({"type": "left_out", "items": left_out})
    return tuple(kept)


def _says_more(thing: Mapping[str, Any], fields: frozenset[str]) -> bool:
    """Whether an item, or a part of one, has a field or holds a part that nobody here knows."""
    if not fields.issuperset(thing):
        return True
    for name, kinds in PARTS.get(_kind(thing), {}).items():
        for part in map(as_mapping, as_list(thing.get(name))):
            known = kinds.get(_kind(part))
            if known is None or _says_more(part, known):
                return True
    return False


def searches_of(items: Items) -> int:
    """How many searches of the web the items show, for when the provider does not count them."""
    actions = (item.get("action") for item in items if _kind(item) == "web_search_call")
    return sum(as_mapping(action).get("type") == "search" for action in actions)


def unpriced_of(items: Items) -> tuple[str, ...]:
    """What was used that costs money beside tokens and web searches, in words."""
    kinds = {_kind(item) for item in items}
    return tuple(word for kind, word in _UNPRICED.items() if kind in kinds)


def cited_files(items: Items) -> tuple[CitedFile, ...]:
    """The container files that the messages cite, each once."""
    found: dict[tuple[str, str], CitedFile] = {}
    for item in items:
        for part in as_list(item.get("content")) if _kind(item) == "message" else ():
            for note in as_list(as_mapping(part).get("annotations")):
                cited = _cited(as_mapping(note))
                if cited is not None:
                    found.setdefault((cited.container_id, cited.file_id), cited)
    return tuple(found.values())


def _cited(note: Mapping[str, Any]) -> CitedFile | None:
    container, file = note.get("container_id"), note.get("file_id")
    if note.get("type") != "container_file_citation" or not (is_run_id(container) and is_run_id(file)):
        return None
    return CitedFile(container, file, as_text(note.get("filename"), 200) or file)


def containers_of(items: Items, body: Mapping[str, Any]) -> tuple[Container, ...]:
    """The containers that a run's code ran in, each once."""
    tools = (as_mapping(one) for one in as_list(body.get("tools")))
    named = {as_text(one.get("container")) for one in tools}
    since = as_second(body.get("created_at"))
    found: dict[str, Container] = {}
    for item in items:
        made = item.get("container_id")
        if _kind(item) == "code_interpreter_call" and is_run_id(made):
            found.setdefault(made, Container(made, since, made in named))
    return tuple(found.values())


def items_of(items: Items) -> tuple[dict[str, Any], ...]:
    """What a conversation sent anew repeats of this run.

    Ids that the provider may have forgotten are left out, and reasoning that it did not hand out sealed.
    Over the size only what must be there is kept.
    """
    kept = [_repeated(item) for item in items if _is_repeated(item)]
    if len(json.dumps(kept, ensure_ascii=False)) > _REPEATED_AT_MOST:
        kept = [item for item in kept if _kind(item) in _NEEDED]
    return tuple(kept)


def _is_repeated(item: Mapping[str, Any]) -> bool:
    sealed = _kind(item) == "reasoning" and isinstance(item.get("encrypted_content"), str)
    return sealed or _kind(item) in _REPEATED


def _repeated(item: Mapping[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = as_stored(item)
    if _kind(item) in ("message", "function_call"):
        whole.pop("id", None)
    return whole
