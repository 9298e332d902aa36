"""The application: every face as a router or a mount, behind one gate and one set of headers.

The page's library is imported only where the page is wanted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import APIRouter, FastAPI, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from rag.chain import Chain
from ui.server import api, docs, mcp, openai, responses, widget
from ui.server.errors import Observed, add_error_handlers
from ui.server.gate import Gate
from ui.server.headers import SecurityHeaders
from ui.server.logs import RequestLog
from ui.server.metrics import CONTENT_TYPE, CountedChain, Metrics
from ui.server.service import Service
from ui.server.settings import ServerSettings
from ui.server.stopping import Running

_READY_FOR_S = 5.0  # a probe's result holds this long: an encoder may be another's, and cost money
_SPARE_THREADS = 8  # besides one for each question
_log = logging.getLogger(__name__)


class Application(FastAPI):
    """FastAPI whose headers and counts also cover its own failures: its middleware stands within those."""

    metrics: Metrics
    running: Running

    def build_middleware_stack(self) -> ASGIApp:
        """The whole, from the outside in."""
        within = SecurityHeaders(Observed(openai.RefusalsInShape(super().build_middleware_stack()), self.metrics))
        return RequestLog(within, self.routes, self.running)


def make_app(
    chain: Chain,
    settings: ServerSettings | None = None,
    *,
    with_page: bool = True,
    host: str = "",
    running: Running | None = None,
) -> FastAPI:
    """The application over an open chain.

    Args:
        chain: Answers the questions.
        settings: The server's limits.
        with_page: Whether the chat page is among its faces.
        host: What it is going to listen on, where that is known.
        running: Is told what it does, and can have that end.
    """
    service = _service(chain, settings or ServerSettings(), host, running or Running())
    app = Application(
        title="Dragoman",
        summary="Ask in any language; answered from articles in other languages, every sentence with its passage.",
        docs_url=None,  # these would load their scripts from a public network; docs.py has a page of our own
        redoc_url=None,
        max_body_size=service.settings.max_body_bytes,
        lifespan=_lifespan(service.settings),
    )
    app.metrics, app.running = service.metrics, service.running
    app.add_middleware(Gate, service=service)
    # Outside of the gate, for its refusals to be readable too. Without one, gradio reflects any origin.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(service.settings.cors_origins),
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["authorization", "content-type"],
        expose_headers=["retry-after"],
    )
    add_error_handlers(app)
    app.include_router(_operation(service))
    app.include_router(docs.router())
    app.routes.append(docs.static())
    app.include_router(api.router(service))
    _add_faces(app, service)
    if with_page:
        from ui.page.page import mount

        return mount(app, service.chain, service.settings)
    return app


def _add_faces(app: FastAPI, service: Service) -> None:
    """The other faces, before the page, which takes every path that is left; `rules.rule_for` says what each needs."""
    app.include_router(openai.router(service))
    app.include_router(widget.router(service))
    mcp.mount(app, service)


def _service(chain: Chain, settings: ServerSettings, host: str, running: Running) -> Service:
    metrics = Metrics()
    if chain is not None:
        chain = CountedChain.of(chain, metrics, running, log_questions=settings.log_questions)
    return Service(chain, settings, host, metrics, running)


def _lifespan(settings: ServerSettings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        threads = ThreadPoolExecutor(settings.max_concurrent + _SPARE_THREADS, thread_name_prefix="question")
        # The loop's own pool has a few threads for each core: too few for models that are waited for.
        asyncio.get_running_loop().set_default_executor(threads)
        yield

    return lifespan


def _operation(service: Service) -> APIRouter:
    """Health and metrics."""
    routes = APIRouter(tags=["operation"])
    last: tuple[float, list[str]] = (0.0, [])

    @routes.get("/healthz", responses=responses.HEALTH)
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @routes.get("/readyz", response_model=None, responses=responses.READY)
    def readyz() -> Response:
        """Whether questions can be answered: the index opens, the encoder encodes."""
        nonlocal last
        then, missing = last
        if not then or time.monotonic() - then > _READY_FOR_S:
            missing = _missing(service.chain)
            last = (time.monotonic(), missing)
        body = {"status": "not ready" if missing else "ready", "missing": missing}
        return JSONResponse(body, 503 if missing else 200)

    @routes.get("/metrics", response_class=Response, responses=responses.METRICS)
    def metrics() -> Response:
        """Counts and times, for Prometheus; scope `admin`, or from this machine."""
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE})

    return routes


def _missing(chain: Chain) -> list[str]:
    """What does not work; why is in the log alone, as everybody may ask."""
    missing = []
    for name, check in (("index", _check_index), ("encoder", _check_encoder)):
        try:
            check(chain)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not ready
            _log.warning("not ready: %s: %s", name, type(error).__name__)
            missing.append(name)
    return missing


def _check_index(chain: Chain) -> None:
    with chain.backend.snapshot() as snapshot:
        snapshot.languages()


def _check_encoder(chain: Chain) -> None:
    chain.encoder.encode_queries(["ready?"])
