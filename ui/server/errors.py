"""Failures as JSON: their own message, never a traceback, never the request."""

from __future__ import annotations

import logging
import re
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from index.errors import IndexLocked, IndexProblem
from rag.errors import AnswerProblem
from ui.server.metrics import Metrics
from ui.server.sse import UNKNOWN, detail_of, without_words
from ui.server.stopping import ServerStopping

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
_log = logging.getLogger(__name__)


def add_error_handlers(app: FastAPI) -> None:
    """Have `app` tell failures in this way."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(IndexProblem, _unusable)
    app.add_exception_handler(AnswerProblem, _unanswered)
    app.add_exception_handler(ServerStopping, _stopping)
    app.add_exception_handler(Exception, _unforeseen)


async def _unusable(request: Request, error: Exception) -> JSONResponse:
    """An index that went away or broke under the server: its own message, not a traceback."""
    return JSONResponse({"detail": detail_of(error)}, 409 if isinstance(error, IndexLocked) else 503)


async def _unanswered(request: Request, error: Exception) -> JSONResponse:
    """A model that failed: the message, which names no key."""
    return JSONResponse({"detail": detail_of(error)}, 502)


async def _stopping(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": str(error)}, 503)


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": UNKNOWN}, 500)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """What is wrong with a request, without the request: FastAPI's own answer sends all of it back."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    detail = [
        {"type": item["type"], "loc": [_place(part) for part in item["loc"]], "msg": item["msg"]} for item in found
    ]
    return JSONResponse({"detail": detail[:20]}, 422)


def _place(part: Any) -> str | int:
    """A step to what is wrong. The names of unknown fields are the asker's, and may be anything."""
    return part if isinstance(part, int) or _PLAIN_NAME.fullmatch(part) else "?"


class Observed:
    """Outside of everything: counts each response, and logs what nobody foresaw without a word of the request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 499  # as nginx has it: the client was gone before there was an answer

        async def watching(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watching)
        except ClientDisconnect:
            pass
        except Exception as error:  # noqa: BLE001 - uvicorn would log its message, which may quote the question
            _log.error("%s %s", getattr(scope.get("route"), "path", "?"), without_words(error))
        finally:
            # The route's pattern, never the path: paths are without number.
            route = getattr(scope.get("route"), "path", "") or "other"
            self._metrics.requests.labels(route, str(status)).inc()
