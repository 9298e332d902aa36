"""What the API gives, as OpenAPI describes it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel


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
