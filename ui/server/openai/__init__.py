"""The chain in the shape of OpenAI's chat completions, so that existing clients and chat pages can ask it."""

from __future__ import annotations

from ui.server.openai.refusals import RefusalsInShape
from ui.server.openai.routes import router

__all__ = ["RefusalsInShape", "router"]
