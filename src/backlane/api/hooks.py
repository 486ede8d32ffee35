"""The door for the provider's signed events. It answers after the durable store and believes nothing else.

A refused request leaves no trace but a counter: no row, no line in a log.
"""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from backlane.api.context import Guard, context
from backlane.api.reading import read_bytes
from backlane.core.notice import Notice
from backlane.errors import BadSignature, NotFound, TooLarge
from backlane.service.hints import keep_notices

router = APIRouter(prefix="/v1", tags=["provider"])

_BODY_AT_MOST = 64_000
_SECONDS_TO_READ = 10


class Signed(Guard):
    """Lets in what a secret of ours signed, and answers with what it tells.

    Raises NotFound while no account has a secret, BadSignature or TooLarge for anything else.
    """

    async def __call__(self, request: Request) -> list[Notice]:
        """The notices of a genuine event, one for each account whose secret signed it."""
        around = context(request)
        if not around.signatures.is_open:
            raise NotFound()
        try:
            body = await _read(request)
            found = around.signatures.notices(body, dict(request.headers), around.ports.clock.now())
            if not found:
                raise BadSignature("Nothing that this service knows signed these bytes just now.")
        except (BadSignature, TooLarge):
            around.traffic.refused += 1
            raise
        around.traffic.received += 1
        return list(found)


async def _read(request: Request) -> bytes:
    """The bytes as they were sent. Raises BadSignature for ones that could not have been signed so."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise BadSignature("An event is sent without content encoding.")
    try:
        async with asyncio.timeout(_SECONDS_TO_READ):
            return await read_bytes(request, _BODY_AT_MOST)
    except TimeoutError:
        raise BadSignature(f"The body did not come within {_SECONDS_TO_READ} seconds.") from None
    except ClientDisconnect:
        raise BadSignature("The body was not sent whole.") from None


@router.post("/providers/openai/webhooks", status_code=204)
async def post_provider_webhook(
    request: Request, notices: Annotated[list[Notice], Depends(Signed())]
) -> Response:
    """Take in one signed event of the provider. A repeated one, or one about an unknown run, is welcome too."""
    await keep_notices(context(request).ports, notices)
    return Response(status_code=204)
