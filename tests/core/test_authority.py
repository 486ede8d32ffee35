"""Who may write what has power: decisions, reviews, approvals, keys. Read off the code, so that no second way opens.

Nothing that reads what a model, a tool, a file or the provider says is in this table.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import backlane

ROOT = Path(backlane.__file__).parent
# What is written, and the only functions that write it. A new line here needs a reason in its commit.
WRITERS = {
    "insert_decision": {"service/decide.py:_keep"},
    "insert_review": {"service/release.py:open_review"},
    "close_review": {"service/release.py:close_open_review", "service/decide.py:_carry_out"},
    "change_review": {
        "service/hand_on.py:handed_to",
        "service/claim.py:claim",
        "service/claim.py:release_claim",
        "service/edit.py:kept_edit",
        "service/approve_action.py:keep_arguments",
    },
    "insert_action": {"service/propose.py:keep_proposal"},
    "insert_principal": {"service/make_key.py:make_key"},
    "insert_key": {"service/make_key.py:make_key"},
    "revoke_key": {"service/revoke.py:revoke_key"},
    "stop_actions": {"service/control_actions.py:stop_actions"},
    "allow_actions": {"service/control_actions.py:allow_actions"},
    "state approved": {"service/approve_action.py:_approved"},
    "review_state approved": {"service/decide.py:_carry_out", "service/complete.py:release_or_review"},
    "released": {
        "service/release.py:decided_release",
        "service/complete.py:release_or_review",
        # A policy's allow of exactly this output, at a gate that waits for it.
        "service/complete.py:_opened",
    },
    "POLICY": {
        "service/approve_action.py:approve_by_policy",
        "service/approve_action.py:refuse_by_policy",
        "service/approve_action.py:_note",
        "service/complete.py:_opened",
        "service/complete.py:_refused",
        "service/complete.py:_note",
    },
}
# Rooms and files that read what others say; none may even import who decides.
_LISTENERS = (
    "observe",
    "settle",
    "stream",
    "hints",
    "use_tools",
    "keep",
    "keep_evidence",
    "note_calls",
    "late",
    "bring",
)
_DECIDERS = {
    "backlane.service.decide",
    "backlane.service.make_key",
    "backlane.service.keys",
    "backlane.service.revoke",
    "backlane.service.control_actions",
}


def powers(source: str) -> Iterator[tuple[str, str]]:
    """Each use of a power in this source, and the function it stands in."""
    for function in ast.walk(ast.parse(source)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                for power in _power(node):
                    yield power, function.name


def _power(node: ast.AST) -> Iterator[str]:
    called = node.func if isinstance(node, ast.Call) else None
    if isinstance(called, ast.Attribute) and called.attr in WRITERS and ast.unparse(called.value) == "tx":
        yield called.attr
    pairs: list[tuple[str | None, ast.expr]] = []
    if isinstance(node, ast.Call):
        pairs = [(one.arg, one.value) for one in node.keywords]
    elif isinstance(node, ast.Dict):
        pairs = [
            (str(key.value), value)
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant)
        ]
    for name, value in pairs:
        said = ast.unparse(value)
        if name == "actor" and said in ("POLICY", "'policy'"):
            yield "POLICY"
        if name == "released" and said not in ("None",):
            yield "released"
        if name == "state" and said in ("ActionState.APPROVED", "'approved'"):
            yield "state approved"
        if name == "review_state" and said == "'approved'":
            yield "review_state approved"


def found() -> dict[str, set[str]]:
    """Every use of a power in the product."""
    uses: dict[str, set[str]] = {name: set() for name in WRITERS}
    for room in ("service", "engine", "api", "web", "cli", "provider", "outbound"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for power, function in powers(path.read_text()):
                # A nested body counts as the function that holds it.
                uses[power].add(f"{path.relative_to(ROOT)}:{function}")
    for functions in uses.values():
        functions -= {one for one in functions if one.endswith((":body", ":turn"))}
    return uses


@pytest.mark.parametrize("power", sorted(WRITERS))
def test_what_has_power_is_written_in_one_place(power: str) -> None:
    assert found()[power] == WRITERS[power]


def test_who_listens_to_others_cannot_reach_who_decides() -> None:
    for name in _LISTENERS:
        tree = ast.parse((ROOT / "service" / f"{name}.py").read_text())
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not imported & _DECIDERS, name
    for path in (ROOT / "provider").glob("*.py"):
        assert "backlane.service" not in path.read_text(), path.name


@pytest.mark.parametrize(
    "line",
    [
        "tx.insert_decision(row)",
        "tx.move_action(one, [], state=ActionState.APPROVED)",
        "changes = {'state': ActionState.APPROVED}",
        "replace(job, review_state='approved')",
        "replace(job, released='whole')",
        "approve(actor=POLICY)",
    ],
)
def test_a_second_way_is_seen(line: str) -> None:
    assert list(powers(f"def f():\n    {line}\n"))
