"""The log: a line a request, as text or as JSON, without a question, a key, or a control character."""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.server.settings import ServerSettings
from ui.server.sse import without_words
from ui.server.stopping import Running

QUESTIONS = "dragoman.questions"
_OWN = ("dragoman", "ui", "eval", "rag", "index")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_IN_MESSAGE = ("method", "route", "status")  # of a request
_request: ContextVar[dict[str, Any] | None] = ContextVar("request", default=None)
_log = logging.getLogger("dragoman.requests")


def configure(settings: ServerSettings) -> None:
    """Have all that this process logs come to stderr in the form that the settings name."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    level = settings.log_level.upper()
    # Others' libraries log what they send, which is the question: of them only what is wrong.
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, logging.getLevelName(level)), force=True)
    logging.captureWarnings(True)
    for name in _OWN:
        logging.getLogger(name).setLevel(level)
    logging.getLogger(QUESTIONS).setLevel(logging.INFO if settings.log_questions else logging.WARNING)


def note(**fields: Any) -> None:
    """Say more of the request that is being answered here; it stands in the line that tells of it."""
    told = _request.get()
    if told is not None:
        told.update(fields)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: nothing in it can end the line or steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told = {
            "time": _time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message_of(record),
            **_fields_of(record),
        }
        return json.dumps(told, ensure_ascii=True, default=str).replace("\x7f", "\\u007f")


class TextFormatter(logging.Formatter):
    """One line for people: time, level, logger, message, and what else is known as NAME=VALUE."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told = {name: value for name, value in _fields_of(record).items() if name not in _IN_MESSAGE}
        fields = "".join(f" {name}={value}" for name, value in told.items())
        line = f"{_time_of(record)} {record.levelname} {record.name}: {_message_of(record)}{fields}"
        return "".join(char if char.isprintable() else _escaped(char) for char in line)


def _time_of(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message_of(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    if error is None:
        return record.getMessage()
    # An error's own words may be the asker's, and asyncio shows them again in its further lines.
    return f"{record.getMessage().partition(chr(10))[0]} {without_words(error)}"


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    own: dict[str, Any] | None = getattr(record, "fields", None)
    if own is not None:
        return own
    told = _request.get()
    return {"request_id": told["request_id"]} if told and "request_id" in told else {}


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


class RequestLog:
    """Outside of everything: gives each request an id, and tells of it in one line when it has ended."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute], running: Running) -> None:
        self._app, self._running = app, running
        self._patterns = list(_patterns(routes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _id_of(scope)
        told: dict[str, Any] = {"request_id": request_id}
        before = _request.set(told)
        status, n_bytes, is_whole = 499, 0, False

        async def watching(message: Message) -> None:
            nonlocal status, n_bytes, is_whole
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"x-request-id"]
                message = {**message, "headers": [*own, (b"x-request-id", request_id.encode("ascii"))]}
            elif message["type"] == "http.response.body":
                n_bytes += len(message.get("body", b""))
                is_whole = not message.get("more_body", False)
            await send(message)

        # What only reads may have no end, as the page's own connection: nobody waits for that.
        reads = scope["method"] in ("GET", "HEAD", "OPTIONS")
        try:
            with nullcontext() if reads else self._running.one():
                await self._app(scope, receive, watching)
        finally:
            route = self._route_of(scope)
            fields = {
                **told,
                "method": scope["method"],
                "route": route,
                "status": status,
                "duration_ms": round((time.perf_counter() - started) * 1000, 1),
                "bytes": n_bytes,
                **({} if is_whole else {"cut": True}),
            }
            level = logging.WARNING if status >= 500 else logging.INFO
            _log.log(level, "%s %s %d", scope["method"], route, status, extra={"fields": fields})
            told.clear()  # work that goes on in this context is no longer of this request
            _request.reset(before)

    def _route_of(self, scope: Scope) -> str:
        """The pattern of the request's path, never the path: that may hold anything."""
        if "route" in scope:
            return getattr(scope["route"], "path", "") or "other"
        path = get_route_path(scope)  # it was turned away before it was routed
        return next((pattern for regex, pattern in self._patterns if regex.match(path)), "other")


def _id_of(scope: Scope) -> str:
    """The id that the request came with, where it is one; else a new one."""
    sent = Headers(scope=scope).get("x-request-id", "")
    return sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(16)


def _patterns(routes: Iterable[BaseRoute]) -> Iterator[tuple[re.Pattern[str], str]]:
    for route in routes:
        within = getattr(route, "original_router", None)  # of what FastAPI has included
        if within is not None:
            yield from _patterns(within.routes)
        elif path := getattr(route, "path", ""):
            yield getattr(route, "path_regex", re.compile(re.escape(path))), path
