"""The gate that every request passes: its key, its rate, its place among the questions."""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.server.errors import Refusal, response_to
from ui.server.keys import Scope as KeyScope
from ui.server.logs import note
from ui.server.rules import Rule, path_of, rule_for
from ui.server.service import Service

_MAX_BODY_S = 30.0  # for a question to arrive
_MAX_BUCKETS = 20_000  # clients that are remembered
_FORWARDING = ("x-forwarded-for", "forwarded", "x-real-ip")


class Gate:
    """Middleware in front of all interfaces; a client that leaves ends its request, wherever that is."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        settings = service.settings
        self._app, self._service = app, service
        self._rate = Rate(settings.per_minute)
        self._places = Places(settings.max_concurrent, settings.max_waiting, settings.max_wait_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # no interface uses it, and it would not be checked
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        rule = rule_for(scope["method"], path_of(scope))
        try:
            self._check(scope, rule)
            if rule.takes_place:
                await self._in_place(scope, receive, send)
            else:
                await self._app(scope, receive, send)
        except Refusal as refusal:
            await response_to(scope, refusal)(scope, receive, send)

    def _check(self, scope: Scope, rule: Rule) -> None:
        """Raise a `Refusal` unless the request's key and rate allow it."""
        headers = Headers(scope=scope)
        sent = _password(headers, basic=rule.is_page)
        key = self._service.keys.find(sent) if sent else None
        if key is not None:
            note(key=key.name)
        allowed = rule.scope is None or self._service.is_open(rule.scope) or (key is not None and key.may(rule.scope))
        if rule.scope is KeyScope.ADMIN and path_of(scope) == "/metrics" and is_this_machine(scope):
            allowed = True
        cost = rule.cost if allowed else 1.0  # else keys could be guessed at any speed
        wait_s = self._rate.take(f"key {key.name}" if key else f"address {client_of(scope)}", cost) if cost else 0
        if wait_s:
            limit = self._service.settings.per_minute
            raise Refusal(429, f"too many requests; expected: {limit} a minute", retry_after_s=wait_s)
        if not allowed and key is not None:
            raise Refusal(403, f"this key does not have the scope {rule.scope}")
        if not allowed:
            scheme = 'Basic realm="Dragoman", charset="UTF-8"' if rule.is_page else "Bearer"
            detail = f"a key with the scope {rule.scope} is needed; expected: Authorization: Bearer dk_..."
            raise Refusal(401, detail, headers={"www-authenticate": scheme})
        if rule.is_page and key and _is_cross_site(scope["method"], headers):
            raise Refusal(403, "a page of another site sent this; browsers add the password by themselves")

    async def _in_place(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            # Read before it takes a place: a client that sends slowly must not hold one.
            body = await asyncio.wait_for(Request(scope, receive).body(), _MAX_BODY_S)
        except TimeoutError:
            raise Refusal(408, f"the request did not arrive within {_MAX_BODY_S:.0f} s") from None
        leaving = asyncio.ensure_future(_left(receive))
        answering = asyncio.ensure_future(self._answer(scope, _replayed(body, leaving), send))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
        finally:
            leaving.cancel()
            answering.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._places.place():
            await self._app(scope, receive, send)


def _password(headers: Headers, *, basic: bool) -> str:
    """The key that was sent, empty where none was. A browser sends it as a password, to the page only."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if basic and scheme.lower() == "basic":
        with suppress(ValueError):
            return base64.b64decode(value, validate=True).decode("utf-8").partition(":")[2]
    return ""


def _is_cross_site(method: str, headers: Headers) -> bool:
    return method not in ("GET", "HEAD") and headers.get("sec-fetch-site", "same-origin") in ("cross-site", "same-site")


async def _left(receive: Receive) -> Message:
    """The message that the client has left, when it has."""
    while (message := await receive())["type"] != "http.disconnect":
        pass
    return message


def _replayed(body: bytes, leaving: asyncio.Future[Message]) -> Receive:
    """What an application receives: the body that was read, then that the client has left."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        # Shielded, for an application may stop listening and begin again.
        return unread.pop() if unread else await asyncio.shield(leaving)

    return receive


# --- clients, their rates, and the queue ------------------------------------------------------------------------------


def is_this_machine(scope: Scope) -> bool:
    """Whether the client is on this machine, with no sign of a proxy between."""
    address = _address(scope)
    has_proxy = any(name in Headers(scope=scope) for name in _FORWARDING)
    return address is not None and address.is_loopback and not has_proxy


def client_of(scope: Scope) -> str:
    """The client's address, as the rate counts it: of IPv6 its /64, in which one client has every address."""
    address = _address(scope)
    return str(IPv6Network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)


def _address(scope: Scope) -> IPv4Address | IPv6Address | None:
    """None where there is none, as of a Unix socket."""
    try:
        found = ip_address((scope.get("client") or ("",))[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


class Rate:
    """Token buckets by name, each of `per_minute` tokens that come back evenly."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._full, self._per_s, self._clock = float(per_minute), per_minute / 60, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name -> tokens, when; oldest use first

    def take(self, name: str, cost: float = 1.0) -> int:
        """Take from a bucket; 0, or the seconds until it holds enough."""
        now = self._clock()
        tokens, then = self._buckets.pop(name, (self._full, now))
        tokens = min(self._full, tokens + (now - then) * self._per_s)
        enough = tokens >= cost
        self._buckets[name] = (tokens - cost if enough else tokens, now)
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return 0 if enough else max(1, math.ceil((cost - tokens) / self._per_s))


class Places:
    """Room for `n` questions at once and a queue of `n_waiting`, first come, first served; of one event loop."""

    def __init__(self, n: int, n_waiting: int, max_wait_s: float) -> None:
        self._free, self._max_waiting, self._max_wait_s = asyncio.Semaphore(n), n_waiting, max_wait_s
        self._n_waiting = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for the length of the block.

        Raises:
            Refusal: The queue is full, or it took too long.
        """
        busy = Refusal(503, "all places are taken; fix: ask again later", retry_after_s=5)
        if self._free.locked() and self._n_waiting >= self._max_waiting:
            raise busy
        self._n_waiting += 1
        try:
            async with asyncio.timeout(self._max_wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise busy from None
        finally:
            self._n_waiting -= 1
        try:
            yield
        finally:
            self._free.release()
