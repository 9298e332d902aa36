"""The gate that every request passes: what it needs, its key, its rate, its place among the questions."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope

from rag.chain import Chain
from ui.server.errors import Refusal, is_under, path_of, response_to
from ui.server.keys import KeyFile, Scope
from ui.server.limits import Places, Rate
from ui.server.logs import note
from ui.server.settings import ServerSettings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MAX_BODY_S = 30.0  # for a question to arrive
_MAX_UNSENT = 10_000  # parts of one response; an answer has fewer


@dataclass(frozen=True, slots=True)
class Service:
    """An open chain, and what the server allows; without a `host`, as in tests, it counts as this machine's own."""

    chain: Chain
    settings: ServerSettings = field(default_factory=ServerSettings)
    host: str = ""

    @property
    def keys(self) -> KeyFile:
        """The keys of the index."""
        return KeyFile(self.chain.backend.folder)

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
        is_public, is_anonymous = _is_public(self.host, self.settings), self.settings.public_anonymous
        return scope is Scope.ASK and (is_anonymous or not (is_public or self.keys.any_may(Scope.ASK)))


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
    group: str = ""  # whose requests have a share of the places besides each client's
    is_page: bool = False  # a browser may send the key as a password


_FREE = Rule(cost=0)
_ASK, _QUESTION = Rule(Scope.ASK), Rule(Scope.ASK, takes_place=True)
_ADMIN, _INGEST = Rule(Scope.ADMIN), Rule(Scope.INGEST)
# Paths; what reading them needs; what everything else needs. The first that fits holds.
_RULES: tuple[tuple[tuple[str, ...], Rule, Rule], ...] = (
    (("/healthz", "/readyz", "/docs", "/openapi.json"), _FREE, _FREE),
    # The key of a site counts here, and the widget's own routes check it.
    (("/widget", "/widget.js", "/widget.v1.js", "/embed", "/web"), _FREE, Rule(takes_place=True, group="widget")),
    (("/page/ask",), Rule(Scope.ASK, is_page=True), Rule(Scope.ASK, takes_place=True, is_page=True)),
    (("/metrics",), Rule(Scope.ADMIN, cost=0), _ADMIN),
    (("/api/v1/documents",), _ASK, _INGEST),
    (("/gradio_api/upload",), Rule(Scope.INGEST, is_page=True), Rule(Scope.INGEST, is_page=True)),
    (("/api/v1/ask", "/api/v1/search", "/v1", "/mcp"), _ASK, _QUESTION),
    (("/api",), _ASK, _ASK),
)


def rule_for(method: str, path: str) -> Rule:
    """What a request needs; an unknown path needs what the page does."""
    for places, reading, writing in _RULES:
        if is_under(path, places):
            return reading if method in ("GET", "HEAD") else writing
    return Rule(Scope.ASK, cost=float(path.endswith("/queue/join")), is_page=True)


class Gate:
    """Middleware in front of all interfaces; a client that leaves ends its request, wherever that is.

    A place is for computing, not for sending: what a client does not read waits in a queue. A client, and all
    visitors of the widget together, may take half of the places, and half of the room for requests that are open.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        settings = service.settings
        self._app, self._service = app, service
        self._rate = Rate(settings.per_minute)
        self._open = Places(settings.max_concurrent + settings.max_waiting)
        self._places = Places(settings.max_concurrent, settings.max_wait_s)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # no interface uses it, and it would not be checked
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        rule = rule_for(scope["method"], path_of(scope))
        try:
            who = self._check(scope, rule)
            if rule.takes_place:
                await self._in_place(scope, receive, send, (who, rule.group) if rule.group else (who,))
            else:
                await self._app(scope, receive, send)
        except Refusal as refusal:
            await response_to(scope, refusal)(scope, receive, send)

    def _check(self, scope: AsgiScope, rule: Rule) -> str:
        """The client's name, where the request's key and rate allow it; else a `Refusal` is raised."""
        headers = Headers(scope=scope)
        sent = _password(headers, basic=rule.is_page)
        key = self._service.keys.find(sent) if sent else None
        if key is not None:
            note(key=key.name)
        allowed = rule.scope is None or self._service.is_open(rule.scope) or (key is not None and key.may(rule.scope))
        cost = rule.cost if allowed else 1.0  # else keys could be guessed at any speed
        address = client_of(scope)
        who = f"key {key.name}" if key else f"address {address}"
        if cost and (wait_s := self._rate.take(who, cost)):
            fix = "; fix: per_minute under [server] in dragoman.toml" if address in LOOPBACK else ""
            detail = f"too many requests; expected: {self._service.settings.per_minute} a minute{fix}"
            raise Refusal(429, detail, retry_after_s=wait_s)
        if not allowed and key is not None:
            raise Refusal(403, f"this key does not have the scope {rule.scope}")
        if not allowed:
            scheme = 'Basic realm="Dragoman", charset="UTF-8"' if rule.is_page else "Bearer"
            detail = f"a key with the scope {rule.scope} is needed; expected: Authorization: Bearer dk_..."
            raise Refusal(401, detail, headers={"www-authenticate": scheme})
        if rule.is_page and key and _is_cross_site(scope["method"], headers):
            raise Refusal(403, "a page of another site sent this; browsers add the password by themselves")
        return who

    async def _in_place(self, scope: AsgiScope, receive: Receive, send: Send, names: tuple[str, ...]) -> None:
        try:
            # Read before it takes a place: a client that sends slowly must not hold one.
            body = await asyncio.wait_for(Request(scope, receive).body(), _MAX_BODY_S)
        except TimeoutError:
            raise Refusal(408, f"the request did not arrive within {_MAX_BODY_S:.0f} s") from None
        async with self._open.place(*names):
            answering = asyncio.ensure_future(self._answer(scope, _replayed(body), send, names))
            leaving = asyncio.ensure_future(_left(receive))
            try:
                await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if answering.done():
                    answering.result()
            finally:
                leaving.cancel()
                answering.cancel()
                await asyncio.gather(answering, leaving, return_exceptions=True)

    async def _answer(self, scope: AsgiScope, receive: Receive, send: Send, names: tuple[str, ...]) -> None:
        unsent = asyncio.Queue[Message](_MAX_UNSENT)
        sending = asyncio.ensure_future(_send_all(unsent, send))
        try:
            async with self._places.place(*names):
                await self._app(scope, receive, unsent.put)
            await sending
        finally:
            sending.cancel()


async def _send_all(unsent: asyncio.Queue[Message], send: Send) -> None:
    """Send the messages of a response up to the last one."""
    has_more = True
    while has_more:
        message = await unsent.get()
        await send(message)
        has_more = message["type"] != "http.response.body" or message.get("more_body", False)


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


async def _left(receive: Receive) -> None:
    """Come back when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _replayed(body: bytes) -> Receive:
    """What an application receives: the body that was read, then nothing; the gate ends it when the client leaves."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return unread.pop() if unread else await asyncio.Future()

    return receive


def client_of(scope: AsgiScope) -> str:
    """The client's address, as the limits count it: of IPv6 its /64, in which one client has every address."""
    try:
        address = ip_address((scope.get("client") or ("",))[0])
    except ValueError:  # as of a Unix socket
        return ""
    if address.version == 4 or address.is_loopback:
        return str(address)
    return str(address.ipv4_mapped or IPv6Network((address, 64), strict=False))
