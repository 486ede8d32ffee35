"""The bare route beside Backlane's submit: the same body model and the same inputs model, and nothing is stored."""

import argparse
import asyncio
import socket

import uvicorn
from examples.jobs import app as declared
from fastapi import FastAPI

from backlane.api.jobs import SubmitBody
from backlane.errors import InvalidRequest

bare = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)


@bare.get("/readyz")
async def readyz() -> dict[str, str]:
    """Whether it answers."""
    return {"status": "ready"}


@bare.post("/v1/jobs", status_code=202)
async def post_job(body: SubmitBody) -> dict[str, str]:
    """Validate what Backlane validates, store nothing."""
    job_type = declared.get(body.type)
    if job_type is None:
        raise InvalidRequest([("/type", "there is no such job type")])
    job_type.read_inputs(body.inputs)
    return {"status": "queued", "type": job_type.name}


def _listen(port: int) -> socket.socket:
    # As the service listens: named as TCP, so that no answer waits for a delayed acknowledgement.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(2048)
    return listening


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    config = uvicorn.Config(bare, log_level="warning", access_log=False, lifespan="off")
    asyncio.run(uvicorn.Server(config).serve(sockets=[_listen(parser.parse_args().port)]))
