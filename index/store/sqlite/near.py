"""What passages a question is near to, of every language at once.

One pass over the vectors that are searched exactly gives the cosine of each: the nearest passages of every
language, and the scores of those that the words or the names find besides, without a vector read from the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray
from index.store.sqlite.vectors import MAX_PARTS, IntArray, Vectors, VectorView, search_partition

Scores = dict[int, tuple[float, float, int]]  # by pid: cosine of the whole, of the best part, and the part's row

_EVERY = -2.0  # below any cosine
_VECTORS = 8  # looked at for each passage wanted of a language in codes: a passage has up to a dozen


@dataclass(frozen=True, slots=True)
class Layout:
    """Which passage of which language each vector is of that is searched exactly.

    Invariant: `ids[order]` rises, so that a passage's vectors lie together, the whole first.
    """

    ids: IntArray  # of the vectors, as a search gives them
    order: IntArray
    pids: IntArray  # rising
    starts: IntArray  # of each passage's vectors in the order, and the number of all
    places: dict[str, IntArray]  # of each language's passages in `pids`


class Near:
    """What one state of an index finds near a question; it is scanned once for the question asked last."""

    def __init__(self, view: VectorView, layouts: dict[int, Layout]) -> None:
        """`layouts` of the same state, by the place of the index in it, are kept from one question to the next."""
        self._view, self._layouts = view, layouts
        self._parts = [part for part in (view.base, view.delta) if part is not None]
        self._dead = np.unique(view.dead // MAX_PARTS)
        self._query: FloatArray | None = None
        self._scanned: list[_Scanned] = []

    @property
    def exact(self) -> bool:
        """Whether every vector is searched exactly."""
        return not any(part.approximate for part in self._parts)

    def nearest(self, query: FloatArray, n: int, languages: Sequence[str]) -> list[int]:
        """The `n` passages of these languages together that have the nearest vectors, nearest first."""
        pids, best = _joined([scanned.of_languages(languages) for scanned in self._scan(query)])
        if len(pids) > n:
            kept = (best >= np.partition(best, len(best) - n)[len(best) - n]).nonzero()[0]
            pids, best = pids[kept], best[kept]
        return [pid for _, pid in sorted(zip((-best).tolist(), pids.tolist(), strict=True))[:n]]

    def probably_nearest(self, query: FloatArray, n: int, languages: Sequence[str]) -> list[int]:
        """About the same, as the codes of an index that is not exact have it."""
        faiss.omp_set_num_threads(1)
        buried = faiss.IDSelectorBatch(self._view.dead) if len(self._view.dead) else None
        rows = np.ascontiguousarray(query.reshape(1, -1), dtype=np.float32)
        found = []
        for part in self._parts:
            selector = faiss.IDSelectorNot(buried) if buried is not None and part is self._view.base else None
            for own in part.partitions:
                if own.language in languages and own.n_vectors:
                    n_vectors = min(_VECTORS * n, own.n_vectors)
                    found.append(search_partition(part.index, rows, n_vectors, own, selector))
        cosines = np.concatenate([np.empty(0, np.float32), *(own[0] for own, _ in found)])
        ids = np.concatenate([np.empty(0, np.int64), *(own[0] for _, own in found)])
        pids = ids[np.lexsort((ids, -cosines))] // MAX_PARTS
        return list(dict.fromkeys(pids[pids >= 0].tolist()))[:n]

    def cosines(self, query: FloatArray, pids: Sequence[int]) -> Scores:
        """Those of `pids` whose vectors are here, where all are searched exactly."""
        found: Scores = {}
        for scanned in self._scan(query) if self.exact else ():
            found |= scanned.of(np.asarray(pids, dtype=np.int64))
        return found

    def _scan(self, query: FloatArray) -> list[_Scanned]:
        if self._query is None or not np.array_equal(self._query, query):
            self._scanned = [self._scanned_part(number, part, query) for number, part in enumerate(self._parts)]
            self._query = query
        return self._scanned

    def _scanned_part(self, number: int, part: Vectors, query: FloatArray) -> _Scanned:
        ids, cosines = _all_cosines(part, query)
        layout = self._layouts.get(number)
        if layout is None or not np.array_equal(layout.ids, ids):
            layout = self._layouts[number] = _layout_of(part, ids)
        dead = self._dead if part is self._view.base else np.empty(0, np.int64)
        return _Scanned(layout, cosines[layout.order], dead)


class _Scanned:
    """The cosines of one question with the vectors of a layout, in its order, but for the `dead` passages."""

    def __init__(self, layout: Layout, cosines: FloatArray, dead: IntArray) -> None:
        self._layout, self._cosines, self._dead = layout, cosines, dead
        self._best = np.maximum.reduceat(cosines, layout.starts[:-1]) if len(cosines) else cosines

    def of_languages(self, languages: Sequence[str]) -> tuple[IntArray, FloatArray]:
        """The passages of these languages, and the greatest cosine of each."""
        own = [self._layout.places[name] for name in languages if name in self._layout.places]
        places = own[0] if len(own) == 1 else np.concatenate([np.empty(0, np.int64), *own])
        if len(self._dead):
            places = places[~np.isin(self._layout.pids[places], self._dead)]
        return self._layout.pids[places], self._best[places]

    def of(self, pids: IntArray) -> Scores:
        """The scores of those of `pids` that are here."""
        if not len(self._layout.pids):
            return {}
        places = np.minimum(np.searchsorted(self._layout.pids, pids), len(self._layout.pids) - 1)
        here = (self._layout.pids[places] == pids) & ~np.isin(pids, self._dead)
        starts = self._layout.starts[places[here]]
        sizes = self._layout.starts[places[here] + 1] - starts
        # One stretch of rows for each passage, one after the other.
        rows = np.arange(int(sizes.sum())) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
        return scores(pids[here], self._cosines[rows], sizes)


def _joined(some: Sequence[tuple[IntArray, FloatArray]]) -> tuple[IntArray, FloatArray]:
    if len(some) == 1:
        return some[0]
    pids = np.concatenate([np.empty(0, np.int64), *(own for own, _ in some)])
    best = np.concatenate([np.empty(0, np.float32), *(own for _, own in some)])
    return pids, best


def scores(pids: IntArray, cosines: FloatArray, sizes: IntArray) -> Scores:
    """The scores of passages from the cosines of their vectors, `sizes` of each, one passage after the other."""
    if not len(pids):
        return {}
    starts = np.cumsum(sizes) - sizes
    parts = cosines.copy()
    parts[starts[sizes > 1]] = _EVERY
    best = np.maximum.reduceat(parts, starts)
    hits = np.flatnonzero(parts == np.repeat(best, sizes))
    rows = hits[np.searchsorted(hits, starts)] - starts  # the first of equals
    return dict(
        zip(pids.tolist(), zip(cosines[starts].tolist(), best.tolist(), rows.tolist(), strict=True), strict=True)
    )


def as_single(halves: NDArray[np.float16]) -> FloatArray:
    """`halves` as float32, three times as fast as numpy does it; finite values only."""
    bits = halves.view(np.int16).astype(np.int32)
    single = (bits & 0x7FFF) << 13
    single |= (bits & -0x8000) << 16
    # The exponent of a half is biased by 15, that of a single by 127.
    scaled: FloatArray = single.view(np.float32)
    scaled *= np.float32(2.0**112)
    return scaled


def _all_cosines(vectors: Vectors, query: FloatArray) -> tuple[IntArray, FloatArray]:
    """The id of every vector, in an order of FAISS's own, and its cosine with `query`."""
    library: Any = faiss
    faiss.omp_set_num_threads(1)
    rows = np.ascontiguousarray(query.reshape(1, -1), dtype=np.float32)
    params = library.SearchParametersIVF(nprobe=vectors.index.nlist)
    _, cosines, ids = vectors.index.range_search(rows, _EVERY, params=params)
    return ids, cosines


def _layout_of(vectors: Vectors, ids: IntArray) -> Layout:
    """The layout of the vectors with these `ids`, in that order."""
    library: Any = faiss
    order = np.argsort(ids, kind="stable")
    pids, starts = np.unique(ids[order] // MAX_PARTS, return_index=True)
    lists = vectors.index.invlists
    places: dict[str, IntArray] = {}
    for partition in vectors.partitions:
        if n := lists.list_size(partition.first):
            own = library.rev_swig_ptr(lists.get_ids(partition.first), n)
            places[partition.language] = np.searchsorted(pids, np.unique(own // MAX_PARTS))
    return Layout(ids, order, pids, np.append(starts, len(ids)), places)
