"""A long document in pieces, so that it is encoded by all processes, in bounded memory, and shown as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from index.documents import Document, Passage, Span
from index.store.base import EncodedDocument
from index.text.sentences import split_sentences

PIECE_CHARS = 200_000
_WINDOW = 4_000  # characters before the end of a piece, where a sentence begins that can begin the next one


def pieces(document: Document) -> list[Document]:
    """Stretches of whole sentences that together are `document`; itself where it is no longer than a piece."""
    if len(document.text) <= PIECE_CHARS:
        return [document]
    cuts = [*_cuts(document.text), len(document.text)]
    return [
        replace(
            document,
            text=document.text[a:b],
            headings=tuple(Span(max(a, s) - a, min(b, e) - a) for s, e in document.headings if s < b and e > a),
        )
        for a, b in zip([0, *cuts], cuts, strict=False)
    ]


def _cuts(text: str) -> Iterator[int]:
    cut = 0
    while cut + PIECE_CHARS < len(text):
        start = cut + PIECE_CHARS - _WINDOW
        sentences = split_sentences(text[start : cut + PIECE_CHARS])
        cut = start + (sentences[-1].start if len(sentences) > 1 else _WINDOW)
        yield cut


def joined(document: Document, encoded: Sequence[EncodedDocument]) -> EncodedDocument:
    """`document` of its encoded pieces, in their order."""
    passages: list[Passage] = []
    section, start = "", 0
    for piece in encoded:
        for own in piece.passages:
            section = own.section or section
            sentences = tuple(Span(a + start, b + start) for a, b in own.sentences)
            at = Span(own.start + start, own.end + start)
            passages.append(Passage(len(passages), *at, own.text, sentences, own.language, section))
        start += len(piece.document.text)
    aliases = {(alias.name, alias.other): alias for piece in encoded for alias in piece.aliases}
    return replace(
        encoded[0],
        document=document,
        passages=tuple(passages),
        vectors=np.concatenate([piece.vectors for piece in encoded]),
        words=tuple(chain.from_iterable(piece.words for piece in encoded)),
        terms=tuple(chain.from_iterable(piece.terms for piece in encoded)),
        sounds=" ".join(dict.fromkeys(chain.from_iterable(piece.sounds.split() for piece in encoded))),
        aliases=tuple(aliases.values()),
    )
