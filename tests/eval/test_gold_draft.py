"""Questions that a model writes are kept only where the document holds what they say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from eval.gold import Evidence, GoldItem
from eval.gold.draft import draft

HARBOUR = "The harbour of Altona has seven cranes. The oldest crane was built in 1872. The gate is green."
STATION = "기차역은 강가에 있다. 역은 1901년에 세워졌다."


class Documents:
    def documents(self) -> Iterator[Any]:
        for source, language, text in (("harbour.txt", "en", HARBOUR), ("역.txt", "ko", STATION)):
            yield SimpleNamespace(doc_id=source, source=source, title="", language=language, n_chars=len(text))

    def text(self, doc_id: str) -> str | None:
        return {"harbour.txt": HARBOUR, "역.txt": STATION}[doc_id]


class Model:
    def __init__(self, *replies: Any) -> None:
        self.replies = [reply if isinstance(reply, str) else json.dumps(reply) for reply in replies]
        self.calls: list[tuple[str, str]] = []

    def complete(self, system: str, text: str) -> str:
        self.calls.append((system, text))
        return self.replies[min(len(self.calls), len(self.replies)) - 1]


GOOD = {
    "question": "How many cranes does the harbour of Altona have?",
    "answer": "seven",
    "quote": "The harbour of  Altona has seven cranes.",
}
KOREAN = {"question": "기차역은 언제 세워졌나요?", "answer": "1901년", "quote": "역은 1901년에 세워졌다."}


def test_a_question_is_kept_with_its_quote_as_the_document_has_it() -> None:
    model = Model(f"Here you are: {json.dumps(GOOD)} .", KOREAN)
    first, second = draft(model, Documents(), 2)
    assert first == GoldItem(
        first.id, GOOD["question"], "en", True, ("seven",),
        (Evidence("harbour.txt", "The harbour of Altona has seven cranes."),), ("draft",),
    )  # fmt: skip
    assert (second.lang, second.evidence[0].doc) == ("ko", "역.txt")  # the documents take turns
    assert first.id.startswith("draft-") and first.id != second.id
    (system, text), _ = model.calls
    fence = text.splitlines()[0]
    assert text.splitlines()[-1] == fence and fence in system and HARBOUR in text


@pytest.mark.parametrize(
    "reply",
    [
        "no JSON",
        "{}",
        "[1]",
        {**GOOD, "quote": "The harbour has eight cranes."},
        {**GOOD, "quote": ""},
        {**GOOD, "answer": "eight"},
        {**GOOD, "answer": ""},
        {**GOOD, "question": "Has the harbour of Altona seven cranes?"},  # gives the answer away
        {**GOOD, "question": "항구에는 기중기가 몇 대 있나요?"},  # in another language
        {**GOOD, "question": ""},
    ],
)
def test_what_does_not_hold_is_dropped_after_three_calls_a_draft(reply: Any) -> None:
    model = Model(reply)
    assert list(draft(model, Documents(), 1)) == []
    assert len(model.calls) == 2  # two documents of one passage each; three calls at most


def test_an_error_of_the_model_is_not_hidden() -> None:
    class Broken:
        def complete(self, system: str, text: str) -> str:
            raise OSError("no key")

    with pytest.raises(OSError, match="no key"):
        list(draft(Broken(), Documents(), 1))
