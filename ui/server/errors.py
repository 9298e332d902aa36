"""Failures as JSON: their own message, never a traceback, never the request."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from index.errors import IndexProblem


def add_error_handlers(app: FastAPI) -> None:
    """Have `app` tell failures in this way."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(IndexProblem, _unusable)


async def _unusable(request: Request, error: Exception) -> JSONResponse:
    """An index that went away or broke under the server: its own message, not a traceback."""
    return JSONResponse({"detail": str(error)}, 503)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """What is wrong with a request, without the request: FastAPI's own answer sends all of it back."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    detail = [{name: item[name] for name in ("type", "loc", "msg")} for item in found]
    return JSONResponse({"detail": detail}, 422)
