"""An answer: sentences, citations that are spans of documents, or an abstention; and its fixed JSON shapes."""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass, field
from enum import StrEnum
from typing import Any

from index.search import ScoredPassage


@dataclass(frozen=True, slots=True)
class Citation:
    """A numbered span of a stored document; `quote == document.text[start:end]`.

    `answer_start` and `answer_end` are the words in it that answer, in the document too; equal where none are known.
    """

    n: int
    doc_id: str
    source: str
    title: str
    language: str
    start: int
    end: int
    quote: str
    url: str
    date: str = ""
    answer_start: int = 0
    answer_end: int = 0


class Verdict(StrEnum):
    """How far the cited passages support a sentence; the best first."""

    QUOTED = "quoted"  # it is a quotation, word for word
    SUPPORTED = "supported"  # near it, with all its figures and names, and both negate or neither
    PARTLY = "partly"  # near it, but some of that is missing
    UNSUPPORTED = "unsupported"  # not near it, or none of its figures is there
    NO_SOURCE = "no_source"  # the sentence cites nothing, and no passage supports it


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """A sentence of the answer, without markers, its citations, and how far they support it."""

    text: str
    verdict: Verdict
    citations: tuple[int, ...]

    @property
    def supported(self) -> bool:
        return self.verdict in (Verdict.QUOTED, Verdict.SUPPORTED)


class Abstention(StrEnum):
    """Why there is no answer; empty where there is one."""

    NONE = ""
    EMPTY = "empty"  # nothing has been indexed
    FILTERED = "filtered"  # the filter takes no article
    CONVERSATION = "conversation"  # said in passing, or asked about the collection: there is a reply, not from articles
    NOT_FOUND = "not_found"  # no passage is relevant to the question
    NOT_IN_PASSAGES = "not_in_passages"  # the model says that the passages do not answer


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that models read and wrote for an answer, as far as they report them, and the number of their calls."""

    input_tokens: int = 0
    output_tokens: int = 0
    n_calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question, with everything that it rests on.

    `text` has `[n]` markers, numbered from 1 in order of appearance; every one of them is
    the `n` of a citation, and every citation has a marker in the text. Beside an abstention, `closest` is the nearest
    sentence, where one is near: it is shown without being claimed as an answer.
    """

    question: str
    language: str
    abstained: bool
    text: str
    answer_language: str
    sentences: tuple[AnswerSentence, ...]
    citations: tuple[Citation, ...]
    retrieved: tuple[ScoredPassage, ...]
    relevance: float
    reason: Abstention = Abstention.NONE
    warnings: tuple[str, ...] = ()
    timings_ms: dict[str, float] = field(default_factory=dict)
    usage: Usage = Usage()
    closest: Citation | None = None


_PASSAGE = ("doc_id", "source", "title", "language", "start", "end", "text")
_CITATION = (
    "n", "doc_id", "source", "title", "language", "start", "end", "quote", "url", "answer_start", "answer_end",
)  # fmt: skip
_ANSWER = ("question", "language", "abstained", "answer_language", "timings_ms")


def passage_json(item: ScoredPassage) -> dict[str, Any]:
    """One result of `search --json` and of `retrieved` in `ask --json`."""
    return {name: getattr(item.passage, name) for name in _PASSAGE} | {"score": round(item.score, 6)}


def citation_json(citation: Citation) -> dict[str, Any]:
    """One citation of `ask --json`."""
    return {name: getattr(citation, name) for name in _CITATION}


def sentence_json(sentence: AnswerSentence) -> dict[str, Any]:
    """One sentence of `ask --json`."""
    return {
        "text": sentence.text,
        "supported": sentence.supported,
        "verdict": str(sentence.verdict),
        "citations": list(sentence.citations),
    }


def answer_json(answer: Answer) -> dict[str, Any]:
    """`ask --json`."""
    return {name: getattr(answer, name) for name in _ANSWER} | {
        "answer": answer.text,
        "reason": str(answer.reason),
        "sentences": [sentence_json(sentence) for sentence in answer.sentences],
        "citations": [citation_json(citation) for citation in answer.citations],
        "closest": citation_json(answer.closest) if answer.closest else None,
        "retrieved": [passage_json(item) for item in answer.retrieved],
        "warnings": list(answer.warnings),
        "usage": asdict(answer.usage),
    }
