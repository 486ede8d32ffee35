"""The faults behind the newer doors, by door: streams, tools, files, webhooks. The seed chooses which of them blow."""

import random
from typing import Any

_Fault = dict[str, Any]
DOORS = ("live", "tools", "files", "hooks")
# These are people's, with faults of their own; "plain" leaves every other door shut.
EVERY_DOOR = (*DOORS, "acts", "chats", "changes", "plain")


def _streams(chance: random.Random) -> list[_Fault]:
    """Every fault of a stream, at a place that the seed draws."""
    near = chance.randint(0, 12)
    at = {"at": chance.randint(1, 9), "count": chance.randint(1, 3)}
    return [
        {"fault": "drop_stream", "after": near},
        {"fault": "drop_stream", "after": -1},
        {"fault": "drop_stream", "after": near, "how": "reset"},
        {"fault": "end_stream_early", "after": near},
        {"fault": "half_frame", "after": near},
        {"fault": "stream_error", "after": near},
        {"fault": "stream_error", "after": near, "shape": "nested"},
        {"fault": "stream_error", "accept": False},
        {"fault": "duplicate_events", **at},
        {"fault": "gap_in_events", **at},
        {"fault": "garble_frame", **at},
        {"fault": "silent_stream", "after": near, "seconds": chance.choice([20, 100, 900])},
        {"fault": "restart_at_zero"},
        {"fault": "refuse_stream"},
        {"fault": "refuse_stream", "status": 503},
        {"fault": "expired_cursor"},
        {"fault": "unknown_event", "after": near},
        {"fault": "lose_reply", "call": "stream"},
        {"fault": "cut_reply", "call": "stream"},
        {"fault": "gone", "call": "stream"},
    ]


_TOOLS: list[_Fault] = [
    {"fault": "mcp_failed"},
    {"fault": "mcp_failed", "type": "mcp_tool_execution_error"},
    {"fault": "mcp_failed", "listing": True},
    {"fault": "container_expired"},
    {"fault": "lose_reply", "call": "container_content"},
    {"fault": "garble_reply", "call": "container_content"},
    {"fault": "html_reply", "call": "container_content", "status": 502},
]
_FILES: list[_Fault] = [
    {"fault": "lose_reply", "call": "file_upload"},
    {"fault": "lose_reply", "call": "file_upload", "accept": False},
    {"fault": "cut_reply", "call": "file_upload"},
    {"fault": "garble_reply", "call": "file_upload"},
    {"fault": "server_error", "call": "file_upload"},
    {"fault": "server_error", "call": "file_upload", "accept": True},
    {"fault": "rate_limit", "call": "file_upload", "retry_after": "5"},
    {"fault": "status", "call": "file_upload", "status": 401, "code": "invalid_api_key"},
    {"fault": "status", "call": "file_upload", "status": 403},
    {"fault": "slow", "call": "file_upload", "when": "after", "seconds": 45, "real": True},
    {"fault": "lose_reply", "call": "file_list"},
    {"fault": "garble_reply", "call": "file_list"},
    {"fault": "lose_reply", "call": "file_delete"},
    {"fault": "lose_reply", "call": "file_delete", "accept": False},
    {"fault": "html_reply", "call": "file_delete", "status": 503},
    {"fault": "file_unreadable"},
]
_HOOKS: list[_Fault] = [
    {"fault": "lose_webhook"},
    {"fault": "duplicate_webhook"},
    {"fault": "duplicate_webhook", "copies": 4},
    {"fault": "delay_webhook", "seconds": 90},
    {"fault": "reorder_webhooks"},
    {"fault": "early_webhook"},
    {"fault": "forge_webhook"},
    {"fault": "forge_webhook", "attempts": 2},
    {"fault": "truncate_webhook"},
    {"fault": "truncate_webhook", "signed": True},
    {"fault": "stale_webhook", "attempts": 1},
    {"fault": "foreign_webhook"},
    {"fault": "two_signatures"},
    {"fault": "bare_signature"},
    {"fault": "missing_header"},
    {"fault": "missing_header", "header": "webhook-id", "attempts": 1},
    {"fault": "reserialize_webhook", "attempts": 1},
    {"fault": "bom_webhook"},
    {"fault": "packed_webhook", "attempts": 2},
    {"fault": "endpoint_down", "seconds": 120},
]

_CHANGES: list[_Fault] = [
    {"fault": "slow_down"},
    {"fault": "revoke_key"},
    {"fault": "revoke_key", "account": "forbidden"},
    {"fault": "revoke_key", "account": "quota"},
    {"fault": "late_window", "seconds": 5_000},
    {"fault": "poll_after_ms", "ms": 30_000},
    {"fault": "mcp_failed"},
]


def changing_winds(chance: random.Random) -> list[_Fault]:
    """A few of what turns an account, or hastens and delays: seldom, for an account stays as it was turned."""
    picked = [one for one in _CHANGES if chance.random() < 0.3]
    return [{**one, "rate": chance.uniform(0.01, 0.05), "times": None} for one in picked]


def winds(doors: tuple[str, ...], chance: random.Random) -> list[_Fault]:
    """A random subset of the faults behind these doors, each at a rate of its own."""
    behind = {"live": _streams(chance), "tools": _TOOLS, "files": _FILES, "hooks": _HOOKS}
    # Every door's are drawn, so that opening one changes nothing behind another.
    picked = {
        door: [
            {**one, "rate": chance.uniform(0.1, 0.7), "times": None}
            for one in faults
            if chance.random() < 0.3
        ]
        for door, faults in behind.items()
    }
    return [one for door in DOORS if door in doors for one in picked[door]]
