"""Passages: verbatim runs of whole sentences that cover the text, keep to a size and stay in their section."""

from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from index.chunk import chunk
from index.documents import Document, Metadata, Span
from index.settings import IndexSettings


def words(texts: object) -> list[int]:
    return [len(str(text).split()) for text in texts]  # type: ignore[attr-defined]


def document(text: str, headings: tuple[Span, ...] = ()) -> Document:
    return Document("/a", "a", text, Metadata(language="en"), headings)


@given(st.text(max_size=400))
@settings(max_examples=150, deadline=None)
def test_passages_are_verbatim_and_cover_every_visible_character(text: str) -> None:
    text = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    covered = set()
    for passage in chunk(document(text), words, IndexSettings(target_tokens=8, max_tokens=12)):
        assert passage.text == text[passage.start : passage.end]
        covered.update(range(passage.start, passage.end))
    assert [i for i, char in enumerate(text) if not char.isspace() and i not in covered] == []


def test_sentences_fill_a_passage_up_to_its_target_and_one_is_repeated() -> None:
    text = "One two three. Four five six. Seven eight nine. Ten eleven twelve."
    passages = chunk(document(text), words, IndexSettings(target_tokens=6, max_tokens=9))
    assert [p.text for p in passages] == [
        "One two three. Four five six.",
        "Four five six. Seven eight nine.",
        "Seven eight nine. Ten eleven twelve.",
    ]


def test_a_passage_never_crosses_a_heading() -> None:
    text = "First part. It ends here.\n\nSecond\n\nNew words begin."
    start = text.index("Second")
    passages = chunk(document(text, (Span(start, start + 6),)), words, IndexSettings(target_tokens=50, max_tokens=60))
    assert [(p.text, p.section) for p in passages] == [
        ("First part. It ends here.", ""),
        ("Second\n\nNew words begin.", "Second"),
    ]


def test_no_passage_is_longer_than_the_limit_and_none_of_a_long_sentence_is_lost() -> None:
    text = "a b c d e f, " * 20 + "end."
    passages = chunk(document(text), words, IndexSettings(target_tokens=10, max_tokens=12))
    assert max(words([p.text for p in passages])) <= 12
    assert sum(words([p.text for p in passages])) == 121  # 20 times six words, and "end."
