"""Every failure as one `Refusal`, and a refusal in the shape of the interface that it answers.

A refusal has an error's own words only where the error is a known problem: other messages may quote the question.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from http import HTTPStatus
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
_OPENAI_CODES = {
    401: "invalid_api_key",
    403: "missing_scope",
    404: "unknown_url",
    413: "request_too_large",
    429: "rate_limit_exceeded",
}
_MAX_FAULTS = 5  # of one request that are reported
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
_FOLDERS = re.compile(r"(?<![\w/])(?:/[^/\n:;,()'\"]+)+/(?=[^/\s])")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_log = logging.getLogger(__name__)


class Refusal(Exception):
    """A request that is not answered: a status, words for people, a code for programs."""

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
        super().__init__(detail)
        self.status, self.detail, self.code, self.param = status, detail, code, param
        self.headers = {**({"retry-after": str(retry_after_s)} if retry_after_s else {}), **(headers or {})}

    def json(self) -> dict[str, Any]:
        """The one shape of an error; `param` is the field that is wrong, where one is."""
        return {"detail": self.detail, "code": self.code or HTTPStatus(self.status).name.lower(), "param": self.param}

    def openai_json(self) -> dict[str, Any]:
        """The same in OpenAI's shape."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        kind = "requests" if self.status == 429 else kind
        code = self.code or _OPENAI_CODES.get(self.status)
        return {"error": {"message": self.detail, "type": kind, "param": self.param, "code": code}}


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
        status = 400 if refusal.status == 422 else refusal.status
        return JSONResponse(refusal.openai_json(), status, refusal.headers)
    return JSONResponse(refusal.json(), refusal.status, refusal.headers)


async def handle(request: Request, error: Exception) -> JSONResponse:
    """`response_to` as an exception handler of FastAPI."""
    return response_to(request.scope, error)


def without_folders(message: str) -> str:
    """A message that may name files of the server, with their names only."""
    return _FOLDERS.sub("", message)


def without_words(error: BaseException) -> str:
    """A traceback without messages: an error's own text often quotes the question."""
    lines, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        lines.append(f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    return f"{type(error).__name__} at " + " < ".join(reversed(lines))


def _invalid(faults: Sequence[dict[str, Any]]) -> Refusal:
    """The fields that are wrong, without their values; the code and `param` are those of the first."""
    places = [_place(fault["loc"][1:]) for fault in faults]
    detail = "; ".join(f"{place}: {fault['msg']}" for place, fault in zip(places, faults, strict=True))
    return Refusal(422, detail, code=faults[0]["type"], param=places[0])


def _place(loc: Sequence[int | str]) -> str:
    # A field that takes several types is followed by the name of one of them.
    parts = [part for part in loc if part != "str" and not str(part).startswith("list")] or ["body"]
    # The name of an unknown field is the client's text too.
    names = (part if isinstance(part, int) or _PLAIN_NAME.fullmatch(part) else "?" for part in parts)
    return "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in names).lstrip(".")


def is_under(path: str, places: Sequence[str]) -> bool:
    """Whether `path` is one of `places`, or stands below one."""
    return any(path == place or path.startswith(f"{place}/") for place in places)


def path_of(scope: Scope) -> str:
    """The path of a request without the prefix under which a proxy serves this server."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and is_under(path, (root,)) else path
