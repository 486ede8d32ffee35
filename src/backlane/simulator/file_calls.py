"""The calls on files and containers: uploads, lists, downloads, deletes. What files are is told elsewhere."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from backlane.simulator.calls import serve_object
from backlane.simulator.containers import Container, file_of, shown, shown_file
from backlane.simulator.faults import Fault
from backlane.simulator.files import StoredFile, made_file
from backlane.simulator.multipart import read_form
from backlane.simulator.pages import page
from backlane.simulator.protocol import Refusal
from backlane.simulator.runs import mark
from backlane.simulator.world import World

_Line = dict[str, Any]
_PURPOSES_KEPT = ("assistants", "user_data", "vision")


def add_file_routes(app: FastAPI, world: World) -> None:
    """The routes under /v1/files and /v1/containers."""
    _add_files(app, world)
    _add_containers(app, world)


def _add_files(app: FastAPI, world: World) -> None:
    async def upload(request: Request) -> Response:
        body = await request.body()
        return await serve_object(
            world, request, "file_upload", lambda line, _: _upload(world, request, body, line), _told(body)
        )

    async def listed(request: Request) -> Response:
        def act(_: _Line, __: Fault | None) -> Any:
            purpose = request.query_params.get("purpose")
            alive = [one for one in world.files if one.is_alive(world.now())]
            rows = [one.shown() for one in alive if purpose in (None, one.purpose)]
            return page(rows, request.query_params, 10_000, 10_000)

        return await serve_object(world, request, "file_list", act)

    async def retrieve(request: Request) -> Response:
        return await serve_object(world, request, "file_retrieve", lambda line, _: _file(world, line).shown())

    async def content(request: Request) -> Response:
        def act(line: _Line, _: Fault | None) -> Any:
            file = _file(world, line)
            if file.purpose in _PURPOSES_KEPT and not world.switches.download_inputs:
                raise Refusal(400, f"Not allowed to download files of purpose: {file.purpose}")
            return file.data

        return await serve_object(world, request, "file_content", act)

    async def delete(request: Request) -> Response:
        def act(line: _Line, _: Fault | None) -> Any:
            file = _file(world, line)
            file.deleted = True
            return {"id": file.id, "object": "file", "deleted": True}

        return await serve_object(world, request, "file_delete", act)

    app.add_route("/v1/files", upload, methods=["POST"])
    app.add_route("/v1/files", listed, methods=["GET"])
    app.add_route("/v1/files/{object_id}", retrieve, methods=["GET"])
    app.add_route("/v1/files/{object_id}", delete, methods=["DELETE"])
    app.add_route("/v1/files/{object_id}/content", content, methods=["GET"])


def _told(body: bytes) -> str:
    """The beginning of an upload as text, for faults that wait for one file."""
    return body[:20_000].decode("utf-8", "replace")


def _upload(world: World, request: Request, body: bytes, line: _Line) -> Any:
    form = read_form(request.headers.get("content-type", ""), body)
    file_id = mark(world.seed, len(world.files) + 1, "file").replace("_", "-")
    file = made_file(form, file_id, world.now(), world.switches.file_bytes)
    world.files.add(file)
    line |= {"object_id": file.id, "sha256": file.sha256, "bytes": len(file.data), "purpose": file.purpose}
    line["filename"] = file.filename
    return file.shown()


def _file(world: World, line: _Line) -> StoredFile:
    file = world.files.get(str(line["object_id"]), world.now())
    line["sha256"] = file.sha256
    return file


def _add_containers(app: FastAPI, world: World) -> None:
    def route(path: str, call: str, show: Callable[[Container, Request], Any]) -> None:
        async def serve(request: Request) -> Response:
            def act(line: _Line, fault: Fault | None) -> Any:
                container = _used(world, str(line["object_id"]), fault)
                return show(container, request)

            return await serve_object(world, request, call, act)

        app.add_route(f"/v1/containers/{{object_id}}{path}", serve, methods=["GET"])

    def files(container: Container, request: Request) -> Any:
        rows = [shown_file(container, file) for file in container.files]
        return page(rows, request.query_params, 100, 20)

    def file(container: Container, request: Request) -> Any:
        return shown_file(container, file_of(container, request.path_params["file_id"]))

    def content(container: Container, request: Request) -> Any:
        found = file_of(container, request.path_params["file_id"])
        if container.is_expired(world.now(), world.switches.container_minutes):
            raise Refusal(404, "Container is expired.")
        return found.data

    def whole(container: Container, _: Request) -> Any:
        return shown(container, world.now(), world.switches.container_minutes)

    route("", "container_retrieve", whole)
    route("/files", "container_files", files)
    route("/files/{file_id}", "container_file", file)
    route("/files/{file_id}/content", "container_content", content)


def _used(world: World, container_id: str, fault: Fault | None) -> Container:
    """A container; being looked at keeps it alive, unless it expired."""
    now, minutes = world.now(), world.switches.container_minutes
    container = world.containers.get(container_id, now)
    if fault is not None and fault.name == "container_expired":
        container.gone = True
    if world.switches.container_looks_count and not container.is_expired(now, minutes):
        container.used_at = max(container.used_at, now)
    return container
