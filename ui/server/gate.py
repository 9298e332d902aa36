"""The gate that every request passes: what it needs, its key, its rate, its place among the questions."""

from __future__ import annotations

import asyncio
import base64
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from rag.chain import Chain
from ui.server.errors import Refusal, is_under, path_of, response_to
from ui.server.keys import KeyFile, Scope
from ui.server.logs import note
from ui.server.metrics import Metrics
from ui.server.settings import ServerSettings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MAX_BODY_S = 30.0  # for a question to arrive
_MAX_BUCKETS = 20_000  # clients that are remembered
_FORWARDING = ("x-forwarded-for", "forwarded", "x-real-ip")


@dataclass(frozen=True, slots=True)
class Service:
    """An open chain, and what the server allows; without a `host`, as in tests, it counts as this machine's own."""

    chain: Chain
    settings: ServerSettings = field(default_factory=ServerSettings)
    host: str = ""
    metrics: Metrics = field(default_factory=Metrics)
    keys: KeyFile = field(init=False)

    def __post_init__(self) -> None:
        # Only a test builds a server without an index; it has no keys either.
        folder = self.chain.backend.folder if self.chain is not None else Path("/nonexistent")
        object.__setattr__(self, "keys", KeyFile(folder))

    @property
    def hosts(self) -> list[str]:
        """The names that the server answers to, as Starlette's TrustedHostMiddleware takes them."""
        if self.settings.allowed_hosts:
            return list(self.settings.allowed_hosts)
        if self.host in ("", "::", "0.0.0.0"):  # noqa: S104 - compared, not bound
            return ["*"]
        return [f"[{name}]" if ":" in name else name for name in (self.host, *LOOPBACK)]

    def is_open(self, scope: Scope) -> bool:
        """Whether this needs no key: asking, where everybody may, or on this machine while no key is for asking."""
        if scope is not Scope.ASK:
            return False
        is_public = _is_public(self.host, self.settings)
        return self.settings.public_anonymous or not (is_public or self.keys.any_may(Scope.ASK))


def check_open_to_somebody(settings: ServerSettings, host: str, keys: KeyFile) -> None:
    """See that somebody may ask.

    Raises:
        ValueError: Others can reach the server, and there is no key with the scope ask.
    """
    if _is_public(host, settings) and not settings.public_anonymous and not keys.any_may(Scope.ASK):
        reach = f"{host} is reached from outside" if host not in LOOPBACK else "a proxy lets others in"
        raise ValueError(
            f"{reach}, and there is no key with the scope ask; fix: dragoman key add --name web --scope ask,"
            " or let everyone ask: public_anonymous = true under [server] in dragoman.toml"
        )


def _is_public(host: str, settings: ServerSettings) -> bool:
    """Whether others than this machine's own users reach the server; a proxy in front is there to let them in."""
    return host not in ("", *LOOPBACK) or bool(settings.trusted_proxies)


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


class Gate:
    """Middleware in front of all interfaces; a client that leaves ends its request, wherever that is."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        settings = service.settings
        self._app, self._service = app, service
        self._rate = Rate(settings.per_minute)
        self._places = Places(settings.max_concurrent, settings.max_waiting, settings.max_wait_s)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
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

    def _check(self, scope: AsgiScope, rule: Rule) -> None:
        """Raise a `Refusal` unless the request's key and rate allow it."""
        headers = Headers(scope=scope)
        sent = _password(headers, basic=rule.is_page)
        key = self._service.keys.find(sent) if sent else None
        if key is not None:
            note(key=key.name)
        allowed = rule.scope is None or self._service.is_open(rule.scope) or (key is not None and key.may(rule.scope))
        if rule.scope is Scope.ADMIN and path_of(scope) == "/metrics" and is_this_machine(scope):
            allowed = True
        cost = rule.cost if allowed else 1.0  # else keys could be guessed at any speed
        who = f"key {key.name}" if key else f"address {client_of(scope)}"
        if cost and (wait_s := self._rate.take(who, cost)):
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

    async def _in_place(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
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

    async def _answer(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
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


def is_this_machine(scope: AsgiScope) -> bool:
    """Whether the client is on this machine, with no sign of a proxy between."""
    address = _address(scope)
    has_proxy = any(name in Headers(scope=scope) for name in _FORWARDING)
    return address is not None and address.is_loopback and not has_proxy


def client_of(scope: AsgiScope) -> str:
    """The client's address, as the rate counts it: of IPv6 its /64, in which one client has every address."""
    address = _address(scope)
    return str(IPv6Network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)


def _address(scope: AsgiScope) -> IPv4Address | IPv6Address | None:
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
