"""What a job's first turn asks of the provider, built anew from its stored inputs."""

import json
from typing import Any

from backlane.errors import InvalidRequest
from backlane.service.ports import Ports
from backlane.service.situate import Held


class CannotBuild(Exception):
    """The job's request cannot be built; `code` says what its job fails as."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


async def build_request(ports: Ports, held: Held) -> dict[str, Any]:
    """The provider's create parameters for the stored inputs. Raises CannotBuild."""
    assert held.type is not None
    raw = await ports.store.read(lambda tx: tx.inputs(held.job.id))
    try:
        inputs = held.type.read_inputs(json.loads(raw))
    except InvalidRequest as error:
        # The message names fields, never their contents.
        raise CannotBuild("type_changed", str(error)) from error
    try:
        return held.type.build(inputs)
    except MemoryError:
        raise  # the worker's trouble, not the request's
    except Exception as error:
        ports.log(f"job {held.job.id}: the job type could not build its request: {type(error).__name__}")
        raise CannotBuild("request_not_built", type(error).__name__) from error
