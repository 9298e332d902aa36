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
from index.store.base import IndexPlace
from index.store.reading import Backend

_AT_ONCE = 64  # passages a transaction: what a stop loses
_BEFORE_ALL = -(2**63)  # below every number of a passage
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
    started, n_done, last = time.monotonic(), 0, _BEFORE_ALL
    with closing(open_backend(place)) as backend:
        with backend.snapshot() as snapshot:
            total = snapshot.n_without_context(FINGERPRINT)
        # Once more from the start: others may have added some meanwhile.
        while rows := _rows(backend, last) or _rows(backend, _BEFORE_ALL):
            last = rows[-1][0]
            vectors = contextual_encoder().embed_documents([text for *_, text in rows])
            _write(place, encoder, [(pid, doc, own) for (pid, doc, _), own in zip(rows, vectors, strict=True)])
            n_done += len(rows)
            on_progress(n_done, max(total, n_done), time.monotonic() - started)
    return n_done


def _rows(backend: Backend, after: int) -> list[tuple[int, int, str]]:
    """(passage, document, text) of some passages without a vector."""
    with backend.snapshot() as snapshot:
        return snapshot.without_context(FINGERPRINT, after, _AT_ONCE)


def _write(place: IndexPlace, encoder: Encoder, vectors: list[tuple[int, int, FloatArray]]) -> None:
    while True:
        try:
            with open_writer(place, encoder) as writer:
                return writer.add_context(FINGERPRINT, vectors)
        except IndexLocked:  # another process writes
            time.sleep(_RETRY_S)
