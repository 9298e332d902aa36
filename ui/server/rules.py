"""What each request needs, by its method and path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ui.server.keys import Scope


@dataclass(frozen=True, slots=True)
class Rule:
    """What a request needs: a key with a scope, tokens of its sender's rate, a place among the questions."""

    scope: Scope | None = None
    cost: float = 1.0
    takes_place: bool = False
    is_page: bool = False  # a browser's: it may send the key as a password


_OPEN = ("/healthz", "/readyz", "/docs", "/openapi.json")
_SITES = ("/widget", "/embed")  # theirs is the key of a site, which their own routes look at
_PAGE_UPLOAD = "/gradio_api/upload"
_ASKED = ("/api/v1/ask", "/api/v1/search", "/v1", "/mcp")


def rule_for(method: str, path: str) -> Rule:
    """What a request needs; of a path that nobody thought of, what the page does."""
    reads = method in ("GET", "HEAD")
    if is_under(path, _OPEN):
        return Rule(cost=0)
    if is_under(path, _SITES) or (path.startswith("/widget.") and path.endswith(".js")):
        return Rule(cost=0) if reads else Rule(takes_place=True)
    if is_under(path, ("/metrics",)):
        return Rule(Scope.ADMIN, cost=0)
    if is_under(path, ("/api/v1/documents",)):
        return Rule(Scope.ASK if reads else Scope.INGEST)
    if is_under(path, ("/api/v1/feedback",)):
        return Rule(Scope.ADMIN if reads else Scope.ASK)
    if is_under(path, (_PAGE_UPLOAD,)):
        return Rule(Scope.INGEST, is_page=True)
    if is_under(path, _ASKED):
        return Rule(Scope.ASK, takes_place=not reads)
    if is_under(path, ("/api",)):
        return Rule(Scope.ASK)
    # One question on the page is a few of its events.
    return Rule(Scope.ASK, cost=0.25 if path.endswith("/queue/join") else 0, is_page=True)


def is_under(path: str, places: Sequence[str]) -> bool:
    """Whether `path` is one of `places`, or stands below one."""
    return any(path == place or path.startswith(f"{place}/") for place in places)
