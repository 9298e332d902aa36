"""The headers that every response carries, also that of a failure and of a mounted face."""

from __future__ import annotations

from starlette._utils import get_route_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# No image, frame or form of the page may reach another host: a hostile document cannot phone home.
_PAGE_POLICY = (
    "default-src 'self' 'unsafe-inline' data: blob:; img-src 'self' data: blob:; connect-src 'self';"
    " object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_DATA = ("/api", "/v1", "/mcp", "/healthz", "/readyz", "/metrics", "/openapi.json")
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    b"cross-origin-opener-policy": b"same-origin",
}


def policy_of(path: str) -> str:
    """The content security policy of what stands at a path."""
    if any(path == place or path.startswith(f"{place}/") for place in _DATA):
        return _DATA_POLICY
    return _DOCS_POLICY if path == "/docs" or path.startswith("/docs/") else _PAGE_POLICY


class SecurityHeaders:
    """Adds the headers that a response does not have: a face may set a stricter or another policy of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        wanted = {b"content-security-policy": policy_of(get_route_path(scope)).encode(), **_HEADERS}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", ()))
                there = {name.lower() for name, _ in own}
                message = {**message, "headers": [*own, *(pair for pair in wanted.items() if pair[0] not in there)]}
            await send(message)

        await self._app(scope, receive, send_with_headers)
