"""Contextual vectors: made after an index can be searched, in small steps, and used once all passages have one."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from index.encoders.base import Encoder, FloatArray
from index.encoders.contextual import FINGERPRINT, contextual_encoder
from index.encoders.static import StaticEncoder
from index.errors import IndexLocked
from index.store import open_backend, open_writer
from index.store.base import IndexPlace, StoredPassage
from index.store.reading import Backend

_AT_ONCE = 64  # passages a transaction: what a stop loses
_RETRY_S = 1.0


def add_contextual(
    place: IndexPlace, encoder: Encoder, on_progress: Callable[[int, int, float], None] = lambda *_: None
) -> int:
    """Give every passage that has none its contextual vector; how many there were.

    Other encoders than static ones are contextual themselves: beside them none are made.

    What is done is kept when it is stopped. Others may write meanwhile: the index is locked for moments only.

    Args:
        place: An index.
        encoder: The index's own.
        on_progress: Called with passages done, passages in all, and seconds.

    Raises:
        IndexMissing, SettingsMismatch, StoreFull, StoreDamaged: See `index.errors`.
    """
    if not isinstance(encoder, StaticEncoder):
        return 0
    started, tried = time.monotonic(), set[int]()
    with closing(open_backend(place)) as backend:
        # Once more from the start: others may have added some meanwhile.
        while left := sorted(_without(backend) - tried):
            total = len(tried) + len(left)
            for some in (left[i : i + _AT_ONCE] for i in range(0, len(left), _AT_ONCE)):
                with backend.snapshot() as snapshot:
                    texts = {pid: _text(passage) for pid, passage in snapshot.passages(some).items()}
                if texts:  # an altered document has none
                    vectors = contextual_encoder().embed_documents(list(texts.values()))
                    _write(place, encoder, dict(zip(texts, vectors, strict=True)))
                tried |= {*some}
                on_progress(len(tried), total, time.monotonic() - started)
    return len(tried)


def _without(backend: Backend) -> set[int]:
    """Passages without a vector."""
    with backend.snapshot() as snapshot:
        return set(snapshot.without_context(FINGERPRINT))


def _text(passage: StoredPassage) -> str:
    return f"{passage.title}. {passage.text}" if passage.title else passage.text


def _write(place: IndexPlace, encoder: Encoder, vectors: dict[int, FloatArray]) -> None:
    while True:
        try:
            with open_writer(place, encoder) as writer:
                return writer.add_context(FINGERPRINT, vectors)
        except IndexLocked:  # another process writes
            time.sleep(_RETRY_S)
