"""The form of the log: one line a record, as text or as JSON, without a question, a key, or a control character."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from ui.server.errors import without_words
from ui.server.settings import ServerSettings

_OWN = ("dragoman", "ui", "eval", "rag", "index", "uvicorn.error")
_IN_MESSAGE = ("method", "route", "status")  # of a request
request_fields: ContextVar[dict[str, Any] | None] = ContextVar("request_fields", default=None)


def log_config(settings: ServerSettings) -> dict[str, Any]:
    """The configuration of `logging` that uvicorn applies in every worker: all records to stderr in one form."""
    formatter = JsonFormatter if settings.log_format == "json" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"own": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "own"}},
        # Other libraries log what they send, which is the question: only their warnings are kept.
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {name: {"level": "INFO"} for name in _OWN},
    }


def note(**fields: Any) -> None:
    """Add fields to the log line of the current request."""
    current = request_fields.get()
    if current is not None:
        current.update(fields)


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: nothing in it can end the line or steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return json.dumps(_values(record), default=str).replace("\x7f", "\\u007f")


class TextFormatter(logging.Formatter):
    """One line for people: time, level, logger, message, and further fields as NAME=VALUE."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        values = _values(record)
        time, level, logger, message = (values.pop(name) for name in ("time", "level", "logger", "message"))
        fields = "".join(f" {name}={value}" for name, value in values.items() if name not in _IN_MESSAGE)
        line = f"{time} {level.upper()} {logger}: {message}{fields}"
        return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in line)


def _values(record: logging.LogRecord) -> dict[str, Any]:
    """What a line has: the record's own fields, else the id of the request that it belongs to."""
    message, error = record.getMessage(), record.exc_info and record.exc_info[1]
    if error:
        # An error's own words may be the client's, and asyncio shows them again in its further lines.
        message = f"{message.partition(chr(10))[0]} {without_words(error)}"
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    of_request = {name: value for name, value in (request_fields.get() or {}).items() if name == "request_id"}
    values = {"time": time, "level": record.levelname.lower(), "logger": record.name, "message": message}
    return values | getattr(record, "fields", of_request)
