"""What an answer is: sentences, citations that are spans of documents, or an abstention."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from index.search import ScoredPassage
from rag.verify import Verdict


@dataclass(frozen=True, slots=True)
class Citation:
    """A numbered span of a stored document; `quote == document.text[start:end]`."""

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


@dataclass(frozen=True, slots=True)
class AnswerSentence:
    """A sentence of the answer, without markers, its citations, and how far they bear it out."""

    text: str
    verdict: Verdict
    citations: tuple[int, ...]

    @property
    def supported(self) -> bool:
        return self.verdict is Verdict.SUPPORTED


class Abstention(StrEnum):
    """Why there is no answer; empty where there is one."""

    NONE = ""
    EMPTY = "empty"  # nothing has been indexed, or the filter leaves nothing
    NOT_FOUND = "not_found"  # no passage bears on the question
    NOT_IN_PASSAGES = "not_in_passages"  # the model holds that the passages do not answer


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that models read and wrote for an answer, as far as they tell, and how often they were asked."""

    input_tokens: int = 0
    output_tokens: int = 0
    n_calls: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.n_calls + other.n_calls,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole of what came of a question.

    `text` has `[n]` markers, numbered from 1 in order of appearance; every one of them is
    the `n` of a citation, and every citation is marked in the text.
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
