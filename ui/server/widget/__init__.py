"""The widget: a bubble on other people's pages, and the light page of ours that it opens.

What a site may is decided here, on the server: who may frame the page (`frame-ancestors`), which passages its
visitors may be answered from, and how often they may ask. A site's key stands in its pages and is no secret.
"""

from __future__ import annotations

from ui.server.widget.routes import router

__all__ = ["router"]
