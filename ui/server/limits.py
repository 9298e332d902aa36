"""Who may ask, and how often: addresses, rates, places for questions, and the gate that every request passes."""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from starlette._utils import get_route_path
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ui.server.keys import Scope as KeyScope

if TYPE_CHECKING:
    from ui.server.service import Service

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_FORWARDING = ("x-forwarded-for", "forwarded", "x-real-ip")
_MAX_BUCKETS = 20_000  # of whom it is remembered how often they asked
_MAX_BODY_S = 30.0  # for a question to arrive
_MAX_WAIT_S = 30.0  # for a place; who waited that long is told to come again

Address = IPv4Address | IPv6Address


class Busy(Exception):
    """There is no place for a question, and none to wait in."""


class Rate:
    """Token buckets by name, each of `per_minute` tokens that come back evenly."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._full, self._per_s, self._clock = float(per_minute), per_minute / 60, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # name -> tokens, when; oldest use first

    def take(self, name: str, cost: float = 1.0) -> int:
        """Take from a bucket; 0, or the seconds until there is enough in it."""
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

    def __init__(self, n: int, n_waiting: int, max_wait_s: float = _MAX_WAIT_S) -> None:
        self._free, self._n_waiting, self._max_wait_s = n, n_waiting, max_wait_s
        self._queue: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place for the length of the block.

        Raises:
            Busy: The queue is full, or it took too long.
        """
        await self._enter()
        try:
            yield
        finally:
            self._leave()

    async def _enter(self) -> None:
        if self._free:
            self._free -= 1
            return
        if len(self._queue) >= self._n_waiting:
            raise Busy
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            async with asyncio.timeout(self._max_wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._leave()  # it was given a place in the same moment, and will not use it
            elif turn in self._queue:
                self._queue.remove(turn)
            if isinstance(error, TimeoutError):
                raise Busy from error
            raise

    def _leave(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class Addresses:
    """Tells whose address a request comes from; what it says itself is believed of trusted proxies only."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted = [ip_network(one, strict=False) for one in trusted_proxies]

    def of(self, scope: Scope) -> str:
        """The address of the client; empty where there is none, as of a Unix socket."""
        peer = (scope.get("client") or ("",))[0]
        address = _address(peer)
        if address is None or not self._is_trusted(address):
            return str(peer)
        # The last proxy appends whom it saw: read from the right, the first that is no proxy of ours is the client.
        named = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        for name in reversed(named):
            hop = _address(name.strip())
            if hop is None:
                break
            address = hop
            if not self._is_trusted(hop):
                break
        return str(address)

    def is_this_machine(self, scope: Scope) -> bool:
        """Whether the client is on this machine, with no sign of a proxy between."""
        address = _address(self.of(scope))
        if address is None or not address.is_loopback:
            return False
        headers = Headers(scope=scope)
        return not any(name in headers for name in _FORWARDING)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def group_of(address: str) -> str:
    """What one client holds of addresses: of IPv6 a /64, of which it may take any."""
    found = _address(address)
    return str(IPv6Network((found, 64), strict=False)) if isinstance(found, IPv6Address) else address


def _address(text: str) -> Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


@dataclass(frozen=True, slots=True)
class Rule:
    """What a request needs: a key with a scope, tokens of its sender's rate, a place among the questions."""

    scope: KeyScope | None = None
    cost: float = 1.0
    takes_place: bool = False
    is_page: bool = False  # a browser's: it may send the key as a password


_OPEN = ("/healthz", "/readyz", "/docs", "/openapi.json")
_SITES = ("/widget", "/embed")  # theirs is the key of a site, which their own routes look at
_ASKED = ("/api/v1/ask", "/api/v1/search", "/v1", "/mcp")


def rule_for(method: str, path: str) -> Rule:
    """What a request needs; of a path that nobody thought of, what the page does."""
    reads = method in ("GET", "HEAD")
    if _is_under(path, _OPEN):
        return Rule(cost=0)
    if _is_under(path, _SITES) or (path.startswith("/widget.") and path.endswith(".js")):
        return Rule(cost=0) if reads else Rule(takes_place=True)
    if _is_under(path, ("/metrics",)):
        return Rule(KeyScope.ADMIN, cost=0)
    if _is_under(path, ("/api/v1/documents",)):
        return Rule(KeyScope.ASK if reads else KeyScope.INGEST)
    if _is_under(path, ("/api/v1/feedback",)):
        return Rule(KeyScope.ADMIN if reads else KeyScope.ASK)
    if _is_under(path, _ASKED):
        return Rule(KeyScope.ASK, takes_place=not reads)
    if _is_under(path, ("/api",)):
        return Rule(KeyScope.ASK)
    # One question on the page is a few of its events.
    return Rule(KeyScope.ASK, cost=0.25 if path.endswith("/queue/join") else 0, is_page=True)


def _is_under(path: str, places: Sequence[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


class Gate:
    """Lets a request through to every face alike: its host, its key, its rate, its place among the questions."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        settings = service.settings
        self._app, self._service = app, service
        self._hosts = settings.allowed_hosts or _hosts_of(service.host)
        self._rate = Rate(settings.per_minute)
        self._places = Places(settings.max_concurrent, settings.max_waiting)
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
        messages: Iterator[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replay() -> Message:
            return next(messages, None) or await receive()

        try:
            async with self._places.place():
                await self._app(scope, replay, send)
        except Busy:
            await told(503, "all places are taken; to mend: come again", 5)(scope, receive, send)


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
