"""The application: every interface as a router or a mount, behind one gate and one set of headers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from html import escape
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import BaseRoute, Match, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from rag.chain import Chain
from rag.phrases import Part, accepted, best_language
from ui.server import api, openai
from ui.server.article import article_page, find_document
from ui.server.edge import DATA, Edge
from ui.server.errors import Refusal, handle, is_under, path_of
from ui.server.gate import Gate, Service
from ui.server.mcp import Endpoint
from ui.server.metrics import CountedChain, Metrics
from ui.server.settings import ServerSettings
from ui.server.widget.routes import add_widget

_DOCS = files("ui").joinpath("server", "static", "docs")
_PAGES = ("/article", "/docs", "/embed", "/widget")
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
    settings, metrics = settings or ServerSettings(), Metrics()
    chain = CountedChain.of(chain, metrics, log_questions=settings.log_questions)
    service, tools = Service(chain, settings, host, metrics), Endpoint(chain, settings)

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
        docs_url=None,  # these would load their scripts from a public network; docs.py has a page of our own
        redoc_url=None,
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
    app.routes.append(Nowhere(app.routes))
    if with_page:
        from ui.page.page import mount

        return mount(app, service.chain, settings)
    return app


class Nowhere(BaseRoute):
    """Refuses what stands below our own paths and no route takes: the page would take it."""

    def __init__(self, others: Sequence[BaseRoute]) -> None:
        self._others = others

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match every such path."""
        is_ours = scope["type"] == "http" and is_under(path_of(scope), (*DATA, *_PAGES))
        return (Match.FULL if is_ours else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a route that has the path refuse the method (405); else there is no such path."""
        for route in self._others:
            match, found = route.matches(scope)
            if match is Match.PARTIAL:
                await route.handle({**scope, **found}, receive, send)
                return
        raise Refusal(404, f"there is no {path_of(scope)[:100]}; fix: /docs shows what there is")


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
    app.add_middleware(Edge, metrics=service.metrics)
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
        missing = _missing(service.chain)
        body = {"status": "not ready" if missing else "ready", "missing": missing}
        return JSONResponse(body, 503 if missing else 200)

    @app.get("/metrics", tags=["operation"], response_class=Response)
    def get_metrics() -> Response:
        """Counts and times, for Prometheus; scope `admin`."""
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})


def _missing(chain: Chain) -> list[str]:
    """The first part that does not work; the reason is only in the log, as everybody may ask."""
    part = "index"
    try:
        with chain.backend.snapshot() as snapshot:
            snapshot.languages()
        part = "encoder"
        chain.encoder.encode_queries(["ready?"])
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not ready
        _log.warning("not ready: %s: %s", part, type(error).__name__)
        return [part]
    return []


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
    def docs(request: Request) -> HTMLResponse:
        """The API's documentation, to read and to try."""
        root = escape(request.scope.get("root_path", "").rstrip("/"))
        return HTMLResponse(_DOCS.joinpath("docs.html").read_text("utf-8").replace("ROOT", root))

    app.mount("/docs/static", StaticFiles(directory=str(_DOCS)))
    of_the_code = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _merge(of_the_code(), json.loads(_DOCS.joinpath("openapi.json").read_text("utf-8")))
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _merge(schema: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, dict) and isinstance(schema.get(name), dict):
            _merge(schema[name], value)
        else:
            schema[name] = value
        if name == "responses":
            schema[name].pop("422", None)  # the framework's own, which no response has: 4XX is described
