"""Serving with uvicorn, in one process or in several workers that each open the index."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from index.store import open_backend
from ui.commands.opening import open_chain
from ui.config import Config, load_config
from ui.server.app import make_app
from ui.server.gate import check_open_to_somebody
from ui.server.keys import KeyFile
from ui.server.logs import log_config
from ui.server.settings import ServerSettings

_NO_PAGE = "_DRAGOMAN_NO_PAGE"
_UNREAD_MS = 10_000


def run(config: Config, *, with_page: bool, workers: int = 1) -> None:
    """Serve the session's index until stopped.

    Raises:
        ValueError: Nobody may ask.
        OSError: The port is taken.
        IndexProblem: There is no index, or it cannot be opened.
    """
    if os.environ.get("GRADIO_VIBE_MODE"):
        raise ValueError("GRADIO_VIBE_MODE is set, which lets visitors run code here; fix: unset it")
    check_open_to_somebody(config.server, config.host, KeyFile(config.folder))
    # A port that is taken and a missing index are reported before workers start.
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    socket.create_server((config.host, config.port), family=family).close()
    open_backend(config.index).close()
    # Workers read the settings of this process as variables of the environment.
    values = config.model_dump(exclude={"server"}, exclude_none=True)
    os.environ |= {f"DRAGOMAN_{name.upper()}": str(value) for name, value in values.items()}
    os.environ[_NO_PAGE] = "" if with_page else "1"
    serve("ui.server.run:app", config.host, config.port, config.server, workers=workers, factory=True)


def app() -> FastAPI:
    """The application of a worker."""
    config = load_config()
    return make_app(open_chain(config), config.server, with_page=not os.environ.get(_NO_PAGE), host=config.host)


def serve(app: Any, host: str, port: int, settings: ServerSettings, *, workers: int = 1, factory: bool = False) -> None:
    """Serve an application, or the factory that an import string names, until stopped."""
    # uvicorn lets running answers end, then raises the signal again: nothing is left to wait for.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    uvicorn.run(
        app,
        factory=factory,
        host=host,
        port=port,
        workers=workers,
        http=_Protocol,
        ws="none",
        log_config=log_config(settings),
        access_log=False,
        proxy_headers=False,  # the application reads them, as far as the settings trust them
        root_path=settings.root_path,
        server_header=False,
        timeout_graceful_shutdown=settings.stop_grace_s,
    )


class _Protocol(AutoHTTPProtocol):  # type: ignore[misc,valid-type]
    """uvicorn's protocol; a client that reads nothing for a while is cut off, and a stop waits for no heartbeat."""

    def connection_made(self, transport: Any) -> None:
        """Begin, with a limit that Linux keeps: data that the other side takes no part of end the connection."""
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
        super().connection_made(transport)

    def shutdown(self) -> None:
        """Begin a graceful stop of this connection; the page's heartbeat has no end."""
        if self.scope and "/heartbeat/" in self.scope["path"]:
            self.transport.close()
        else:
            super().shutdown()
