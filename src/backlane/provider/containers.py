"""The containers that code ran in, at the provider: what one holds, and the bytes of its files.

Shapes: openai 3.54, types/containers/file_list_response.py.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from backlane.core.outcome import (
    CitedFile,
    ContainerFile,
    FileBytes,
    FileList,
    FileListOutcome,
    FileLost,
    FileOutcome,
    Gone,
    NoList,
    NotSent,
    Refused,
    Unknown,
    When,
)
from backlane.provider.calling import Calls
from backlane.provider.reading import as_list, as_mapping, as_second, as_text, is_run_id
from backlane.provider.replies import Reply, look_refusal, parse

_PAGE = 100
_PAGES_AT_MOST = 10
_GARBLED = Unknown("garbled", "the provider's list of a container's files cannot be read")


class Containers:
    """The container calls of all accounts. `now` gives milliseconds since 1970."""

    def __init__(self, calls: Calls, now: Callable[[], int]) -> None:
        self._calls = calls
        self._now = now

    async def file(self, account: str, file: CitedFile) -> FileOutcome:
        """The bytes of one file."""
        where = f"{_path(file.container_id)}/{quote(file.file_id, safe='')}/content"
        reply = await self._calls.call(account, "GET", where)
        if isinstance(reply, Refused):
            return FileLost("not_copied")
        if not isinstance(reply, Reply):
            return reply
        if reply.truncated:
            return FileLost("file_too_large")
        if reply.ok:
            return FileBytes(reply.body)
        refusal = self._refusal(reply)
        if isinstance(refusal, Unknown):
            return refusal
        return FileLost("container_gone" if isinstance(refusal, Gone) else "not_copied")

    async def files(self, account: str, container_id: str) -> FileListOutcome:
        """What a container holds, the oldest first, page by page."""
        found: dict[str, ContainerFile] = {}
        after: str | None = None
        for _ in range(_PAGES_AT_MOST):
            page = await self._page(account, container_id, after)
            if not isinstance(page, Mapping):
                return page
            if not isinstance(page.get("data"), list):
                return _GARBLED
            rows = as_list(page.get("data"))
            known = len(found)
            for row in map(as_mapping, rows):
                file = _listed(container_id, row)
                if file is not None:
                    found.setdefault(file.file.file_id, file)
                    after = file.file.file_id
            if page.get("has_more", len(rows) >= _PAGE) is not True:
                return FileList(tuple(found.values()))
            if len(found) == known:
                break  # a list that goes on with what it said already would never end
        return FileList(tuple(found.values()), whole=False)

    async def _page(
        self, account: str, container_id: str, after: str | None
    ) -> Mapping[str, Any] | NoList | NotSent | Unknown:
        query = {"order": "asc", "limit": str(_PAGE)} | ({"after": after} if after else {})
        reply = await self._calls.call(account, "GET", f"{_path(container_id)}?{urlencode(query)}")
        if isinstance(reply, Refused):
            return NoList("not_listed")
        if not isinstance(reply, Reply):
            return reply
        if reply.ok:
            return _GARBLED if reply.truncated else as_mapping(parse(reply.body))
        refusal = self._refusal(reply)
        if isinstance(refusal, Unknown):
            return refusal
        return NoList("container_gone" if isinstance(refusal, Gone) else "not_listed")

    def _refusal(self, reply: Reply) -> Gone | Unknown | None:
        """What a reply other than success means; None where another try would not help."""
        refusal = look_refusal(reply, self._now())
        if isinstance(refusal, Refused) and refusal.when is When.LATER:
            return Unknown(refusal.code, refusal.message, refusal.retry_after)
        lasting = isinstance(refusal, Unknown) and reply.status < 500
        return None if lasting or isinstance(refusal, Refused) else refusal


def _path(container_id: str) -> str:
    return f"/containers/{quote(container_id, safe='')}/files"


def _listed(container_id: str, row: Mapping[str, Any]) -> ContainerFile | None:
    """One row of the list; none that names no file."""
    file_id = row.get("id")
    if not is_run_id(file_id):
        return None
    # The end of a path says what it is called.
    name = (as_text(row.get("path")) or "")[-200:]
    file = CitedFile(container_id, file_id, name or file_id)
    return ContainerFile(file, row.get("source") == "user", as_second(row.get("created_at")))
