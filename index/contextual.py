"""Contextual vectors: made after an index can be searched, in small steps, and used once all passages have one."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from index.encoders.base import Encoder
from index.encoders.contextual import FINGERPRINT, contextual_encoder
from index.encoders.static import StaticEncoder
from index.errors import IndexLocked
from index.store import open_backend, open_writer
from index.store.base import IndexPlace

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
    started, n_done = time.monotonic(), 0
    if not isinstance(encoder, StaticEncoder):
        return 0
    with closing(open_backend(place)) as backend:
        with backend.snapshot() as snapshot:
            total = snapshot.n_without_context(FINGERPRINT)
        last = _BEFORE_ALL
        while True:
            with backend.snapshot() as snapshot:
                rows = snapshot.without_context(FINGERPRINT, last, _AT_ONCE)
            if not rows and last == _BEFORE_ALL:
                return n_done
            if not rows:  # once more from the start: others may have added some meanwhile
                last = _BEFORE_ALL
                continue
            last = rows[-1][0]
            vectors = contextual_encoder().encode_passages([text for *_, text in rows])
            done = [(pid, doc, vector) for (pid, doc, _), vector in zip(rows, vectors, strict=True)]
            while True:
                try:
                    with open_writer(place, encoder) as writer:
                        writer.add_context(FINGERPRINT, done)
                    break
                except IndexLocked:  # another process writes
                    time.sleep(_RETRY_S)
            n_done += len(rows)
            on_progress(n_done, max(total, n_done), time.monotonic() - started)
