"""Every failure as one `Refusal`, and a refusal in the shape of the interface that it answers.

A refusal has an error's own words only where the error is a known problem: other messages may quote the question.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from http import HTTPStatus
from traceback import extract_tb
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import Scope

from index.errors import IndexLocked, IndexProblem
from rag.errors import AnswerProblem

UNKNOWN = "the answer failed here; the server's log says why"
OPENAI = "/v1"  # paths whose errors have OpenAI's shape
_MAX_FAULTS = 5  # of one request that are reported
_PLAIN_NAME = re.compile(r"[\w\[\]-]{1,40}", re.ASCII)
_FOLDERS = re.compile(r"(?<![\w/])(?:/[^/\n:;,()'\"]+)+/(?=[^/\s])")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_log = logging.getLogger(__name__)


class Refusal(HTTPException):
    """A request that is not answered: a status, words for people, a code for programs, the field that is wrong."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str = "",
        param: str | None = None,
        retry_after_s: int = 0,
        headers: dict[str, str] | None = None,
    ) -> None:
        again = {"retry-after": str(retry_after_s)} if retry_after_s else {}
        super().__init__(status, detail, {**again, **(headers or {})})
        self.code, self.param = code or HTTPStatus(status).name.lower(), param

    def json(self) -> dict[str, Any]:
        """The one shape of an error."""
        return {"detail": self.detail, "code": self.code, "param": self.param}

    def openai_json(self) -> dict[str, Any]:
        """The same in OpenAI's shape."""
        kind = "server_error" if self.status_code >= 500 else "invalid_request_error"
        kind = "requests" if self.status_code == 429 else kind
        return {"error": {"message": self.detail, "type": kind, "param": self.param, "code": self.code}}


def refusal_of(error: Exception) -> Refusal:
    """The refusal for any error; an unforeseen error is not described to the client."""
    match error:
        case Refusal():
            return error
        case RequestValidationError():
            return _invalid(error.errors()[:_MAX_FAULTS])
        case HTTPException():
            return Refusal(error.status_code, str(error.detail), headers=dict(error.headers or {}))
        case IndexProblem() | AnswerProblem():
            status = 502 if isinstance(error, AnswerProblem) else 409 if isinstance(error, IndexLocked) else 503
            code = _CAMEL.sub("_", type(error).__name__).lower()
            return Refusal(status, without_folders(str(error)), code=code)
    return Refusal(500, UNKNOWN, code="internal")


def log_unforeseen(error: Exception) -> None:
    """Log an error that is no known problem: where it came from, without its words."""
    if not isinstance(error, Refusal) and refusal_of(error).code == "internal":
        _log.error("%s", without_words(error))


def response_to(scope: Scope, error: Exception) -> JSONResponse:
    """The response that reports `error` in the shape of the interface at the request's path."""
    log_unforeseen(error)
    refusal = refusal_of(error)
    if is_under(path_of(scope), (OPENAI,)):
        status = 400 if refusal.status_code == 422 else refusal.status_code
        return JSONResponse(refusal.openai_json(), status, refusal.headers)
    return JSONResponse(refusal.json(), refusal.status_code, refusal.headers)


async def handle(request: Request, error: Exception) -> JSONResponse:
    """`response_to` as an exception handler of FastAPI."""
    return response_to(request.scope, error)


def without_folders(message: str) -> str:
    """A message that may name files of the server, with their names only."""
    return _FOLDERS.sub("", message)


def without_words(error: BaseException) -> str:
    """A traceback without messages: an error's own text often quotes the question."""
    places = [f"{one.filename}:{one.lineno} in {one.name}" for one in extract_tb(error.__traceback__)]
    return f"{type(error).__name__} at {' < '.join(reversed(places))}"


def _invalid(faults: Sequence[dict[str, Any]]) -> Refusal:
    """The fields that are wrong, without their values; the code and `param` are those of the first."""
    places = [_place(fault["loc"][1:]) for fault in faults]
    detail = "; ".join(f"{place}: {fault['msg']}" for place, fault in zip(places, faults, strict=True))
    return Refusal(422, detail, code=faults[0]["type"], param=places[0])


def _place(loc: Sequence[int | str]) -> str:
    """A field as `history.0.answer`; the name of an unknown field is the client's text, and may be anything."""
    return ".".join(str(part) if _PLAIN_NAME.fullmatch(str(part)) else "?" for part in loc) or "body"


def is_under(path: str, places: Sequence[str]) -> bool:
    """Whether `path` is one of `places`, or stands below one."""
    return any(path == place or path.startswith(f"{place}/") for place in places)


def path_of(scope: Scope) -> str:
    """The path of a request without the prefix under which a proxy serves this server."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and is_under(path, (root,)) else path
