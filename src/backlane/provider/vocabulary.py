"""The provider's words that this version knows, exactly: whatever is in no list is new, and kept as it came.

A test compares every list with the official SDK (openai 3.54, types/responses).
"""

from collections.abc import Mapping
from typing import Any


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The fields of a stream's events beside `type` and `sequence_number`, and the types that have them.
_EVENTS = {
    "": """
        response.audio.done response.audio.transcript.done
    """,
    "delta": """
        response.audio.delta response.audio.transcript.delta
    """,
    "response": """
        response.completed response.created response.failed response.in_progress response.incomplete
        response.queued
    """,
    "item output_index": """
        response.output_item.added response.output_item.done
    """,
    "code message param": """
        error
    """,
    "item_id output_index": """
        response.code_interpreter_call.completed response.code_interpreter_call.in_progress
        response.code_interpreter_call.interpreting response.compaction.compacting
        response.file_search_call.completed response.file_search_call.in_progress
        response.file_search_call.searching response.image_generation_call.completed
        response.image_generation_call.generating response.image_generation_call.in_progress
        response.mcp_call.completed response.mcp_call.failed response.mcp_call.in_progress
        response.mcp_list_tools.completed response.mcp_list_tools.failed response.mcp_list_tools.in_progress
        response.web_search_call.completed response.web_search_call.in_progress
        response.web_search_call.searching
    """,
    "code item_id output_index": """
        response.code_interpreter_call_code.done
    """,
    "delta item_id output_index": """
        response.code_interpreter_call_code.delta response.custom_tool_call_input.delta
        response.function_call_arguments.delta response.mcp_call_arguments.delta
    """,
    "input item_id output_index": """
        response.custom_tool_call_input.done
    """,
    "arguments item_id output_index": """
        response.function_call_arguments.done response.mcp_call_arguments.done
    """,
    "command command_index output_index": """
        response.shell_call_command.added response.shell_call_command.done
    """,
    "content_index item_id output_index part": """
        response.content_part.added response.content_part.done
    """,
    "content_index item_id output_index text": """
        response.reasoning_text.done
    """,
    "item_id output_index part summary_index": """
        response.reasoning_summary_part.added
    """,
    "item_id output_index summary_index text": """
        response.reasoning_summary_text.done
    """,
    "command_index delta item_id output_index": """
        response.shell_call_output_content.delta
    """,
    "content_index delta item_id output_index": """
        response.reasoning_text.delta response.refusal.delta
    """,
    "delta item_id output_index summary_index": """
        response.reasoning_summary_text.delta
    """,
    "command_index item_id output output_index": """
        response.shell_call_output_content.done
    """,
    "content_index item_id output_index refusal": """
        response.refusal.done
    """,
    "command_index delta obfuscation output_index": """
        response.shell_call_command.delta
    """,
    "item_id output_index part status summary_index": """
        response.reasoning_summary_part.done
    """,
    "content_index item_id logprobs output_index text": """
        response.output_text.done
    """,
    "content_index delta item_id logprobs output_index": """
        response.output_text.delta
    """,
    "annotation annotation_index content_index item_id output_index": """
        response.output_text.annotation.added
    """,
    "background item_id output_format output_index partial_image_b64 partial_image_index quality size": """
        response.image_generation_call.partial_image
    """,
}
# The fields of each type of a stream's events.
EVENT_FIELDS = {
    kind: _words(f"type sequence_number {fields}")
    for fields, kinds in _EVENTS.items()
    for kind in kinds.split()
}
EVENTS = frozenset(EVENT_FIELDS)

# The fields of output items that are no evidence, by their type.
FIELDS = {
    "additional_tools": _words("id role tools type"),
    "apply_patch_call": _words("call_id caller created_by id operation status type"),
    "apply_patch_call_output": _words("call_id caller created_by id output status type"),
    "compaction": _words("created_by encrypted_content id type"),
    "computer_call": _words("action actions call_id id pending_safety_checks status type"),
    "computer_call_output": _words("acknowledged_safety_checks call_id created_by id output status type"),
    "custom_tool_call": _words("async call_id caller id input name namespace type"),
    "custom_tool_call_output": _words("call_id caller created_by id output status type"),
    "function_call": _words("arguments async call_id caller id name namespace status type"),
    "function_call_output": _words("call_id caller created_by id name namespace output status type"),
    "local_shell_call": _words("action call_id id status type"),
    "local_shell_call_output": _words("id output status type"),
    "mcp_approval_response": _words("approval_request_id approve id reason type"),
    "message": _words("content id phase role status type"),
    "program": _words("call_id code fingerprint id type"),
    "program_output": _words("call_id id result status type"),
    "reasoning": _words("content encrypted_content id status summary type"),
    "tool_search_call": _words("arguments call_id created_by execution id status type"),
    "tool_search_output": _words("call_id created_by execution id status tools type"),
}

# The parts of such items: by the type of what holds them and its field, the fields of each by its type.
PARTS = {
    "message": {
        "content": {
            "output_text": _words("annotations logprobs text type"),
            "refusal": _words("refusal type"),
        },
    },
    "reasoning": {
        "summary": {"summary_text": _words("text type")},
        "content": {"reasoning_text": _words("text type")},
    },
    "output_text": {
        "annotations": {
            "container_file_citation": _words("container_id end_index file_id filename start_index type"),
            "file_citation": _words("file_id filename index type"),
            "file_path": _words("file_id index type"),
            "url_citation": _words("end_index start_index title type url"),
        },
    },
}

# What lies inside fields of a run, as deep as it goes; an empty place is a value, whatever it holds.
_TOKENS: Mapping[str, Any] = {"image_tokens": {}, "text_tokens": {}}
RUN_PARTS: Mapping[str, Mapping[str, Any]] = {
    "error": {
        "code": {},
        "message": {},
        "misalignment": {
            "detailed_explanation": {},
            "error_type": {},
            "review_target": {},
            "steer": {"message": {}},
        },
        "param": {},
        "type": {},
    },
    "incomplete_details": {"reason": {}},
    "reasoning": {"context": {}, "effort": {}, "generate_summary": {}, "mode": {}, "summary": {}},
    "tool_usage": {
        "image_gen": {
            "cached_tokens": {},
            "cached_tokens_details": {"cached_image_tokens": {}, "cached_text_tokens": {}},
            "input_tokens": {},
            "input_tokens_details": _TOKENS,
            "output_tokens": {},
            "output_tokens_details": _TOKENS,
            "total_tokens": {},
        },
        "web_search": {"num_requests": {}},
    },
}
