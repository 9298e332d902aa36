"""Readers' opinions of answers: lines of JSON beside the index."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ui.server.bodies import MAX_CHARS, Body
from ui.server.errors import Refusal

FILE = "feedback.jsonl"
_MAX_BYTES = 16 * 2**20


class Feedback(Body):
    """An opinion on an answer."""

    kind: Literal["right", "wrong", "wrong_citation", "not_in_articles"]
    question: Annotated[str, Field(min_length=1, max_length=MAX_CHARS)]
    answer: Annotated[str, Field(max_length=MAX_CHARS)]
    comment: Annotated[str, Field(max_length=2_000)] = ""
    language: Annotated[str, Field(max_length=50)] = ""
    citations: Annotated[tuple[dict[str, Any], ...], Field(max_length=50)] = ()


class FeedbackFile:
    """Feedback in a file of an index's folder; many threads and processes may add to it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def add(self, feedback: Feedback) -> None:
        """Append it, with the time.

        Raises:
            Refusal: There is no room: somebody has to read the file, and to move it away.
        """
        values = feedback.model_dump() | {"time": datetime.now(UTC).isoformat(timespec="seconds")}
        line = (json.dumps(values, ensure_ascii=False) + "\n").encode("utf-8", "replace")
        # One write to a file opened for appending: lines of several writers never mix.
        with open(self._path, "ab", buffering=0, opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            if file.tell() + len(line) > _MAX_BYTES:
                raise Refusal(507, "there is no room for more feedback")
            file.write(line)
