"""The tools over stdin and stdout."""

from __future__ import annotations

import signal

from rag.chain import Chain
from ui.server.mcp.tools import make_server


def serve_stdio(chain: Chain) -> None:
    """Speak the protocol over stdin and stdout until stdin ends; for the main thread of a process of its own."""
    server = make_server(chain)
    # A thread waits for the next line of stdin, and Ctrl+C would wait for that thread. Nothing here needs tidying up.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        server.run("stdio")
    finally:
        signal.signal(signal.SIGINT, before)
