"""Passages by hand, for tests of what is made of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from index.fusion import Evidence
from index.search import ScoredPassage, SearchResult
from index.store.base import StoredPassage
from index.text.sentences import split_sentences

PassageMaker = Callable[..., ScoredPassage]


@pytest.fixture
def make_passage() -> PassageMaker:
    """A function that makes a found passage of a text; `start` is where it begins in its document."""

    def make(
        text: str,
        pid: int = 1,
        *,
        language: str = "en",
        start: int = 0,
        score: float = 1.0,
        date: str = "",
        title: str = "",
    ) -> ScoredPassage:
        sentences = tuple((a + start, b + start) for a, b in split_sentences(text, language))
        passage = StoredPassage(
            pid=pid,
            doc_id=f"{pid:016x}",
            source=f"{pid}.txt",
            title=title,
            url="",
            author="",
            date=date,
            language=language,
            section="",
            start=start,
            end=start + len(text),
            text=text,
            sentences=sentences,
        )
        return ScoredPassage(passage, score, Evidence(passage.pid, passage.language, dense=0.5, words=0.5))

    return make


@pytest.fixture
def found_result() -> Callable[..., SearchResult]:
    """A function that makes a search result of passages."""

    def make(question: str, language: str, *passages: ScoredPassage) -> SearchResult:
        return SearchResult(question, language, passages, ())

    return make
