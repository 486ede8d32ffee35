"""Taking records away: the audit log, a line each, its chain checked on the way."""

from typing import Any

import cyclopts

from backlane.cli.jobs import client_here
from backlane.cli.printing import put_line, say

app = cyclopts.App(name="export", help="Take records away, so that others can check them.")


@app.command
def audit() -> int:
    """Print the whole audit log as JSON lines and check its chain: backlane export audit > audit.jsonl"""
    count, head, broken = 0, "", None
    cursor: str | None = None
    with client_here() as client:
        while True:
            query = {"export": "true", "limit": "200", **({"cursor": cursor} if cursor else {})}
            page: dict[str, Any] = client.request("GET", "/v1/audit", query=query)
            for line in page["data"]:
                put_line(line)
                broken = broken or (None if follows(head, line) else line["seq"])
                count, head = count + 1, line["chain"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
    if broken is not None:
        say(
            f"the chain breaks at line {broken}: something was changed or taken out; see 'backlane doctor --verify'"
        )
        return 1
    say(f"{count} lines, the chain is whole; its head is {head}")
    return 0


def follows(head: str, line: dict[str, Any]) -> bool:
    """Whether a line's chain is the one its former line's head (empty for the first) leads to."""
    from datetime import datetime

    from backlane.store.chain import GENESIS, canonical, link

    at = round(datetime.fromisoformat(line["at"]).timestamp() * 1000)
    parts = (line["seq"], at, line["actor"], line["action"], line["subject"], canonical(line["data"]))
    return link(head or GENESIS, *parts) == line["chain"]
