"""A few jobs to look at on the first day, from the examples a job type's inputs carry."""

from typing import Any

from backlane.errors import BacklaneError
from backlane.service.access import Caller
from backlane.service.ports import Ports
from backlane.service.submit import Submission, submit


async def seed_jobs(ports: Ports, caller: Caller) -> int:
    """Submit the first declared example of each job type once; how many were accepted."""
    count = 0
    for name in ports.types.names():
        job_type = ports.types.get(name)
        examples: list[Any] = job_type.input_schema().get("examples", []) if job_type else []
        for example in examples[:1]:
            submission = Submission(type=name, inputs=example)
            try:
                _, new = await submit(ports, caller, submission, key=f"seed-{name}", body_hash="seed")
            except BacklaneError as error:
                ports.log(f"example of {name} was not taken: {error}")
            else:
                count += new
    return count
