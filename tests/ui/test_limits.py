"""Rates, places, and clients that send or read slowly."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from rag.answerers.base import Task
from rag.answerers.extractive import ExtractiveAnswerer
from rag.events import Event
from tests.ui.browser import served
from tests.ui.running import indexed, wait_until, with_key
from tests.ui.running import served as serving
from ui.server.errors import Refusal
from ui.server.gate import client_of
from ui.server.keys import KeyFile, Scope
from ui.server.limits import Places, Rate
from ui.server.settings import ServerSettings, Site

ASK = {"question": "How many cranes has the harbour?"}
JSON = {"Content-Type": "application/json"}
LIMIT_S = 60  # that only a hang reaches


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return indexed(tmp_path_factory.mktemp("limits"), {"harbour.txt": "The harbour has seven cranes."})


# --- rates ----------------------------------------------------------------------------------------------------


def test_a_bucket_gives_what_it_holds_and_fills_evenly() -> None:
    now = 0.0
    rate = Rate(6, clock=lambda: now)  # one every ten seconds
    assert [rate.take("a") for _ in range(7)] == [0, 0, 0, 0, 0, 0, 10]
    assert rate.take("b") == 0
    now = 9.0
    assert rate.take("a") == 1
    now = 10.0
    assert [rate.take("a"), rate.take("a")] == [0, 10]
    now = 10_000.0
    assert [rate.take("a") for _ in range(7)] == [0, 0, 0, 0, 0, 0, 10]  # it never holds more than it is big
    assert Rate(1).take("a", 0.25) == 0


def test_a_refused_client_learns_when_to_come_again_and_a_key_has_its_own_rate(
    make_client: Callable[..., TestClient], folder: Path
) -> None:
    client = make_client("127.0.0.1", per_minute=3)
    statuses = [client.post("/api/v1/ask", json=ASK).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = client.post("/api/v1/ask", json=ASK)
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    assert "dragoman.toml" not in refused.text  # only the owner, on this machine, learns of the setting
    owner = make_client("127.0.0.1", peer="127.0.0.1", per_minute=1)
    assert "per_minute under [server]" in [owner.post("/api/v1/ask", json=ASK) for _ in range(2)][1].text
    assert client.get("/healthz").status_code == 200
    bearer = with_key(folder, Scope.ASK)
    try:
        assert [client.post("/api/v1/ask", json=ASK, headers=bearer).status_code for _ in range(4)] == statuses
    finally:
        KeyFile(folder).remove("ask")


def test_keys_cannot_be_guessed_fast(make_client: Callable[..., TestClient]) -> None:
    client = make_client("0.0.0.0", per_minute=5)
    guesses = [{"Authorization": f"Bearer dk_{n}"} for n in range(7)]
    assert [client.get("/metrics", headers=one).status_code for one in guesses] == [401] * 5 + [429] * 2


def test_an_address_is_believed_of_trusted_proxies_only(make_client: Callable[..., TestClient]) -> None:
    def statuses(peer: str, *forwarded: str, trusted: tuple[str, ...] = ("10.0.0.0/8",)) -> list[int]:
        client = make_client("127.0.0.1", peer=peer, per_minute=1, public_anonymous=True, trusted_proxies=trusted)
        headers = [{"X-Forwarded-For": one} for one in forwarded]
        return [client.post("/api/v1/ask", json=ASK, headers=one).status_code for one in headers]

    assert statuses("10.1.1.1", "198.51.100.1", "198.51.100.2") == [200, 200]
    # The client writes on the left of what the proxy saw.
    assert statuses("10.1.1.1", "203.0.113.9, 198.51.100.1", "203.0.113.8, 198.51.100.1, 10.2.2.2") == [200, 429]
    assert statuses("192.0.2.7", "198.51.100.1", "198.51.100.2") == [200, 429]
    assert statuses("127.0.0.1", "198.51.100.1", "198.51.100.2", trusted=()) == [200, 429]


def test_all_addresses_of_an_ipv6_network_are_one_client() -> None:
    def client(address: str) -> str:
        return client_of({"type": "http", "client": (address, 1)})

    assert client("2001:db8:1:2:aaaa::1") == client("2001:db8:1:2::ffff") == "2001:db8:1:2::/64"
    assert client("2001:db8:1:3::1") != client("2001:db8:1:2::1")
    assert client("192.0.2.1") == client("::ffff:192.0.2.1") == "192.0.2.1"


# --- places ---------------------------------------------------------------------------------------------------


def test_places_are_given_in_turn_and_one_who_leaves_gives_up_the_turn() -> None:
    async def go() -> list[str]:
        places, order, leave = Places(1, LIMIT_S), list[str](), asyncio.Event()

        async def one(name: str) -> None:
            async with places.place():
                order.append(name)
                await leave.wait()

        tasks = []
        for name in "abc":
            tasks.append(asyncio.create_task(one(name)))
            await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.wait({tasks[1]})
        leave.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        return order

    assert asyncio.run(go()) == ["a", "c"]


def test_one_name_takes_half_of_the_places_and_those_behind_it_do_not_wait_for_it() -> None:
    async def go() -> None:
        places, full = Places(4, LIMIT_S), Places(4)
        async with AsyncExitStack() as held:
            for _ in range(2):
                await held.enter_async_context(places.place("a"))
                await held.enter_async_context(full.place("a"))
            more = [asyncio.create_task(_enter(places, "a")) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(Refusal):
                await _enter(full, "a")
            for name in ("b", "c"):
                await asyncio.wait_for(held.enter_async_context(places.place(name, "group")), LIMIT_S)
            assert not any(one.done() for one in more)
        await asyncio.wait_for(asyncio.gather(*more), LIMIT_S)
        async with AsyncExitStack() as held:  # all of them are free again
            for name in ("a", "a", "b", "c"):
                await asyncio.wait_for(held.enter_async_context(places.place(name)), LIMIT_S)

    asyncio.run(go())


async def _enter(places: Places, name: str) -> None:
    async with places.place(name):
        pass


class Held:
    """An answerer that waits until it may go on."""

    def __init__(self) -> None:
        self.n, self.go_on = 0, threading.Event()

    def answer(self, task: Task) -> Iterator[Event]:
        self.n += 1
        self.go_on.wait(LIMIT_S)
        yield from ExtractiveAnswerer().answer(task)


def test_more_than_may_be_open_get_503_and_one_who_leaves_makes_room(make_client: Callable[..., TestClient]) -> None:
    held = Held()
    app: Any = make_client("127.0.0.1", answerer=held, max_concurrent=1, max_waiting=3, per_minute=10**6).app
    statuses: list[int] = []
    with served(app) as address, httpx.Client(base_url=address, trust_env=False, timeout=LIMIT_S) as client:

        def ask() -> None:
            while (status := client.post("/api/v1/ask", json=ASK).status_code) == 503:
                pass  # the other one is still leaving
            statuses.append(status)

        def is_refused() -> bool:
            try:
                return client.post("/api/v1/search", json=ASK, timeout=0.3).status_code == 503
            except httpx.ReadTimeout:
                return False

        threads = [threading.Thread(target=ask) for _ in range(2)]
        threads[0].start()
        wait_until(lambda: held.n == 1)
        with pytest.raises(httpx.ReadTimeout):  # the second waits for a moment, and leaves
            client.post("/api/v1/ask", json=ASK, timeout=0.3)
        threads[1].start()
        wait_until(is_refused)
        refused = client.post("/api/v1/search", json=ASK)
        assert (refused.headers["retry-after"], refused.json()["code"]) == ("5", "service_unavailable")
        assert client.get("/healthz").status_code == 200  # it needs no place
        assert client.get("/api/v1/documents").status_code == 200
        held.go_on.set()
        for thread in threads:
            thread.join(LIMIT_S)
        assert client.post("/api/v1/search", json=ASK).status_code == 200
    assert statuses == [200, 200]
    assert held.n == 2  # nobody answered the one who left


async def post(app: Any, path: str, peer: str, **more: Any) -> int:
    """The status that a client at the address `peer` gets."""
    transport = httpx.ASGITransport(app=app, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=LIMIT_S) as client:
        return (await client.post(path, json=ASK | more)).status_code


def test_two_hundred_who_ask_at_once_are_answered_by_default(make_client: Callable[..., TestClient]) -> None:
    settings = ServerSettings()
    n_users, answers_a_second = 200, 20  # two cores, 10,000 passages
    assert n_users / answers_a_second < settings.max_wait_s / 2
    assert settings.max_wait_s < 60  # nginx gives up then
    app = make_client("127.0.0.1").app

    async def ask_all() -> list[int]:
        return await asyncio.gather(*(post(app, "/api/v1/ask", f"192.0.2.{n}") for n in range(n_users)))

    assert asyncio.run(ask_all()) == [200] * n_users


def test_visitors_of_the_widget_leave_places_to_others(make_client: Callable[..., TestClient]) -> None:
    held = Held()
    app = make_client("127.0.0.1", answerer=held, max_concurrent=2, sites={"k": Site(key="k", origins=())}).app

    async def go() -> None:
        visitors = [asyncio.create_task(post(app, "/widget/ask", f"192.0.2.{n}", site="k")) for n in range(2)]
        await asyncio.to_thread(wait_until, lambda: held.n == 1)
        assert await post(app, "/api/v1/search", "192.0.2.9") == 200
        held.go_on.set()
        assert await asyncio.gather(*visitors) == [200, 200]

    asyncio.run(go())


# --- clients that send or read slowly -----------------------------------------------------------------------------


def test_who_sends_slowly_holds_no_place(make_client: Callable[..., TestClient]) -> None:
    app: Any = make_client("127.0.0.1", max_concurrent=1, max_waiting=1, max_wait_s=20).app
    began, release, statuses = threading.Event(), threading.Event(), list[int]()

    def slowly() -> Iterator[bytes]:
        yield b'{"question": "How '
        began.set()
        release.wait(LIMIT_S)
        yield b'many cranes?"}'

    with served(app) as address, httpx.Client(base_url=address, trust_env=False, timeout=LIMIT_S) as client:

        def ask_slowly() -> None:
            statuses.append(client.post("/api/v1/ask", content=slowly(), headers=JSON).status_code)

        thread = threading.Thread(target=ask_slowly)
        thread.start()
        assert began.wait(LIMIT_S)
        assert client.post("/api/v1/ask", json=ASK).status_code == 200
        assert statuses == []
        release.set()
        thread.join(LIMIT_S)
    assert statuses == [200]


class Unread:
    """Streamed asks of a client that takes nothing of what is sent."""

    def __init__(self, app: Any, peer: str) -> None:
        self._app, self._peer = app, peer
        self._body, self.began = json.dumps(ASK | {"stream": True}).encode(), asyncio.Event()
        self.task = asyncio.create_task(self._talk())

    async def _talk(self) -> None:
        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
        scope = {"type": "http", "asgi": {"spec_version": "2.4"}, "http_version": "1.1", "method": "POST"}
        scope |= {"path": "/api/v1/ask", "raw_path": b"/api/v1/ask", "query_string": b"", "root_path": ""}
        scope |= {"scheme": "http", "server": ("127.0.0.1", 80), "client": (self._peer, 1), "headers": headers}
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> Any:
        if not self._body:
            await asyncio.Event().wait()
        body, self._body = self._body, b""
        return {"type": "http.request", "body": body, "more_body": False}

    async def _send(self, message: Any) -> None:
        self.began.set()
        await asyncio.Event().wait()


def test_clients_that_do_not_read_stop_nobody_else(make_client: Callable[..., TestClient]) -> None:
    app: Any = make_client("127.0.0.1", max_concurrent=2, max_waiting=2, max_wait_s=5).app

    async def go() -> list[int]:
        unread = []
        for n in (1, 3, 1):
            unread.append(Unread(app, f"192.0.2.{n}"))
            await asyncio.wait_for(unread[-1].began.wait(), LIMIT_S)
        statuses = [await post(app, "/api/v1/ask", f"192.0.2.{n}") for n in (2, 1)]
        for one in unread:
            one.task.cancel()
        await asyncio.wait([one.task for one in unread])
        return [*statuses, await post(app, "/api/v1/ask", "192.0.2.1")]

    # Two of the four that may be open are one client's: until it reads them, it gets no other.
    assert asyncio.run(go()) == [200, 503, 200]


SERVE = """
import sys
from pathlib import Path
from index.store.sqlite import EmbeddedBackend
from rag.chain import Chain
from rag.testing import HashEncoder, WordReader
from ui.server import run
from ui.server.app import make_app
from ui.server.settings import ServerSettings

run._UNREAD_MS = 500
chain = Chain(EmbeddedBackend(Path(sys.argv[2])), HashEncoder(), reader=WordReader())
run.serve(make_app(chain, with_page=False, host="127.0.0.1"), "127.0.0.1", int(sys.argv[1]), ServerSettings())
"""


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux keeps this limit")
def test_a_client_that_reads_nothing_is_cut_off(folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "here", folder, code=SERVE) as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", int(server.address.rpartition(":")[2])))
        client.sendall(b"GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 8)
        end = time.monotonic() + LIMIT_S
        with pytest.raises(ConnectionError):  # what is sent to a connection that is no more comes back as a reset
            while time.monotonic() < end:
                client.send(b"G")
                time.sleep(0.05)
        assert httpx.get(f"{server.address}/healthz", trust_env=False).status_code == 200
