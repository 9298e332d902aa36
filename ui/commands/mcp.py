"""The command `mcp`: the articles as tools of another program's model."""

from __future__ import annotations

import sys
from contextlib import closing, redirect_stdout
from importlib.util import find_spec

from ui.commands.opening import open_chain
from ui.commands.options import IndexOption, ModelOption
from ui.config import load_config


def serve_mcp(model: ModelOption = None, index: IndexOption = None) -> None:
    """Serve the articles as MCP tools over stdin and stdout, for a desktop assistant or an editor."""
    if find_spec("mcp") is None:
        raise ValueError("the package mcp is not installed; fix: pip install 'dragoman[mcp]'")
    # stdout belongs to the protocol: what a model's library prints while it loads would break it.
    with redirect_stdout(sys.stderr):
        from ui.server.mcp import serve_stdio

        chain = open_chain(load_config(index=index, model=model))
    with closing(chain):
        serve_stdio(chain)
