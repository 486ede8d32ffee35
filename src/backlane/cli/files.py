"""`--file name=path`: the files are uploaded first, then named in the inputs."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from backlane.cli.printing import say
from backlane.errors import ServiceError, SettingsError

if TYPE_CHECKING:
    from backlane.asking import JobHandle
    from backlane.client import Client


def file_paths(pairs: list[str]) -> list[tuple[str, Path]]:
    """Input names and paths. Raises SettingsError for what is no readable file, before anything is sent."""
    found: list[tuple[str, Path]] = []
    for pair in pairs:
        name, equals, given = pair.partition("=")
        if not equals or not name or not given:
            raise SettingsError(f"--file {pair!r}: must be name=path")
        path = Path(given).expanduser()
        if not path.is_file():
            raise SettingsError(f"--file {pair!r}: there is no file at {path}; name one that exists")
        found.append((name, path))
    return found


def submit_with_files(
    client: "Client",
    type_name: str,
    inputs: dict[str, Any],
    files: list[tuple[str, Path]],
    options: dict[str, Any],
) -> "JobHandle":
    """Upload the files, then submit.

    A file joins the list that its input already is; a repeated name is a list. A single one is tried as it is,
    then as a list of one: what is refused is not stored. Of two refusals the one that looked at the file is told.
    """
    singles: list[str] = []
    named: dict[str, list[str]] = {}
    for name, path in files:
        uploaded = client.upload(path)
        say(f"uploaded {path.name} as {uploaded.id} ({uploaded.data['media_type']})")
        named.setdefault(name, []).append(uploaded.id)
    for name, ids in named.items():
        before: Any = inputs.get(name)
        if isinstance(before, list):
            inputs[name] = [*before, *ids]  # pyright: ignore[reportUnknownArgumentType]
        elif len(ids) > 1:
            inputs[name] = ids
        else:
            inputs[name] = ids[0]
            singles.append(name)
    try:
        return client.submit(type_name, inputs, **options)
    except ServiceError as error:
        lists = [name for name in singles if _is_blamed(error, name)]
        if not lists:
            raise
        inputs |= {name: [inputs[name]] for name in lists}
        return _once_more(client, type_name, inputs, options, error, lists)


def _is_blamed(error: ServiceError, place: str) -> bool:
    pointers = [str(one.get("pointer")) for one in error.problem.get("errors", [])]
    return error.code == "invalid-request" and f"/inputs/{place}" in pointers


def _once_more(
    client: "Client",
    type_name: str,
    inputs: dict[str, Any],
    options: dict[str, Any],
    first: ServiceError,
    lists: list[str],
) -> "JobHandle":
    """Submit with lists of one; if that is no better, the first refusal was the true one."""
    try:
        return client.submit(type_name, inputs, **options)
    except ServiceError as error:
        truer = error.code != "invalid-request" or any(_is_blamed(error, f"{name}/0") for name in lists)
        raise (error if truer else first) from None
