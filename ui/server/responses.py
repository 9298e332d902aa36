"""What OpenAPI says of the responses of each route, with examples."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ui.server.shapes import Added, AnswerOut, DocumentPage, Found, Health, Problem, Ready, Said

QUESTION = "When did the Webb telescope leave Earth?"
PASSAGE = {
    "doc_id": "5c9d3f0a8b7e6142",
    "source": "articles/webb.md",
    "title": "Webb",
    "language": "en",
    "start": 0,
    "end": 47,
    "text": "The Webb telescope left Earth in December 2021.",
    "score": 0.83,
}
CITATION = {
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
ANSWER: dict[str, Any] = {
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
    "citations": [CITATION],
    "retrieved": [PASSAGE],
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
    return {200: {"model": model, **shows(example)}, **problems(*more)}


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


def shows(value: Any) -> dict[str, Any]:
    """The content of a response that has one."""
    return {"content": {"application/json": {"example": value}}}


ASKED = answers(AnswerOut, ANSWER, 408, 502)
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
FOUND = answers(Found, {"question": QUESTION, "language": "en", "results": [PASSAGE], "warnings": []}, 408)
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
    **shows({"status": "not ready", "missing": ["index"]}),
}
HEALTH = answers(Health, {"status": "ok"})
