"""Files at the provider: uploading one, finding one whose reply was lost, deleting one. One call is one request."""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode

from backlane.core.outcome import Gone, NotSent, Refused, Unknown
from backlane.core.provider_file import DeleteOutcome, FileUpload, FindOutcome, Missing, Stored, UploadOutcome
from backlane.provider.calling import Calls, Form
from backlane.provider.replies import Reply, create_refusal, look_refusal, parse

PURPOSE = "user_data"
_FILE_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
_PAGE = 1_000
_PAGES_AT_MOST = 50
# A clock of ours that runs ahead must not hide a file from the search.
_CLOCKS_DIFFER = 3_600_000
_GARBLED = Unknown("garbled", "the provider's reply names no file")


class ProviderFiles:
    """The file calls of all accounts. `now` gives milliseconds since 1970."""

    def __init__(self, calls: Calls, now: Callable[[], int]) -> None:
        self._calls = calls
        self._now = now

    async def upload(self, upload: FileUpload) -> UploadOutcome:
        """Upload a file, once."""
        fields = {
            "purpose": PURPOSE,
            "expires_after": {"anchor": "created_at", "seconds": upload.lifetime},
        }
        form = Form(fields, upload.filename, upload.content, upload.media_type, upload.timeout / 1000)
        reply = await self._calls.call(upload.account, "POST", "/files", form)
        if not isinstance(reply, Reply):
            return reply
        if not reply.ok:
            return create_refusal(reply, self._now())
        return _stored(parse(reply.body)) or _GARBLED

    async def find(self, account: str, filename: str, since: int) -> FindOutcome:
        """The file of this name among those made since then (milliseconds), the newest first."""
        after: str | None = None
        for _ in range(_PAGES_AT_MOST):
            query = {"purpose": PURPOSE, "order": "desc", "limit": str(_PAGE)}
            query |= {"after": after} if after else {}
            reply = await self._calls.call(account, "GET", f"/files?{urlencode(query)}")
            if not isinstance(reply, Reply):
                return reply
            if not reply.ok:
                return _refused(reply, self._now())
            page = parse(reply.body)
            rows = _rows(page)
            if rows is None or reply.truncated:
                return Unknown("garbled", "the provider's list of files cannot be read")
            for row in rows:
                if row.get("filename") == filename:
                    return _stored(row) or _GARBLED
            after = _next(page, rows, since)
            if after is None:
                return Missing()
        return Unknown("too_many_files", "the provider lists too many files to find one")

    async def delete(self, account: str, file_id: str) -> DeleteOutcome:
        """Delete a file; one that is not there is deleted too."""
        reply = await self._calls.call(account, "DELETE", f"/files/{quote(file_id, safe='')}")
        if not isinstance(reply, Reply):
            return reply
        if reply.ok:
            return Missing()
        outcome = look_refusal(reply, self._now())
        return Missing() if isinstance(outcome, Gone) else outcome


def _stored(found: Any) -> Stored | None:
    """The file a reply tells of."""
    if not isinstance(found, Mapping):
        return None
    row = cast(Mapping[str, Any], found)
    file_id, expires = row.get("id"), row.get("expires_at")
    if not isinstance(file_id, str) or not _FILE_ID.fullmatch(file_id):
        return None
    known = expires if type(expires) is int and 0 < expires < 10**11 else None
    return Stored(file_id, None if known is None else known * 1000)


def _rows(page: Any) -> list[Mapping[str, Any]] | None:
    data: Any = cast(Mapping[str, Any], page).get("data") if isinstance(page, Mapping) else None
    if not isinstance(data, list):
        return None
    return [cast(Mapping[str, Any], row) for row in cast(list[Any], data) if isinstance(row, Mapping)]


def _next(page: Mapping[str, Any], rows: list[Mapping[str, Any]], since: int) -> str | None:
    """After which file the list goes on, if older ones may still be the one that is looked for."""
    if not rows or page.get("has_more") is False:
        return None
    made, last = rows[-1].get("created_at"), rows[-1].get("id")
    if isinstance(made, int | float) and made * 1000 < since - _CLOCKS_DIFFER:
        return None
    return last if isinstance(last, str) else None


def _refused(reply: Reply, now: int) -> Refused | NotSent | Unknown:
    outcome = look_refusal(reply, now)
    return Unknown("http_404", outcome.message) if isinstance(outcome, Gone) else outcome
