"""The gate that every request passes: its host, its key, its rate, its place among the questions."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.server.addresses import LOOPBACK, Addresses, group_of
from ui.server.keys import Scope as KeyScope
from ui.server.limits import Busy, Gone, Places, Rate
from ui.server.logs import note
from ui.server.rules import Rule, rule_for

if TYPE_CHECKING:
    from ui.server.service import Service

_MAX_BODY_S = 30.0  # for a question to arrive


class Gate:
    """Lets a request through to every face alike."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        settings = service.settings
        self._app, self._service = app, service
        self._hosts = settings.allowed_hosts or _hosts_of(service.host)
        self._rate = Rate(settings.per_minute)
        self._places = Places(settings.max_concurrent, settings.max_waiting, settings.max_wait_s)
        self._addresses = Addresses(settings.trusted_proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # no face speaks it, and it would pass by all of this
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] != "http":
            await self._app(scope, receive, send)
        else:
            rule = rule_for(scope["method"], get_route_path(scope))
            refusal = self._refusal(scope, rule)
            if refusal is not None:
                await refusal(scope, receive, send)
            elif rule.takes_place:
                await self._in_place(scope, receive, send)
            else:
                await self._app(scope, receive, send)

    def _refusal(self, scope: Scope, rule: Rule) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if not _is_host(headers.get("host", ""), self._hosts):
            return told(421, "this server does not answer to that host name; to mend: allowed_hosts in dragoman.toml")
        sent = _password(headers, basic=rule.is_page)
        key = self._service.keys.find(sent) if sent else None
        if key is not None:
            note(key=key.name)
        allowed = rule.scope is None or self._service.is_open(rule.scope) or (key is not None and key.may(rule.scope))
        if rule.scope is KeyScope.ADMIN and self._is_own_scraper(scope):
            allowed = True
        cost = rule.cost if allowed else 1.0  # keys are not to be guessed at leisure
        who = f"key {key.name}" if key else f"address {group_of(self._addresses.of(scope))}"
        wait_s = self._rate.take(who, cost) if cost else 0
        if wait_s:
            return told(429, f"too many requests; expected: {self._service.settings.per_minute} a minute", wait_s)
        if not allowed:
            return _not_allowed(rule, known=key is not None)
        if rule.is_page and key and _is_from_elsewhere(scope["method"], headers):
            return told(403, "a page of another site sent this; browsers add the password by themselves")
        return None

    def _is_own_scraper(self, scope: Scope) -> bool:
        return get_route_path(scope) == "/metrics" and self._addresses.is_this_machine(scope)

    async def _in_place(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            # Read before it takes a place: who sends slowly must not hold one.
            body = await asyncio.wait_for(_body(receive), _MAX_BODY_S)
        except TimeoutError:
            await told(408, f"the request did not arrive within {_MAX_BODY_S:.0f} s")(scope, receive, send)
            return
        if body is None:
            return  # the client went away
        leaving = asyncio.ensure_future(_left(receive))
        try:
            async with self._places.place(leaving):
                await self._app(scope, _replayed(body, leaving), send)
        except Busy:
            await told(503, "all places are taken; to mend: come again", 5)(scope, receive, send)
        except Gone:
            return
        finally:
            leaving.cancel()


def told(status: int, detail: str, retry_after_s: int = 0, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A refusal as JSON."""
    retry = {"retry-after": str(retry_after_s)} if retry_after_s else {}
    return JSONResponse({"detail": detail}, status, {**retry, **(headers or {})})


def _not_allowed(rule: Rule, *, known: bool) -> JSONResponse:
    if known:
        return told(403, f"this key has not the scope {rule.scope}")
    scheme = 'Basic realm="Dragoman", charset="UTF-8"' if rule.is_page else "Bearer"
    detail = f"a key with the scope {rule.scope} is needed; expected: Authorization: Bearer dk_..."
    return told(401, detail, headers={"www-authenticate": scheme})


def _password(headers: Headers, *, basic: bool) -> str:
    """The key that was sent, empty where none was. A browser sends it as a password, to the page alone."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if basic and scheme.lower() == "basic":
        with suppress(ValueError):
            return base64.b64decode(value, validate=True).decode("utf-8").partition(":")[2]
    return ""


def _is_from_elsewhere(method: str, headers: Headers) -> bool:
    return method not in ("GET", "HEAD") and headers.get("sec-fetch-site", "same-origin") in ("cross-site", "same-site")


def _hosts_of(host: str) -> tuple[str, ...]:
    """The names of a server that listens on `host`; empty, which is all, where that says nothing of them."""
    if host in ("", "::", "0.0.0.0"):  # noqa: S104 - what to expect of such a bind, not one
        return ()
    return tuple(dict.fromkeys((host, *LOOPBACK)))


def _is_host(sent: str, allowed: Sequence[str]) -> bool:
    """Whether a Host header names one of `allowed`, where `*.name` takes every name below `name`."""
    name = sent.rpartition("]")[0].removeprefix("[") if sent.startswith("[") else sent.partition(":")[0]
    name = name.lower().removesuffix(".")
    return not allowed or any(
        one in ("*", name) or (one.startswith("*.") and name.endswith(one[1:])) for one in map(str.lower, allowed)
    )


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where the client went away."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _left(receive: Receive) -> Message:
    """That the client has gone, when it has."""
    while (message := await receive())["type"] != "http.disconnect":
        pass
    return message


def _replayed(body: bytes, leaving: asyncio.Future[Message]) -> Receive:
    """What an application receives: the body that was read, and then that the client has gone."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        # Shielded, for an application may stop listening and begin again.
        return unread.pop() if unread else await asyncio.shield(leaving)

    return receive
