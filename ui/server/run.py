"""Serving until stopped."""

from __future__ import annotations

import logging
import os
import socket
import sys

from rag.chain import Chain
from ui.server.app import make_app
from ui.server.service import Service
from ui.server.settings import ServerSettings

_GRACE_S = 30  # for streams to end when the server is told to stop


def run(chain: Chain, host: str, port: int, *, with_page: bool, settings: ServerSettings | None = None) -> None:
    """Serve until stopped."""
    import uvicorn

    if os.environ.get("GRADIO_VIBE_MODE"):
        raise ValueError("GRADIO_VIBE_MODE is set, which lets visitors run code here; to mend: unset it")
    settings = settings or ServerSettings()
    service = Service(chain, settings, host)
    service.check_open_to_somebody()
    if service.is_public and settings.public_anonymous:
        sys.stderr.write(f"warning: everyone who can reach {host}:{port} can ask this index\n")
    _check_port(host, port)
    app = make_app(chain, settings, with_page=with_page, host=host)
    sys.stderr.write(
        f"Dragoman listens on http://{host}:{port}/{'' if with_page else 'api/v1/ask'}  (Ctrl+C stops it)\n"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if settings.log_questions:
        logging.getLogger("dragoman.questions").setLevel(logging.INFO)
        logging.getLogger("dragoman.questions").addHandler(logging.StreamHandler())
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        # Who is believed about addresses is the gate's to decide, by the peer's own.
        proxy_headers=False,
        root_path=settings.root_path,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )


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
