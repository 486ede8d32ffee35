"""Job types as a caller may see them: what they take and give, what they may do, and what controls them."""

from typing import Any

from backlane.core.policy import Over
from backlane.core.ports import JobType
from backlane.errors import NotFound
from backlane.service.ports import Ports


def type_view(job_type: JobType) -> dict[str, Any]:
    """A job type of the public contract."""
    return {
        "name": job_type.name,
        "object": "job_type",
        "version": job_type.version,
        "description": job_type.description,
        "authority": job_type.authority,
        "lanes": list(job_type.lanes),
        "inputs": job_type.input_schema(),
        "output": job_type.output_schema(),
        "controls": _controls(job_type),
    }


def _controls(job_type: JobType) -> dict[str, Any]:
    """What stands between its runs and the world."""
    within = job_type.respond_within
    return {
        "review": {
            "role": job_type.review_role,
            "quorum": job_type.review_quorum,
            "separate": job_type.review_separate,
            "respond_within_seconds": None if within is None else within / 1000,
        },
        "sampled": job_type.sampled,
        "unreviewed_because": job_type.unreviewed_because,
        "policy": {str(over): _policy(job_type, over) for over in Over},
    }


def _policy(job_type: JobType, over: Over) -> dict[str, Any] | None:
    version = job_type.rules.version(over)
    return None if version is None else {"version": version, "policies": list(job_type.rules.names(over))}


def list_types(ports: Ports) -> list[dict[str, Any]]:
    """Every job type that is loaded here, by name."""
    found = [ports.types.get(name) for name in ports.types.names()]
    return [type_view(one) for one in found if one is not None]


def read_type(ports: Ports, name: str) -> dict[str, Any]:
    """One job type. Raises NotFound."""
    found = ports.types.get(name)
    if found is None:
        raise NotFound
    return type_view(found)
