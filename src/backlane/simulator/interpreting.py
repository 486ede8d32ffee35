"""The code interpreter, simulated: it counts the input's numbers and leaves a table in a container. No code runs."""

import base64
from collections.abc import Mapping
from typing import Any

from backlane.simulator.attached import file_missing
from backlane.simulator.containers import Container, ContainerFile, Containers
from backlane.simulator.conversation import Item, Turn
from backlane.simulator.desk import Desk, Finding, Work
from backlane.simulator.files import Files
from backlane.simulator.marks import mark_of
from backlane.simulator.protocol import wrong
from backlane.simulator.values import as_list, as_object


def interpret(desk: Desk) -> Work:
    """One call, its logs, and the files it wrote, each cited in the answer unless told otherwise."""
    said = as_object(desk.scripted("code_interpreter"))
    numbers = [f"{number:g}" for number in desk.source.numbers[:50]]
    listed = ", ".join(numbers)
    total = f"{sum(desk.source.numbers[:50]):g}"
    code = str(said.get("code", f"numbers = [{listed}]\nwrite_table(numbers)\nprint(sum(numbers))"))
    logs = str(said.get("logs", f"{total}\n"))
    container = Container(str(said.get("container_id") or _container_id(desk)))
    written = [as_object(one) for one in as_list(said.get("files"))]
    if "files" not in said:
        rows = "".join(f"{index},{number}\n" for index, number in enumerate(numbers, 1))
        written = [{"name": "report.csv", "text": f"row,number\n{rows}"}]
    container.files = _given_files(desk) + [_written(one, desk, index) for index, one in enumerate(written)]
    item_id = f"ci_{desk.tail}"
    item: Item = {"id": item_id, "type": "code_interpreter_call", "status": "completed"}
    work = Work([item | {"container_id": container.id, "code": code, "outputs": None}])
    work.hidden[item_id] = {"outputs": [{"type": "logs", "logs": logs}]}
    work.containers.append(container)
    for file in container.files:
        if file.source == "assistant" and file.cited:
            note = {"type": "container_file_citation", "container_id": container.id, "file_id": file.id}
            work.findings.append(Finding(file.filename, {**note, "filename": file.filename}))
    return work


def _container_id(desk: Desk) -> str:
    """The container the request names, or a new one."""
    given: Any = next((tool.get("container") for tool in desk.turn.tools("code_interpreter")), None)
    if isinstance(given, str):
        return given
    return mark_of("cntr", desk.tail)


def check_containers(turn: Turn, containers: Containers, files: Files, now: float, minutes: float) -> None:
    """Raises Refusal for a container that is not there any more, and for files it shall hold that are not there."""
    for index, tool in enumerate(turn.tools("code_interpreter")):
        given: Any = tool.get("container")
        where = f"tools[{index}].container"
        if isinstance(given, str):
            held = containers.find(given, now)
            if held is None:
                raise wrong(where, f"Container with id '{given}' not found.")
            if held.is_expired(now, minutes):
                raise wrong(where, f"Container with id '{given}' is expired.")
        for file_id in as_list(as_object(given).get("file_ids")):
            if files.find(str(file_id), now) is None:
                raise file_missing(str(file_id), f"{where}.file_ids")


def _given_files(desk: Desk) -> list[ContainerFile]:
    """The uploads that the request puts into the container."""
    found: list[ContainerFile] = []
    for tool in desk.turn.tools("code_interpreter"):
        for file_id in as_list(as_object(tool.get("container")).get("file_ids")):
            file = desk.files.find(str(file_id), desk.now)
            if file is not None:
                made = mark_of("cfile", f"{desk.tail}:{file.id}")
                found.append(ContainerFile(made, f"/mnt/data/{file.filename}", file.data, "user"))
    return found


def _written(given: Mapping[str, Any], desk: Desk, index: int) -> ContainerFile:
    name = str(given.get("name", f"file{index}.txt"))
    packed = given.get("base64")
    data = base64.b64decode(packed) if isinstance(packed, str) else str(given.get("text", "")).encode()
    made, cited = mark_of("cfile", f"{desk.tail}:{index}"), given.get("cited") is not False
    return ContainerFile(made, f"/mnt/data/{name}", data, "assistant", cited=cited)
