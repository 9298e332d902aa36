"""The chain as tools of a Model Context Protocol server, over stdin and stdout or at /mcp.

The protocol's own library takes 1 to 2 s to import: it loads when somebody speaks the protocol, not with the server.
"""

from __future__ import annotations

from ui.server.mcp.endpoint import mount
from ui.server.mcp.stdio import serve_stdio
from ui.server.mcp.tools import make_server

__all__ = ["make_server", "mount", "serve_stdio"]
