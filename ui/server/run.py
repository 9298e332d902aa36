"""Serving until stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from types import FrameType

import uvicorn

from rag.chain import Chain
from ui.server import logs
from ui.server.app import make_app
from ui.server.service import Service
from ui.server.settings import ServerSettings
from ui.server.stopping import Running

_LAST_EVENTS_S = 1.0  # for what was cut to say so to its reader
_HARD_END_S = 3.0  # after the grace, for what neither ends nor can be cut
_THREADS_S = 2.0  # for threads to end once all is over; one may still wait for a model
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_log = logging.getLogger("dragoman")


def run(chain: Chain, host: str, port: int, *, with_page: bool, settings: ServerSettings | None = None) -> None:
    """Serve until stopped."""
    if os.environ.get("GRADIO_VIBE_MODE"):
        raise ValueError("GRADIO_VIBE_MODE is set, which lets visitors run code here; to mend: unset it")
    settings = settings or ServerSettings()
    service = Service(chain, settings, host)
    service.check_open_to_somebody()
    _check_port(host, port)
    logs.configure(settings)
    if service.is_public and settings.public_anonymous:
        _log.warning("everyone who can reach %s:%d can ask this index", host, port)
    running = Running()
    app = make_app(chain, settings, with_page=with_page, host=host, running=running)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        log_level="warning",
        access_log=False,
        # Who is believed about addresses is the gate's to decide, by the peer's own.
        proxy_headers=False,
        root_path=settings.root_path,
        server_header=False,
        timeout_graceful_shutdown=settings.stop_grace_s + int(_LAST_EVENTS_S + _HARD_END_S),
    )
    place = f"http://{f'[{host}]' if ':' in host else host}:{port}/{'' if with_page else 'api/v1/ask'}"
    _Server(config, running, place, settings.stop_grace_s).run()


class _Server(uvicorn.Server):
    """Lets running answers end when it is told to stop; told so again, it is gone at once."""

    def __init__(self, config: uvicorn.Config, running: Running, place: str, grace_s: int) -> None:
        super().__init__(config)
        self._running, self._place, self._grace_s = running, place, grace_s

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As of uvicorn, whose own raises the signal again when all is done: a stop would look like a crash."""
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, or be gone."""
        if self.should_exit:
            os._exit(1)
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        _log.info("Dragoman listens on %s  (Ctrl+C stops it)", self._place)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more, wait for what runs, cut it when the grace is over."""
        _log.info("stopping; what runs has %d s to end", self._grace_s)
        cutting = asyncio.create_task(self._cut())
        await super().shutdown(sockets)
        cutting.cancel()
        _log.info("stopped")
        gone = Timer(_THREADS_S, os._exit, [0])
        gone.daemon = True
        gone.start()

    async def _cut(self) -> None:
        clock = asyncio.get_running_loop().time
        over = clock() + self._grace_s
        while self._running.n and clock() < over:
            await asyncio.sleep(0.05)
        if self._running.n:
            _log.warning("cut what still ran after %d s", self._grace_s)
            self._running.end()
            await asyncio.sleep(_LAST_EVENTS_S)
        # The page's own connections have no end of theirs.
        for connection in list(self.server_state.connections):
            connection.transport.close()


def _check_port(host: str, port: int) -> None:
    """Say that a port is taken before anything is built, and what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ValueError(
                f"{host}:{port} cannot be listened on ({error.strerror}); to mend: choose another with --port"
            ) from error
