"""Readers' opinions of answers: lines of JSON beside the index, which become gold drafts for a person to edit."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError

from rag.answer import Answer
from rag.citations import without_markers
from ui.server.errors import Refusal

FILE = "feedback.jsonl"
TAG = "feedback"
MAX_CHARS = 20_000  # of a question or an answer
_MAX_BYTES = 16 * 2**20
_OF_A_CITATION = ("n", "doc_id", "source", "start", "end", "quote")


class Opinion(StrEnum):
    """What a reader thinks of an answer."""

    RIGHT = "right"
    WRONG = "wrong"
    WRONG_CITATION = "wrong_citation"
    NOT_IN_ARTICLES = "not_in_articles"


class Feedback(BaseModel):
    """An opinion on an answer, as it is sent (`kind`, `citations`) and as it is stored (`opinion`, `spans`)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    opinion: Annotated[Opinion, Field(validation_alias=AliasChoices("kind", "opinion"))]
    question: Annotated[str, Field(min_length=1, max_length=MAX_CHARS)]
    answer: Annotated[str, Field(max_length=MAX_CHARS)]
    comment: Annotated[str, Field(max_length=2_000)] = ""
    language: Annotated[str, Field(max_length=50)] = ""
    spans: Annotated[
        tuple[dict[str, Any], ...], Field(max_length=50, validation_alias=AliasChoices("citations", "spans"))
    ] = ()
    time: Annotated[str, Field(max_length=50)] = ""


Store = Callable[[Feedback], None]


def feedback_on(opinion: Opinion, question: str, said: str, answer: Answer | None) -> Feedback:
    """An opinion with all that is known of its answer: the text that was shown where the answer is forgotten."""
    if answer is None:
        return Feedback(opinion=opinion, question=question[:MAX_CHARS], answer=said[:MAX_CHARS])
    return Feedback(
        opinion=opinion,
        question=answer.question[:MAX_CHARS],
        answer=answer.text[:MAX_CHARS],
        language=answer.language,
        spans=tuple({name: getattr(citation, name) for name in _OF_A_CITATION} for citation in answer.citations),
    )


class FeedbackFile:
    """Feedback in a file that stops growing at `max_bytes`; many threads and processes may add to it."""

    def __init__(self, folder: Path, max_bytes: int = _MAX_BYTES) -> None:
        self._path, self._max_bytes = folder / FILE, max_bytes

    def add(self, feedback: Feedback) -> None:
        """Append it.

        Raises:
            Refusal: There is no room: somebody has to read the file, and to move it away.
        """
        values = {name: getattr(feedback, name) for name in Feedback.model_fields}
        values["time"] = datetime.now(UTC).isoformat(timespec="seconds")
        line = (json.dumps(values, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        # One write to a file opened for appending: lines of several writers never mix.
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.fstat(file).st_size + len(line) > self._max_bytes:
                raise Refusal(507, "there is no room for more feedback")
            os.write(file, line)
        finally:
            os.close(file)

    def all(self) -> Iterator[Feedback]:
        """All feedback, oldest first; a broken line, as of a disk that was full, is skipped."""
        if not self._path.exists():
            return
        with self._path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    yield Feedback.model_validate_json(line)
                except ValidationError:
                    continue


def gold_drafts(said: Iterator[Feedback]) -> list[dict[str, Any]]:
    """Gold entries, as `eval.gold` reads them, for a person to edit; the last opinion on a question counts.

    An answer that was right keeps its text and its citations. Of the others only the question is sure: a person has to
    write the answer, and `not_in_articles` states that there is none.
    """
    from index.text.language import detect_language

    items = []
    for question, one in {one.question: one for one in said if one.question.strip()}.items():
        is_right = one.opinion is Opinion.RIGHT
        spans = [span for span in one.spans if is_right and {"source", "quote"} <= set(span)]
        answer = without_markers(one.answer).strip() if is_right else ""
        items.append(
            {
                "id": f"feedback-{hashlib.sha256(question.encode('utf-8', 'replace')).hexdigest()[:12]}",
                "question": question,
                "lang": one.language or detect_language(question) or "und",
                "answerable": one.opinion is not Opinion.NOT_IN_ARTICLES,
                "answers": [answer] if answer else [],
                "evidence": [{"doc": str(span["source"]), "text": str(span["quote"])} for span in spans],
                "tags": ["draft", TAG, str(one.opinion)],
            }
        )
    return items
