"""The routes below /v1."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from rag.events import Event, Failed, PassagesFound
from ui.server.openai import described
from ui.server.openai.bodies import MODEL, ChatBody, check_model, check_supported, conversation
from ui.server.openai.refusals import PLACE, Refused, Route
from ui.server.openai.reply import Reply
from ui.server.service import Service
from ui.server.sse import KEEP_ALIVE_S, EventStream, close
from ui.server.whole import whole_answer

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def router(service: Service, keep_alive_s: float = KEEP_ALIVE_S) -> APIRouter:
    """The routes of the OpenAI-compatible interface; a stream is not silent for longer than `keep_alive_s`."""
    routes = APIRouter(prefix=PLACE, tags=["openai"], route_class=Route, responses=described.FAILURES)
    chain = service.chain
    card = {"id": MODEL, "object": "model", "created": int(time.time()), "owned_by": MODEL}

    @routes.get("/models", response_model=None, responses=described.MODELS)
    async def models() -> dict[str, Any]:
        """The one model that there is, in the shape of OpenAI's list."""
        return {"object": "list", "data": [card]}

    @routes.get("/models/{model}", response_model=None, responses=described.CARD)
    async def model(model: described.ModelName) -> dict[str, Any]:
        """The model of this name."""
        check_model(model)
        return card

    @routes.post(
        "/chat/completions", response_model=None, responses=described.COMPLETED, openapi_extra=described.COMPLETE
    )
    async def complete(
        request: Request,
        body: ChatBody,
        footer: Annotated[bool, Query(description="Name the sources at the end of the text.")] = False,
    ) -> dict[str, Any] | Response:
        """A cited answer to the last user message, as a chat completion; earlier messages are the conversation.

        Beside OpenAI's own fields there are `citations`, `retrieved`, `warnings` and `abstained`, in a stream in the
        chunk with the `finish_reason`. What the text quotes is never Markdown or HTML; `citations` have it verbatim.
        System messages are taken and have no effect.
        """
        check_supported(body)
        question, history = conversation(body.messages)
        usage = body.stream_options is not None and body.stream_options.include_usage
        reply = Reply(f"chatcmpl-{secrets.token_hex(12)}", int(time.time()), footer or body.dragoman.footer, usage)
        events = chain.astream(question, history, body.dragoman.filter.as_filter())
        if body.stream:
            await _search(events)
            return EventStream(events, reply.frames(), opening=reply.opening(), keep_alive_s=keep_alive_s)
        answer = await whole_answer(events, request)
        return Response(status_code=499) if answer is None else reply.whole(answer)

    _add_the_rest(routes)
    return routes


async def _search(events: AsyncIterator[Event]) -> None:
    """Go on until the passages are found: what fails before a stream has begun still has a status."""
    try:
        async for event in events:
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, PassagesFound):
                return
    except BaseException:
        await close(events)
        raise


def _add_the_rest(routes: APIRouter) -> None:
    """Refuse here what stands below /v1 and is not there: the page takes every path that is left."""
    known = [route for route in routes.routes if isinstance(route, Route)]

    @routes.api_route("/{path:path}", methods=_METHODS, include_in_schema=False)
    async def nothing(request: Request, path: str) -> None:
        """Tells that there is nothing, or what may be done there."""
        there = [route for route in known if route.path_regex.match(f"{PLACE}/{path}")]
        if there:
            allowed = ", ".join(sorted({method for route in there for method in route.methods or ()}))
            raise Refused(405, f"{request.method} is not there; expected: {allowed}", headers={"allow": allowed})
        raise Refused(404, f"there is no {PLACE}/{path[:100]}; expected: {PLACE}/models or {PLACE}/chat/completions")
