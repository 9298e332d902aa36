"""What each request needs, by its method and path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import Scope as AsgiScope

from ui.server.keys import Scope


@dataclass(frozen=True, slots=True)
class Rule:
    """What a request needs: a key with a scope, tokens of its client's rate, a place among the questions."""

    scope: Scope | None = None
    cost: float = 1.0
    takes_place: bool = False
    is_page: bool = False  # a browser may send the key as a password


_FREE = Rule(cost=0)
_ASK, _QUESTION = Rule(Scope.ASK), Rule(Scope.ASK, takes_place=True)
_ADMIN, _INGEST = Rule(Scope.ADMIN), Rule(Scope.INGEST)
# Paths; what reading them needs; what everything else needs. The first that fits holds.
_RULES: tuple[tuple[tuple[str, ...], Rule, Rule], ...] = (
    (("/healthz", "/readyz", "/docs", "/openapi.json"), _FREE, _FREE),
    # The key of a site counts here, and the widget's own routes check it.
    (("/widget", "/widget.js", "/widget.v1.js", "/embed"), _FREE, Rule(takes_place=True)),
    (("/metrics",), Rule(Scope.ADMIN, cost=0), _ADMIN),
    (("/api/v1/documents",), _ASK, _INGEST),
    (("/api/v1/feedback",), _ADMIN, _ASK),
    (("/gradio_api/upload",), Rule(Scope.INGEST, is_page=True), Rule(Scope.INGEST, is_page=True)),
    (("/api/v1/ask", "/api/v1/search", "/v1", "/mcp"), _ASK, _QUESTION),
    (("/api",), _ASK, _ASK),
)


def rule_for(method: str, path: str) -> Rule:
    """What a request needs; an unknown path needs what the page does."""
    for places, reading, writing in _RULES:
        if is_under(path, places):
            return reading if method in ("GET", "HEAD") else writing
    # One question on the page is a few of its events.
    return Rule(Scope.ASK, cost=0.25 if path.endswith("/queue/join") else 0, is_page=True)


def is_under(path: str, places: Sequence[str]) -> bool:
    """Whether `path` is one of `places`, or stands below one."""
    return any(path == place or path.startswith(f"{place}/") for place in places)


def path_of(scope: AsgiScope) -> str:
    """The path of a request below the one that a proxy serves it under."""
    path, root = str(scope["path"]), str(scope.get("root_path", "")).rstrip("/")
    return path[len(root) :] if root and is_under(path, (root,)) else path
