"""Keep functions at 50 lines, files at 300 (tests at 400), and no drawer files."""

import ast
import pathlib
import sys

DRAWERS = {"util", "utils", "helper", "helpers", "common", "base", "misc", "manager"}


def faults(path: pathlib.Path) -> list[str]:
    text = path.read_text()
    cap = 400 if path.parts[0] == "tests" else 300
    found: list[str] = []
    if len(text.splitlines()) > cap:
        found.append(f"{path}: {len(text.splitlines())} lines, at most {cap}")
    if path.stem in DRAWERS:
        found.append(f"{path}: name the room by what it holds")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > 50:
                found.append(f"{path}:{node.lineno} {node.name}: {length} lines, at most 50")
            if len(node.args.posonlyargs + node.args.args) > 6:
                found.append(f"{path}:{node.lineno} {node.name}: more than 5 arguments before keyword-only")
    return found


if __name__ == "__main__":
    roots = [pathlib.Path(name) for name in ("src", "tests", "tools", "examples", "benchmarks")]
    lines = [line for root in roots for path in sorted(root.rglob("*.py")) for line in faults(path)]
    print("\n".join(lines) or "sizes: ok")
    sys.exit(bool(lines))
