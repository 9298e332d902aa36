"""The application: every interface as a router or a mount, behind one gate and one set of headers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.utils import deep_dict_update
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import BaseRoute, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from rag.chain import Chain
from rag.phrases import Part, accepted, best_language
from ui.server import api, openai
from ui.server.article import article_page, find_document
from ui.server.edge import DATA, Edge
from ui.server.errors import handle, is_under, path_of, without_words
from ui.server.gate import Gate, Service
from ui.server.mcp import Endpoint
from ui.server.settings import ServerSettings
from ui.server.widget.routes import add_widget

_DOCS = files("ui").joinpath("server", "static", "docs")
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGES = ("/article", "/docs", "/embed", "/widget")  # beside the chat page
_SPARE_THREADS = 8  # besides one for each question
_log = logging.getLogger(__name__)


def make_app(
    chain: Chain, settings: ServerSettings | None = None, *, with_page: bool = True, host: str = ""
) -> FastAPI:
    """The application over an open chain.

    Args:
        chain: Answers the questions.
        settings: The server's limits.
        with_page: Whether the chat page is served too; its library is imported only then.
        host: The address that the server will listen on, where that is known.
    """
    settings = settings or ServerSettings()
    service, tools = Service(chain, settings, host), Endpoint(chain, settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        threads = ThreadPoolExecutor(settings.max_concurrent + _SPARE_THREADS, thread_name_prefix="question")
        # The loop's own pool has a few threads for each core: too few for models that are waited for.
        asyncio.get_running_loop().set_default_executor(threads)
        async with tools.running():
            yield

    app = FastAPI(
        title="Dragoman",
        summary="Ask in any language; answered from articles in other languages, every sentence with its passage.",
        docs_url=None,  # these would load their scripts from a public network; there is a page of our own
        redoc_url=None,
        redirect_slashes=False,
        responses={"default": {"description": "An error: `detail` says what is wrong, `code` is for programs."}},
        lifespan=lifespan,
        generate_unique_id_function=lambda route: route.name,  # the operations' names in /openapi.json
        exception_handlers={HTTPException: handle, RequestValidationError: handle},
    )
    _add_middleware(app, service)
    _add_operation(app, service)
    _add_docs(app)
    _add_articles(app, service)
    add_widget(app, service)
    app.include_router(api.router(service))
    app.include_router(openai.router(service))
    app.routes.append(Route("/mcp", tools, methods=["POST"]))
    if with_page:
        from ui.page.page import mount

        app = mount(app, chain, settings)
        _put_behind(app, app.routes.pop())
    return app


def _put_behind(app: FastAPI, page: BaseRoute) -> None:
    """Serve the page where no other route has the path; below our own paths there is nothing of it."""
    not_found = app.router.default

    async def default(scope: Scope, receive: Receive, send: Send) -> None:
        _, found = page.matches(scope)
        is_ours = scope["type"] == "http" and is_under(path_of(scope), (*DATA, *_PAGES))
        await (not_found(scope, receive, send) if is_ours else page.handle({**scope, **found}, receive, send))

    app.router.default = default


def _add_middleware(app: FastAPI, service: Service) -> None:
    """From the inside out; what is outside sees the refusals of what is inside."""
    settings = service.settings
    app.add_middleware(Gate, service=service)
    # Without a CORSMiddleware, gradio reflects any origin.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["authorization", "content-type"],
        expose_headers=["retry-after"],
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=service.hosts, www_redirect=False)
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=settings.max_body_bytes)
    app.add_middleware(Edge)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=list(settings.trusted_proxies))


def _add_operation(app: FastAPI, service: Service) -> None:
    """Add health and metrics."""

    @app.get("/healthz", tags=["operation"])
    async def get_health() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["operation"], response_model=None)
    def get_readiness() -> Response:
        """Whether questions can be answered: the index opens, the encoder encodes."""
        try:
            with service.chain.backend.snapshot() as snapshot:
                snapshot.languages()
            service.chain.encoder.encode_queries(["ready?"])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not ready
            _log.warning("not ready: %s", without_words(error))
            return JSONResponse({"status": "not ready"}, 503)
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", tags=["operation"], response_class=Response)
    def get_metrics() -> Response:
        """Counts and times, for Prometheus; scope `admin`."""
        return Response(generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})


def _add_articles(app: FastAPI, service: Service) -> None:
    @app.get("/article/{doc_id}", include_in_schema=False)
    def article(request: Request, doc_id: str, cite: str = "") -> HTMLResponse:
        """A document to read, with the spans in `cite` marked."""
        document = find_document(service.chain.backend, doc_id)
        language = best_language(accepted(request.headers.get("accept-language", "")), Part.INTERFACE)
        return article_page(doc_id, document, cite, language, "../widget/static/article.css")


def _add_docs(app: FastAPI) -> None:
    """Add the page, with Swagger UI (Apache-2.0, as published), and the responses and examples of openapi.json."""

    @app.get("/docs", include_in_schema=False)
    def docs() -> FileResponse:
        """The API's documentation, to read and to try."""
        return FileResponse(str(_DOCS.joinpath("docs.html")), headers={"content-security-policy": _DOCS_POLICY})

    app.mount("/docs/static", StaticFiles(directory=str(_DOCS)))
    of_the_code = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            deep_dict_update(of_the_code(), json.loads(_DOCS.joinpath("openapi.json").read_text("utf-8")))
        return of_the_code()

    app.openapi = openapi  # type: ignore[method-assign]
