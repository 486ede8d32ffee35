"""The provider's words that this version knows, exactly: whatever is in no list is new, and kept as it came.

A test compares every list with the official SDK (openai 3.54, types/responses).
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The types of a stream's events.
EVENTS = _words("""
    error response.completed response.created response.failed response.in_progress response.incomplete
    response.queued
    response.audio.delta response.audio.done response.audio.transcript.delta response.audio.transcript.done
    response.code_interpreter_call.completed response.code_interpreter_call.in_progress
    response.code_interpreter_call.interpreting
    response.code_interpreter_call_code.delta response.code_interpreter_call_code.done
    response.compaction.compacting
    response.content_part.added response.content_part.done
    response.custom_tool_call_input.delta response.custom_tool_call_input.done
    response.file_search_call.completed response.file_search_call.in_progress response.file_search_call.searching
    response.function_call_arguments.delta response.function_call_arguments.done
    response.image_generation_call.completed response.image_generation_call.generating
    response.image_generation_call.in_progress response.image_generation_call.partial_image
    response.mcp_call.completed response.mcp_call.failed response.mcp_call.in_progress
    response.mcp_call_arguments.delta response.mcp_call_arguments.done
    response.mcp_list_tools.completed response.mcp_list_tools.failed response.mcp_list_tools.in_progress
    response.output_item.added response.output_item.done
    response.output_text.annotation.added response.output_text.delta response.output_text.done
    response.reasoning_summary_part.added response.reasoning_summary_part.done
    response.reasoning_summary_text.delta response.reasoning_summary_text.done
    response.reasoning_text.delta response.reasoning_text.done
    response.refusal.delta response.refusal.done
    response.shell_call_command.added response.shell_call_command.delta response.shell_call_command.done
    response.shell_call_output_content.delta response.shell_call_output_content.done
    response.web_search_call.completed response.web_search_call.in_progress response.web_search_call.searching
""")

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
