"""The command `mcp`: the articles as tools of another program's model."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from importlib.util import find_spec

from ui.config import load_config
from ui.opening import open_chain
from ui.options import (
    AliasesOption,
    EncoderOption,
    FallbackOption,
    IndexOption,
    JudgeOption,
    ModelOption,
    RerankerOption,
)


def serve_mcp(
    model: ModelOption = None,
    fallback_model: FallbackOption = None,
    judge: JudgeOption = None,
    reranker: RerankerOption = None,
    aliases: AliasesOption = None,
    index: IndexOption = None,
    encoder: EncoderOption = None,
) -> None:
    """Serve the articles as MCP tools over stdin and stdout, for a desktop assistant or an editor."""
    if find_spec("mcp") is None:
        raise ValueError("the package mcp is not installed; to mend: pip install 'dragoman[mcp]'")
    config = load_config(
        index=index,
        encoder=encoder,
        model=model,
        fallback_model=fallback_model,
        judge=judge,
        reranker=reranker,
        aliases=aliases,
    )
    # stdout is the protocol's alone: what a model's library prints while it loads would break it.
    with redirect_stdout(sys.stderr):
        from ui.server.mcp import serve_stdio

        chain = open_chain(config)
    try:
        serve_stdio(chain)
    finally:
        chain.backend.close()
