"""Answers and passages as JSON, in the fixed shapes of the command line and the HTTP API."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from index.search import ScoredPassage
from rag.answer import Answer, Citation


def passage_json(item: ScoredPassage) -> dict[str, Any]:
    """One result of `search --json` and of `retrieved` in `ask --json`."""
    passage = item.passage
    return {
        "doc_id": passage.doc_id,
        "source": passage.source,
        "title": passage.title,
        "language": passage.language,
        "start": passage.start,
        "end": passage.end,
        "text": passage.text,
        "score": round(item.score, 6),
    }


def citation_json(citation: Citation) -> dict[str, Any]:
    """One citation of `ask --json`."""
    return {
        name: getattr(citation, name)
        for name in ("n", "doc_id", "source", "title", "language", "start", "end", "quote", "url")
    }


def answer_json(answer: Answer) -> dict[str, Any]:
    """`ask --json`."""
    return {
        "question": answer.question,
        "language": answer.language,
        "abstained": answer.abstained,
        "reason": str(answer.reason),
        "answer": answer.text,
        "answer_language": answer.answer_language,
        "sentences": [
            {
                "text": sentence.text,
                "supported": sentence.supported,
                "verdict": str(sentence.verdict),
                "citations": list(sentence.citations),
            }
            for sentence in answer.sentences
        ],
        "citations": [citation_json(citation) for citation in answer.citations],
        "retrieved": [passage_json(item) for item in answer.retrieved],
        "warnings": list(answer.warnings),
        "timings_ms": answer.timings_ms,
        "usage": asdict(answer.usage),
    }
