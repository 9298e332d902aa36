"""What OpenAPI says of the API, and the page that shows it, which loads nothing from elsewhere."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

QUESTION = "When did the Webb telescope leave Earth?"
_PASSAGE = {
    "doc_id": "5c9d3f0a8b7e6142",
    "source": "articles/webb.md",
    "title": "Webb",
    "language": "en",
    "start": 0,
    "end": 47,
    "text": "The Webb telescope left Earth in December 2021.",
    "score": 0.83,
}
_CITATION = {
    "n": 1,
    "doc_id": "5c9d3f0a8b7e6142",
    "source": "articles/webb.md",
    "title": "Webb",
    "language": "en",
    "start": 0,
    "end": 47,
    "quote": "The Webb telescope left Earth in December 2021.",
    "url": "https://example.org/webb",
}
_ANSWER: dict[str, Any] = {
    "question": QUESTION,
    "language": "en",
    "abstained": False,
    "reason": "",
    "answer": "The Webb telescope left Earth in December 2021. [1]",
    "answer_language": "en",
    "sentences": [
        {
            "text": "The Webb telescope left Earth in December 2021.",
            "supported": True,
            "verdict": "supported",
            "citations": [1],
        }
    ],
    "citations": [_CITATION],
    "retrieved": [_PASSAGE],
    "warnings": [],
    "timings_ms": {"retrieval": 7.1, "total": 9.4},
    "usage": {"input_tokens": 0, "output_tokens": 0, "n_calls": 0},
}
_DOCUMENT = {
    "doc_id": "5c9d3f0a8b7e6142",
    "source": "articles/webb.md",
    "title": "Webb",
    "url": "https://example.org/webb",
    "author": "",
    "date": "2021-12-25",
    "language": "en",
    "n_chars": 4100,
    "n_passages": 5,
    "stale": False,
    "tags": ["space"],
}
_FILE = {"name": "webb.md", "status": "added", "documents": ["5c9d3f0a8b7e6142"], "reason": ""}
_FRAMES = (
    'event: question\ndata: {"question": "…", "language": "en", "query": "…"}\n\n'
    'event: delta\ndata: {"text": "The Webb telescope left Earth"}\n\n'
    'event: done\ndata: {"question": "…", "abstained": false, …}\n\n'
)


class Passage(BaseModel):
    """A passage that was found; offsets are Unicode code points of the document."""

    doc_id: str
    source: str
    title: str
    language: str
    start: int
    end: int
    text: str
    score: float
    explanation: dict[str, Any] | None = None


class CitationOut(BaseModel):
    """A numbered span of a document."""

    n: int
    doc_id: str
    source: str
    title: str
    language: str
    start: int
    end: int
    quote: str
    url: str


class Sentence(BaseModel):
    """A sentence of the answer, and how far its citations bear it out."""

    text: str
    supported: bool
    verdict: str
    citations: list[int]


class AnswerOut(BaseModel):
    """An answer, or an abstention."""

    question: str
    language: str
    abstained: bool
    reason: str
    answer: str
    answer_language: str
    sentences: list[Sentence]
    citations: list[CitationOut]
    retrieved: list[Passage]
    warnings: list[str]
    timings_ms: dict[str, float]
    usage: dict[str, int]


class Found(BaseModel):
    """Passages, best first."""

    question: str
    language: str
    results: list[Passage]
    warnings: list[str]


class DocumentOut(BaseModel):
    """A document as listed."""

    doc_id: str
    source: str
    title: str
    url: str
    author: str
    date: str
    language: str
    n_chars: int
    n_passages: int
    stale: bool
    tags: list[str]


class DocumentPage(BaseModel):
    """Some documents, and where the next ones begin."""

    documents: list[DocumentOut]
    total: int
    next_offset: int | None


class FileResult(BaseModel):
    """What became of a file."""

    name: str
    status: Literal["added", "unchanged", "partial", "failed"]
    documents: list[str]
    reason: str


class Added(BaseModel):
    """What became of each file, in the order sent."""

    files: list[FileResult]


class Said(BaseModel):
    """Feedback, oldest first."""

    feedback: list[dict[str, Any]]


class Ready(BaseModel):
    """Whether questions can be answered, and what is missing."""

    status: Literal["ready", "not ready"]
    missing: list[str]


class Health(BaseModel):
    """That the process answers."""

    status: Literal["ok"]


class Problem(BaseModel):
    """What went wrong."""

    detail: str | list[dict[str, Any]]


_PROBLEMS = {
    400: "The body cannot be read.",
    401: "A key is needed.",
    403: "The key, or the server, does not allow it.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "Another process is writing to the index.",
    413: "The body is too large.",
    421: "The server does not answer to that host name.",
    422: "The request is not as described.",
    429: "Too many requests; Retry-After says when to come again.",
    502: "The model failed.",
    503: "The server is busy, or its index cannot be used; Retry-After says when to come again.",
    507: "There is no room.",
}
_ALWAYS = (400, 401, 403, 413, 421, 422, 429, 503)


def answers(model: type[BaseModel], example: Any, *more: int) -> dict[int | str, dict[str, Any]]:
    """The responses of a route: its own with an example, and the problems that it may have."""
    return {200: {"model": model, **_example(example)}, **problems(*more)}


def problems(*more: int) -> dict[int | str, dict[str, Any]]:
    """The problems that every route may have, and `more`."""
    return {status: _problem(status) for status in sorted({*_ALWAYS, *more})}


def _problem(status: int) -> dict[str, Any]:
    described = {"description": _PROBLEMS[status]}
    return described if status == 413 else {"model": Problem, **described}  # that one may be a line of text


def sends(examples: dict[str, Any], kind: str = "application/json") -> dict[str, Any]:
    """A request's examples, by what they show."""
    shown = {name: {"value": value} for name, value in examples.items()}
    return {"requestBody": {"content": {kind: {"examples": shown}}}}


def _text(kind: str, example: str) -> dict[int | str, dict[str, Any]]:
    """The responses of a route that gives text."""
    return {200: {"content": {kind: {"schema": {"type": "string"}, "example": example}}}, **problems()}


def _example(value: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"example": value}}}


ASKED = answers(AnswerOut, _ANSWER, 408, 502)
_EVENTS = ["question", "passages", "delta", "sentence", "citations", "warnings", "done", "error"]
_EVENT = {"event": {"enum": _EVENTS}, "data": {"type": "string", "contentMediaType": "application/json"}}
# As OpenAPI 3.2 has it: of one event, not of the text.
ASKED[200]["content"]["text/event-stream"] = {
    "itemSchema": {"type": "object", "properties": _EVENT, "required": ["event", "data"]},
    "example": _FRAMES,
}
ASK = sends(
    {
        "a question": {"question": QUESTION},
        "a stream": {"question": QUESTION, "stream": True},
        "a follow-up, on some articles": {
            "question": "Why did it leave?",
            "history": [{"question": QUESTION, "answer": "In December 2021. [1]"}],
            "filter": {"languages": ["en", "ko"], "since": "2021"},
        },
    }
)
FOUND = answers(Found, {"question": QUESTION, "language": "en", "results": [_PASSAGE], "warnings": []}, 408)
SEARCH = sends({"a search": {"question": QUESTION, "k": 3, "explain": False}})
LISTED = answers(DocumentPage, {"documents": [_DOCUMENT], "total": 1, "next_offset": None})
ADDED = answers(Added, {"files": [_FILE]}, 409, 507)
REMOVED = problems(404, 409)
_SAID = {"opinion": "wrong", "question": QUESTION, "answer": "In 2019. [1]", "comment": "", "language": "en"}
SAID = answers(Said, {"feedback": [_SAID | {"spans": [], "time": "2026-11-25T12:00:00+00:00"}]})
GOLD = _text("application/x-ndjson", '{"id": "feedback-0a1b2c3d4e5f", "question": "…", "lang": "en", …}\n')
METRICS = _text("text/plain", 'dragoman_questions_total{language="en"} 3.0\n')
READY = answers(Ready, {"status": "ready", "missing": []})
READY[503] = {
    "model": Ready,
    "description": "Something is missing.",
    **_example({"status": "not ready", "missing": ["index"]}),
}
HEALTH = answers(Health, {"status": "ok"})


def router() -> APIRouter:
    """The page, and the files that it loads."""
    routes = APIRouter()

    @routes.get("/docs", include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        """The API's documentation, to read and to try."""
        return HTMLResponse(_PAGE.replace("ROOT", escape(request.scope.get("root_path", "").rstrip("/"))))

    return routes


def static() -> Mount:
    """The files of the page: Swagger UI, Apache-2.0, as published."""
    return Mount("/docs/static", StaticFiles(directory=str(files("ui").joinpath("server", "static", "docs"))))


_PAGE = """<!doctype html>
<html lang="en" data-schema="ROOT/openapi.json">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Dragoman: the HTTP API</title>
<link rel="icon" href="ROOT/docs/static/favicon-32x32.png">
<link rel="stylesheet" href="ROOT/docs/static/swagger-ui.css">
<script src="ROOT/docs/static/swagger-ui-bundle.js" defer></script>
<script src="ROOT/docs/static/start.js" defer></script>
</head>
<body><main id="docs"></main></body>
</html>
"""
