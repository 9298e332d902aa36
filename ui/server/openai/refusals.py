"""Refusals in OpenAI's shape, whoever refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from index.errors import IndexProblem
from rag.errors import AnswerProblem
from ui.server.rules import is_under
from ui.server.sse import code_of, detail_of, log_failure
from ui.server.stopping import ServerStopping

PLACE = "/v1"
_MAX_READ_BYTES = 65_536  # of what another part of the server says
_MAX_SHOWN_CHARS = 500  # of that, where it is no JSON
_CODES = {
    401: "invalid_api_key",
    403: "missing_scope",
    404: "unknown_url",
    405: "method_not_supported",
    413: "request_too_large",
    429: "rate_limit_exceeded",
}


class ErrorDetail(BaseModel):
    """What went wrong, as OpenAI has it."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """A failure."""

    error: ErrorDetail


class Refused(Exception):
    """A request that gets an error in OpenAI's shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers
        kind = "server_error" if status >= 500 else "requests" if status == 429 else "invalid_request_error"
        detail = ErrorDetail(message=message, type=kind, param=param, code=code or _CODES.get(status))
        self.body = ErrorBody(error=detail).model_dump()


class Route(APIRoute):
    """A route that tells every failure in OpenAI's shape."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except ClientDisconnect:
                raise  # there is nobody to tell
            except Exception as error:  # noqa: BLE001 - clients read every failure from this shape
                refused = refusal(error)
                return JSONResponse(refused.body, refused.status, refused.headers)

        return handled


def refusal(error: Exception) -> Refused:
    """The error that tells of `error`, without the request, and of our own faults nothing."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        # Where a value may be of two kinds, the place ends with the name of one.
        place = [part for part in first["loc"][1:] if part != "str" and not str(part).startswith("list[")] or ["body"]
        param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
        return Refused(400, f"{param}: {first['msg']}", param=param, code=first["type"])
    if isinstance(error, HTTPException):
        return Refused(400 if error.status_code == 422 else error.status_code, str(error.detail))
    if isinstance(error, IndexProblem | AnswerProblem):
        status = 503 if isinstance(error, IndexProblem | ServerStopping) else 502
        return Refused(status, detail_of(error), code=code_of(error))
    log_failure(error)
    return Refused(500, detail_of(error), code=code_of(error))


class RefusalsInShape:
    """Puts into OpenAI's shape what other parts of the server refuse below /v1: the gate, limits, unknown paths."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and is_under(get_route_path(scope), (PLACE,)):
            await self._app(scope, receive, _Shaping(scope, receive, send))
        else:
            await self._app(scope, receive, send)


class _Shaping:
    """Sends on what comes, a refusal once it is whole and in shape."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] >= 400:
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")[: _MAX_READ_BYTES - len(self._body)]
            if not message.get("more_body"):
                await self._response(self._start)(self._scope, self._receive, self._send)

    def _response(self, start: Message) -> Response:
        own = {b"content-type", b"content-length"}
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"] if name not in own
        }
        return JSONResponse(_in_shape(start["status"], self._body), start["status"], headers)


def _in_shape(status: int, body: bytes) -> dict[str, Any]:
    """What a refusal says, in OpenAI's shape; as it is where it has that already."""
    try:
        said = json.loads(body)
    except ValueError:
        text = body.decode("utf-8", "replace").strip()[:_MAX_SHOWN_CHARS]
        return Refused(status, text or HTTPStatus(status).phrase).body
    if isinstance(said, dict) and isinstance(said.get("error"), dict):
        return said
    detail = said.get("detail") if isinstance(said, dict) else None
    return Refused(status, detail if isinstance(detail, str) else HTTPStatus(status).phrase).body
