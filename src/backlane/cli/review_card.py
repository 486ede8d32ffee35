"""What a reviewer is shown: the exact bytes behind the hash, whose words they are, cost and time. Nothing is folded."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from backlane.cli.compare import BESIDE, changed
from backlane.cli.visible import exactly, in_line, scripts_in
from backlane.core.address import holds_address
from backlane.errors import ServiceError

if TYPE_CHECKING:
    from backlane.client import Client

# What is decided on stands behind this bar, and nothing else does.
_DECIDED_ON = "│"
_WROTE = {
    "tool_output": "from a tool",
    "json": "from the job type's checks",
    "record": "from an action",
    "file": "from the model",
}
_EVIDENCE = frozenset({"result", "report", "json", "citations", "tool_output", "record"})
_ORIGINS = {"model": "proposed by the model", "mcp": "asked for by a remote tool", "type": "from the result"}


@dataclass(frozen=True, slots=True)
class Piece:
    """One artifact that is decided on, with its bytes."""

    row: Mapping[str, Any]
    content: bytes


@dataclass(frozen=True, slots=True)
class Shown:
    """A review, its job, and every byte that its hash stands for."""

    review: Mapping[str, Any]
    job: Mapping[str, Any]
    payload: bytes = b""
    pieces: Sequence[Piece] = field(default_factory=tuple[Piece, ...])
    evidence: Sequence[Piece] = field(default_factory=tuple[Piece, ...])
    # What was first shown and what an edit made of it; None where nobody edited it.
    edit: tuple[bytes, bytes] | None = None
    inputs: bytes | None = None

    @property
    def hash(self) -> str:
        """The hash of the payload as it was shown."""
        return str(self.review["payload_hash"])

    @property
    def is_text(self) -> bool:
        """Whether the result is text, so that an edit of it is too."""
        return any(one.row["kind"] == "result" and one.row["name"].endswith(".md") for one in self.pieces)

    @property
    def lacks_result(self) -> bool:
        """Whether what was written has another form than its type's, so that only an edit of it is approved."""
        kinds = {one.row["kind"] for one in self.pieces}
        return "partial" in kinds and "result" not in kinds


def read_shown(client: "Client", review: Mapping[str, Any], *, inputs: bool = False) -> Shown:
    """Everything the review shows, with its hashes made anew. Raises ServiceError if they do not fit.

    `inputs` are what was submitted; reading them is a line of the audit log.
    """
    import rfc8785

    job = client.request("GET", f"/v1/jobs/{review['job']}")
    if review["payload"] is None:
        return Shown(review, job)
    payload = rfc8785.dumps(review["payload"])
    if f"sha256:{hashlib.sha256(payload).hexdigest()}" != review["payload_hash"]:
        raise ServiceError(
            "what the service shows does not hash to its payload_hash; decide nothing, tell an operator"
        )
    rows = {row["id"]: row for row in job["artifacts"]}
    pieces: list[Piece] = []
    for one in cast(list[dict[str, str]], review["payload"].get("artifacts", [])):
        content = client.content(one["id"])
        if hashlib.sha256(content).hexdigest() != one["sha256"]:
            raise ServiceError(f"{one['id']} is not what is decided on; decide nothing, tell an operator")
        pieces.append(Piece(rows[one["id"]], content))
    beside = _beside(client, review, job, {str(one.row["id"]) for one in pieces})
    given = _inputs(client, job) if inputs else None
    return Shown(review, job, payload, pieces, beside, _edit(client, review, job, pieces), given)


def _edit(
    client: "Client", review: Mapping[str, Any], job: Mapping[str, Any], pieces: Sequence[Piece]
) -> tuple[bytes, bytes] | None:
    """The arguments, or the result, before and after a reviewer's edit."""
    former, payload = review.get("former_payload"), review["payload"]
    if former is None:
        return None
    if "arguments" in payload:
        return _json(former["arguments"]), _json(payload["arguments"])
    first = {one["id"] for one in former["artifacts"]}
    results = [row["id"] for row in job["artifacts"] if row["id"] in first and row["kind"] == "result"]
    now = [one.content for one in pieces if one.row["kind"] == "result"]
    return (client.content(results[-1]), now[-1]) if results and now else None


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _inputs(client: "Client", job: Mapping[str, Any]) -> bytes:
    given = client.request("GET", f"/v1/jobs/{job['id']}/inputs")
    return json.dumps(given, ensure_ascii=False, indent=2).encode()


def _beside(
    client: "Client", review: Mapping[str, Any], job: Mapping[str, Any], shown: set[str]
) -> list[Piece]:
    """What else the run left, for judging an action by: no part of what is approved, nor of what was sent back."""
    if review["kind"] != "action":
        return []
    rows = [row for row in job["artifacts"] if row["kind"] in _EVIDENCE and not row["sent_back"]]
    return [Piece(row, client.content(row["id"])) for row in rows if row["id"] not in shown]


def card(shown: Shown) -> str:
    """The whole of it, as text. Lines that begin with │ are what is decided on, those with ┊ what stands beside it.

    No text of a model begins another.
    """
    review, job = shown.review, shown.job
    cost, timing = job["cost"], job["timing"]
    amount = "unknown" if cost["settled"] is None else f"{cost['settled']} {cost['currency']}"
    lines = [
        f"{review['id']}  {review['kind']}  {review['state']}{'  (simulated)' if job['simulated'] else ''}",
        f"  job           {job['id']}  {in_line(job['type'])} ({job['authority']}), for {in_line(job['submitted_by'])}",
        f"  summary       {_shown(job['summary'])}",
        f"  hash          {review['payload_hash'] or 'closed to you'}",
        f"  cost          {amount}{', part of it unpriced' if cost['unpriced'] else ''}",
        f"  respond by    {review['respond_by'] or '-'}, useful until {timing['useful_until']}"
        + (f", wanted by {timing['deadline']}" if timing["deadline"] else ""),
        f"  decided by    {review['quorum']} × {review['role']}"
        + ("" if review["separate"] else ", the requester too"),
        f"  policy        {_policy(review)}",
        f"  claim         {_claim(review)}",
        f"  you may       {', '.join(review['allowed']) or 'read it'}",
    ]
    if shown.lacks_result:
        lines.append("  no result     it is approved with --edits and the whole new value, or sent back")
    return "\n".join([*lines, *_history(review), *_body(shown)])


def _policy(review: Mapping[str, Any]) -> str:
    """What the policies answered about what is shown, and why."""
    said = review.get("policy")
    if said is None:
        return "no policy had a say"
    reason = f": {_shown(said['reason'])}" if said["reason"] else ""
    return f"{said['answer']}{reason} ({in_line(said['policy'] or '-')}, version {said['version']})"


def _claim(review: Mapping[str, Any]) -> str:
    claim = review["claim"]
    return f"{in_line(claim['by'])}, until {claim['until']}" if claim else "nobody's"


def _history(review: Mapping[str, Any]) -> Iterator[str]:
    for one in review["decisions"]:
        mark = " with an edit" if one["edited"] else ""
        code = f" ({one['reason_code']})" if one["reason_code"] else ""
        notes = f": {in_line(one['notes'])}" if one["notes"] else ""
        yield f"  {one['at'][:19]}  {in_line(one['by'])} {one['decision']}{mark}{code}, version {one['version']}{notes}"
    for one in review["escalations"]:
        reason = f": {in_line(one['reason'])}" if one["reason"] else ""
        yield f"  {one['at'][:19]}  {in_line(one['by'])} handed it on to {one['to_role']}{reason}"


def _body(shown: Shown) -> Iterator[str]:
    if not shown.payload:
        yield "  what it shows is closed to you"
        return
    payload = shown.review["payload"]
    if "arguments" in payload:
        yield from _action(shown, payload)
    yield from _block("what the hash covers, byte by byte", "", shown.payload)
    for one in shown.pieces:
        yield from _piece(shown, one)
    if shown.edit is not None:
        yield "── what reviewers changed: - as it was first shown, + as it is decided on"
        yield from changed(*shown.edit)
    for one in shown.evidence:
        yield from _piece(shown, one, "evidence, no part of what is decided on: ", BESIDE)
    if shown.inputs is not None:
        yield from _block("what was submitted", " · from the requester", shown.inputs, BESIDE)


def _action(shown: Shown, payload: Mapping[str, Any]) -> Iterator[str]:
    """The action in words, each argument on its line; the canonical bytes follow."""
    mine = [one for one in shown.job["actions"] if one["review"] == shown.review["id"]]
    origin = _ORIGINS.get(mine[0]["origin"], "") if mine else ""
    yield f"── the action: {_shown(payload['type'])} on {_shown(payload['target'])} · {origin}"
    for name, value in cast(dict[str, Any], payload["arguments"]).items():
        yield f"│ {_shown(name)} = {_shown(json.dumps(value, ensure_ascii=False))}"
    remote = bool(mine) and mine[0]["origin"] == "mcp"
    if (payload.get("content") is None or remote) and holds_address(payload["arguments"]):
        # Nothing reads what a remote tool is pointed at; of other actions the type has declared that it is not read.
        yield "  unbound       the address is approved, not what it shows: that may be another by then"


def _shown(text: str) -> str:
    return exactly(text)[0].replace("\n", "⟨U+000A⟩").replace("\t", "⟨U+0009⟩")


def _piece(shown: Shown, piece: Piece, mark: str = "", bar: str = _DECIDED_ON) -> Iterator[str]:
    row = piece.row
    edits = shown.review["payload"].get("edits")
    wrote = (
        "a reviewer's edit"
        if edits and row["kind"] == "result"
        else _WROTE.get(row["kind"], "from the model")
    )
    title = f"{mark}{row['kind']} {_shown(row['name'])} ({row['id']})"
    if not _is_text(row["media_type"]):
        yield f"── {title} · {wrote} · {in_line(row['media_type'])}, {len(piece.content)} bytes, sha256 {row['sha256']}"
        yield f"{bar} no text; look at it with: backlane review … --save FOLDER"
        return
    yield from _block(title, f" · {wrote}", piece.content, bar)


def _is_text(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type.partition(";")[0] in (
        "application/json",
        "application/xml",
    )


def _block(title: str, wrote: str, content: bytes, bar: str = _DECIDED_ON) -> Iterator[str]:
    text = content.decode("utf-8", "surrogateescape")
    told, made = exactly(text)
    hidden = f", {made} hidden or look-alike characters made visible as ⟨…⟩" if made else ""
    scripts = scripts_in(text)
    mixed = f", scripts: {', '.join(scripts)}" if set(scripts) - {"LATIN"} else ""
    yield f"── {title}{wrote} · {len(content)} bytes, {len(text)} characters{hidden}{mixed}"
    yield from (f"{bar} {line}" for line in told.split("\n"))
