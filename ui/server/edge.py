"""The outermost middleware: headers of every response, request ids, times and log lines, and uncaught errors."""

from __future__ import annotations

import logging
import re
import secrets
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.server.errors import Refusal, is_under, path_of, response_to
from ui.server.logs import request_fields
from ui.server.metrics import REQUESTS

DATA = ("/api", "/v1", "/mcp", "/healthz", "/readyz", "/metrics", "/openapi.json")  # paths of programs, not of pages
# No image, frame or form may reach another host: a hostile document cannot send anything out.
_PAGE_POLICY = (
    "default-src 'self' 'unsafe-inline' data: blob:; img-src 'self' data: blob:; connect-src 'self';"
    " object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-cache",  # after an update, browsers ask for every file that has no other rule
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLIENT_LEFT = 499  # as nginx has it: the client left before there was a response
_log = logging.getLogger("dragoman.requests")


class Edge:
    """Adds the security headers, gives each request an id, measures it, logs it, and answers for uncaught errors."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Request(scope, send)
        before = request_fields.set(request.fields)
        try:
            await self._app(scope, receive, request.send)
        except ClientDisconnect:
            pass
        except Exception as error:
            if request.status != _CLIENT_LEFT:  # the response has begun, and uvicorn breaks it off
                raise
            await response_to(scope, error)(scope, receive, request.send)
        finally:
            request.log()
            request_fields.reset(before)


class _Request:
    """One request on its way out."""

    def __init__(self, scope: Scope, send: Send) -> None:
        sent = Headers(scope=scope).get("x-request-id", "")
        self.fields: dict[str, Any] = {"request_id": sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(16)}
        self.status, self._plain, self._n_bytes, self._is_whole = _CLIENT_LEFT, 0, 0, False
        self._scope, self._send, self._started = scope, send, time.perf_counter()
        self._is_data = is_under(path_of(scope), DATA)

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            if self._is_data and message["status"] >= 400 and "text/plain" in headers.get("content-type", ""):
                self._plain = message["status"]  # a library's own refusal; its words come with the next message
                return
            self.status = message["status"]
            message = {**message, "headers": self._with_ours(headers)}
        elif self._plain:
            refusal, self._plain = Refusal(self._plain, message["body"].decode().lower()), 0
            await response_to(self._scope, refusal)(self._scope, _nothing, self.send)
            return
        self._n_bytes += len(message.get("body", b""))
        self._is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    def _with_ours(self, headers: MutableHeaders) -> list[tuple[bytes, bytes]]:
        """A response's headers and ours; it may have stricter ones of its own."""
        policy = _DATA_POLICY if self._is_data else _PAGE_POLICY
        for name, value in {"content-security-policy": policy, **_HEADERS}.items():
            headers.setdefault(name, value)
        headers["x-request-id"] = self.fields["request_id"]
        return headers.raw

    def log(self) -> None:
        """Measure the request, and log it in one line: its route's pattern, never its path, which may hold anything."""
        method, route = self._scope["method"], getattr(self._scope.get("route"), "path", "") or "other"
        seconds = time.perf_counter() - self._started
        REQUESTS.labels(route, str(self.status)).observe(seconds)
        fields = {**self.fields, "method": method, "route": route, "status": self.status}
        fields |= {"duration_ms": round(seconds * 1000, 1), "bytes": self._n_bytes}
        fields |= {} if self._is_whole else {"cut": True}
        level = logging.WARNING if self.status >= 500 else logging.INFO
        _log.log(level, "%s %s %d", method, route, self.status, extra={"fields": fields})
        self.fields.clear()  # work that goes on in this context no longer belongs to this request


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
