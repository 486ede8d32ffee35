"""The code interpreter, simulated: it counts the input's numbers and leaves a table in a container. No code runs."""

import base64
from collections.abc import Mapping
from typing import Any

from backlane.simulator.containers import Container, ContainerFile
from backlane.simulator.conversation import Item
from backlane.simulator.desk import Desk, Finding, Work
from backlane.simulator.marks import mark_of
from backlane.simulator.values import as_list, as_object


def interpret(desk: Desk) -> Work:
    """One call, its logs, and the files it wrote, each cited in the answer."""
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
        if file.source == "assistant":
            note = {"type": "container_file_citation", "container_id": container.id, "file_id": file.id}
            work.findings.append(Finding(file.filename, {**note, "filename": file.filename}))
    return work


def _container_id(desk: Desk) -> str:
    """The container the request names, the one the conversation used before, or a new one."""
    given: Any = next((tool.get("container") for tool in desk.turn.tools("code_interpreter")), None)
    if isinstance(given, str):
        return given
    return mark_of("cntr", desk.tail)


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
    return ContainerFile(mark_of("cfile", f"{desk.tail}:{index}"), f"/mnt/data/{name}", data, "assistant")
