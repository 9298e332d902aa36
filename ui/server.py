"""One FastAPI application: health, the JSON API, and the chat page mounted on it.

The page's library is imported only where the page is wanted.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from index.backends.base import Filter
from index.errors import IndexProblem
from index.search import MAX_QUESTION_CHARS
from rag.answerers.base import Turn
from rag.as_json import answer_json
from rag.chain import Chain
from rag.citations import without_markers
from ui.show import search_json

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# No image, frame or form of the page may reach another host: a hostile document cannot phone home.
_CONTENT_POLICY = (
    "default-src 'self' 'unsafe-inline' data: blob:; img-src 'self' data: blob:; connect-src 'self';"
    " object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
_MAX_BODY_BYTES = 2**20  # of a request: a question is at most 2,000 characters, a conversation on the page far less
_MAX_TURNS = 4  # of a conversation that are looked at
_MAX_CHOICES = 50  # of one field of a filter
_Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Question = Annotated[str, Body(min_length=1, max_length=MAX_QUESTION_CHARS)]


class TurnBody(BaseModel):
    """An earlier question of the conversation, and its answer."""

    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, Field(max_length=MAX_QUESTION_CHARS)]
    answer: Annotated[str, Field(max_length=20_000)] = ""


class FilterBody(BaseModel):
    """Which passages may be used: the fields of `index.backends.base.Filter`."""

    model_config = ConfigDict(extra="forbid")

    languages: Annotated[list[_Name], Field(max_length=_MAX_CHOICES)] = []
    since: str = ""
    until: str = ""
    sources: Annotated[list[_Name], Field(max_length=_MAX_CHOICES)] = []
    tags: Annotated[list[_Name], Field(max_length=_MAX_CHOICES)] = []

    def as_filter(self) -> Filter:
        """The filter.

        Raises:
            HTTPException: A date is none.
        """
        try:
            return Filter(
                languages=tuple(self.languages),
                since=self.since,
                until=self.until,
                sources=tuple(self.sources),
                tags=tuple(self.tags),
            )
        except ValueError as error:
            raise HTTPException(422, str(error)) from error


_NO_FILTER = FilterBody()
Where = Annotated[FilterBody, Body(alias="filter")]
History = Annotated[list[TurnBody], Body(max_length=50)]
_NO_HISTORY: list[TurnBody] = []


def make_app(chain: Chain, *, with_page: bool = True) -> FastAPI:
    """The application over an open chain."""
    # /docs would load its scripts from a public network; the page for it comes with the API's own work.
    app = FastAPI(title="Dragoman", docs_url=None, redoc_url=None, max_body_size=_MAX_BODY_BYTES)
    app.add_middleware(CORSMiddleware, allow_origins=[])  # else gradio reflects any origin, with credentials
    app.add_middleware(_SecurityHeaders)
    app.add_exception_handler(RequestValidationError, _invalid)

    app.add_exception_handler(IndexProblem, _unusable)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.post("/api/v1/ask")
    def ask(question: Question, where: Where = _NO_FILTER, history: History = _NO_HISTORY) -> dict[str, Any]:
        """One cited answer, in the shape of `dragoman ask --json`; `history` is oldest first."""
        turns = [Turn(turn.question, without_markers(turn.answer)) for turn in history[-_MAX_TURNS:]]
        return answer_json(chain.invoke(_checked(question), turns, where.as_filter()))

    @app.post("/api/v1/search")
    def search(
        question: Question,
        k: Annotated[int, Body(ge=1, le=100)] = 10,
        where: Where = _NO_FILTER,
        explain: Annotated[bool, Body()] = False,
    ) -> dict[str, Any]:
        """Passages, in the shape of `dragoman search --json`."""
        return search_json(chain.retrieve(_checked(question), k, where.as_filter()), explain=explain)

    if with_page:
        from ui.chat.page import mount

        return mount(app, chain)
    return app


def run(chain: Chain, host: str, port: int, *, with_page: bool) -> None:
    """Serve until stopped."""
    import uvicorn

    if host not in _LOOPBACK:
        sys.stderr.write(f"warning: everyone who can reach {host}:{port} can ask this index\n")
    if os.environ.get("GRADIO_VIBE_MODE"):
        raise ValueError("GRADIO_VIBE_MODE is set, which lets visitors run code here; to mend: unset it")
    _check_port(host, port)
    app = make_app(chain, with_page=with_page)
    sys.stderr.write(
        f"Dragoman listens on http://{host}:{port}/{'' if with_page else 'api/v1/ask'}  (Ctrl+C stops it)\n"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)


def _check_port(host: str, port: int) -> None:
    """Say that a port is taken before anything is built, and what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ValueError(
                f"{host}:{port} cannot be listened on ({error.strerror}); to mend: choose another with --port"
            ) from error


async def _unusable(request: Request, error: Exception) -> JSONResponse:
    """An index that went away or broke under the server: its own message, not a traceback."""
    return JSONResponse({"detail": str(error)}, 503)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """What is wrong with a request, without the request: FastAPI's own answer sends all of it back."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    detail = [{name: item[name] for name in ("type", "loc", "msg")} for item in found]
    return JSONResponse({"detail": detail}, 422)


def _checked(question: str) -> str:
    if not question.strip():
        raise HTTPException(422, "the question is empty")
    return question


class _SecurityHeaders:
    """Adds the headers that every response carries."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    (b"content-security-policy", _CONTENT_POLICY.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
