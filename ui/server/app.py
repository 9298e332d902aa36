"""The application: every face as a router or a mount, behind one set of headers and limits.

The page's library is imported only where the page is wanted.
"""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from rag.chain import Chain
from ui.server import api
from ui.server.errors import add_error_handlers
from ui.server.headers import SecurityHeaders
from ui.server.service import Service
from ui.server.settings import ServerSettings


def make_app(chain: Chain, settings: ServerSettings | None = None, *, with_page: bool = True) -> FastAPI:
    """The application over an open chain."""
    service = Service(chain, settings or ServerSettings())
    # /docs would load its scripts from a public network; the page for it comes with the API's own work.
    app = FastAPI(title="Dragoman", docs_url=None, redoc_url=None, max_body_size=service.settings.max_body_bytes)
    # Else gradio reflects any origin, with credentials.
    app.add_middleware(CORSMiddleware, allow_origins=list(service.settings.cors_origins))
    app.add_middleware(SecurityHeaders)
    add_error_handlers(app)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    app.include_router(api.router(service))
    if with_page:
        from ui.chat.page import mount

        return mount(app, chain)
    return app
