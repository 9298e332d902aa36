"""What readers say of answers: lines of JSON beside the index, which become gold drafts for a person to edit."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from rag.answer import Answer

FILE = "feedback.jsonl"  # the chat page writes the same lines
TAG = "feedback"
_MAX_BYTES = 16 * 2**20
_MAX_CHARS = 20_000  # of a question or an answer
_OF_A_CITATION = ("n", "doc_id", "source", "start", "end", "quote")


class Opinion(StrEnum):
    """What a reader holds of an answer."""

    RIGHT = "right"
    WRONG = "wrong"
    WRONG_CITATION = "wrong_citation"
    NOT_IN_ARTICLES = "not_in_articles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """An opinion on an answer; `spans` are what the answer cited, where that is known."""

    opinion: Opinion
    question: str
    answer: str
    comment: str = ""
    language: str = ""
    spans: tuple[Mapping[str, Any], ...] = ()
    time: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values."""
        return {**asdict(self), "opinion": str(self.opinion), "spans": list(self.spans)}


Store = Callable[[Feedback], None]


def feedback_on(opinion: Opinion, question: str, said: str, answer: Answer | None) -> Feedback:
    """An opinion with all that is known of its answer: what was shown where the server has forgotten it."""
    if answer is None:
        return Feedback(opinion=opinion, question=question[:_MAX_CHARS], answer=said[:_MAX_CHARS])
    return Feedback(
        opinion=opinion,
        question=answer.question[:_MAX_CHARS],
        answer=answer.text[:_MAX_CHARS],
        language=answer.language,
        spans=tuple({name: getattr(citation, name) for name in _OF_A_CITATION} for citation in answer.citations),
    )


class FeedbackFull(Exception):
    """The file has reached its size: somebody is to read it, and to move it away."""


class FeedbackFile:
    """Feedback in a file that stops growing at `max_bytes`; many threads and processes may add to it."""

    def __init__(self, folder: Path, max_bytes: int = _MAX_BYTES) -> None:
        self._path, self._max_bytes = folder / FILE, max_bytes

    def add(self, feedback: Feedback) -> None:
        """Append it.

        Raises:
            FeedbackFull: There is no room.
        """
        values = feedback.as_dict() | {"time": datetime.now(UTC).isoformat(timespec="seconds")}
        line = (json.dumps(values, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        # One write to a file opened for appending: lines of several writers never mix.
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.fstat(file).st_size + len(line) > self._max_bytes:
                raise FeedbackFull
            os.write(file, line)
        finally:
            os.close(file)

    def all(self) -> Iterator[Feedback]:
        """All that was said, oldest first; a line that is none, as of a disk that was full, is passed over."""
        try:
            with self._path.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    feedback = _feedback(line)
                    if feedback is not None:
                        yield feedback
        except FileNotFoundError:
            return


def _feedback(line: str) -> Feedback | None:
    try:
        values = json.loads(line)
        return Feedback(
            opinion=Opinion(values["opinion"]),
            question=str(values["question"]),
            answer=str(values["answer"]),
            comment=str(values.get("comment", "")),
            language=str(values.get("language", "")),
            spans=tuple(span for span in values.get("spans", ()) if isinstance(span, dict)),
            time=str(values.get("time", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def gold_drafts(said: Iterator[Feedback]) -> list[dict[str, Any]]:
    """Gold entries, as `eval.gold` reads them, for a person to edit; the last opinion on a question counts.

    What was right keeps its answer and what it cited. Of the rest only the question is sure: an answer is to be
    written, and `not_in_articles` says that there is none.
    """
    from eval.gold import Evidence, GoldItem, as_values
    from eval.gold.draft import TAG as DRAFT
    from index.text.language import detect_language
    from rag.citations import without_markers

    last = {feedback.question: feedback for feedback in said if feedback.question.strip()}
    items = []
    for question, feedback in last.items():
        is_right = feedback.opinion is Opinion.RIGHT
        spans = feedback.spans if is_right else ()
        items.append(
            GoldItem(
                id=f"feedback-{hashlib.sha256(question.encode('utf-8', 'replace')).hexdigest()[:12]}",
                question=question,
                lang=feedback.language or detect_language(question) or "und",
                answerable=feedback.opinion is not Opinion.NOT_IN_ARTICLES,
                answers=(without_markers(feedback.answer).strip(),) if is_right and feedback.answer.strip() else (),
                evidence=tuple(
                    Evidence(str(span["source"]), str(span["quote"]))
                    for span in spans
                    if {"source", "quote"} <= set(span)
                ),
                tags=(DRAFT, TAG, str(feedback.opinion)),
            )
        )
    return [as_values(item) for item in items]
