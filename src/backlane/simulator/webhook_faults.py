"""What can go wrong with a webhook on its way out: by name, its slot, its meaning and its parameters."""

EARLY, TIME, COPIES, CONTENT = "webhook_early", "webhook_time", "webhook_copies", "webhook_content"
SLOTS = (TIME, COPIES, CONTENT)
_ATTEMPTS = {"attempts": "how many of its first attempts are so; absent: every one"}

WEBHOOK_FAULTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "early_webhook": (EARLY, "the run ends, and is told of, before the create's reply returns", {}),
    "lose_webhook": (TIME, "never sent", {}),
    "delay_webhook": (TIME, "sent late", {"seconds": "default 60"}),
    "endpoint_down": (
        TIME,
        "from its first attempt on nobody answers at the endpoint for a time; tried again as usual",
        {"seconds": "how long, default 600"},
    ),
    "reorder_webhooks": (TIME, "held back until a later one was sent", {}),
    "duplicate_webhook": (COPIES, "sent several times under one id", {"copies": "in all, default 2"}),
    "forge_webhook": (CONTENT, "signed with a wrong secret", _ATTEMPTS),
    "truncate_webhook": (
        CONTENT,
        "half of its body",
        {**_ATTEMPTS, "signed": "true: the half is what was signed (default false)"},
    ),
    "reserialize_webhook": (CONTENT, "the same JSON in other bytes than were signed", _ATTEMPTS),
    "bom_webhook": (
        CONTENT,
        "a byte order mark before its body",
        {**_ATTEMPTS, "signed": "true: signed with the mark (default false)"},
    ),
    "packed_webhook": (
        CONTENT,
        "its body comes packed by gzip; the packed bytes are what was signed",
        _ATTEMPTS,
    ),
    "oversized_webhook": (
        CONTENT,
        "many blanks behind its body, signed with it",
        {**_ATTEMPTS, "kilobytes": "how many, default 1024"},
    ),
    "endless_webhook": (
        CONTENT,
        "in chunks that do not end, only the first of them signed, until the answer or the provider's patience",
        _ATTEMPTS,
    ),
    "stale_webhook": (
        CONTENT,
        "signed with a timestamp of the past",
        {**_ATTEMPTS, "seconds": "how old, default 600; negative: of the future"},
    ),
    "foreign_webhook": (CONTENT, "beside it one that names a response nobody knows", {}),
    "two_signatures": (CONTENT, "a signature of another secret stands before the right one", _ATTEMPTS),
    "bare_signature": (CONTENT, "its signature lacks the `v1,`", _ATTEMPTS),
    "missing_header": (
        CONTENT,
        "lacks a header",
        {**_ATTEMPTS, "header": "webhook-signature (default), webhook-id or webhook-timestamp"},
    ),
}
