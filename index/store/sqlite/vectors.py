"""The nearest passages by FAISS: one exact index a language group, of the vectors of passages.

The indexes are made of the store when it is opened, and never change once made: FAISS searched and changed at once
crashes. The next generation shares the groups that did not change. Ids are pids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray
from index.store.quantized import row_bytes, unpacked
from index.store.sqlite.schema import SqliteRows

KIND = "exact fp16, one index a language"
_FACTORY = "IDMap,SQfp16"
_AT_ONCE = 10_000  # passages read
Indexes = Mapping[str, Any]  # what one generation finds by vectors: a FAISS index by language group


def nearest(index: Any, query: FloatArray, n: int, allowed: NDArray[np.uint8] | None) -> list[tuple[int, float]]:
    """(pid, cosine) of the `n` nearest passages in an index, nearest first.

    `allowed` has a bit for each pid that may be found, the lowest bit of a byte first.
    """
    faiss.omp_set_num_threads(1)  # beside other work two threads make a single query ten times slower
    library: Any = faiss
    params = None if allowed is None else library.SearchParameters(sel=library.IDSelectorBitmap(allowed))
    rows = np.ascontiguousarray(query.reshape(1, -1), dtype=np.float32)
    cosines, pids = index.search(rows, min(n, index.ntotal), params=params)
    return [(pid, cosine) for pid, cosine in zip(pids[0].tolist(), cosines[0].tolist(), strict=True) if pid >= 0]


def language_group(tag: str) -> str:
    """The primary subtag of a language."""
    return tag.split("-")[0]


def advanced(last: Indexes, store: SqliteRows, dim: int) -> Indexes:
    """The indexes of the state that the store's transaction sees; what they share with `last` is taken from there."""
    current = np.fromiter((pid for (pid,) in store.stream("SELECT pid FROM vectors")), np.int64)
    groups: dict[str, Any] = {}
    known = [np.empty(0, np.int64)]
    own: set[str] = set()  # groups that `last` does not share, so that they may be changed
    for group, index in last.items():
        pids = faiss.vector_to_array(index.id_map)
        gone = pids[~np.isin(pids, current)]
        known.append(pids)
        if len(gone) == len(pids):
            continue
        groups[group] = index
        if len(gone):
            groups[group] = faiss.clone_index(index)
            groups[group].remove_ids(faiss.IDSelectorBatch(gone))
            own.add(group)
    for group, pids, vectors in _vectors(store, dim, np.setdiff1d(current, np.concatenate(known))):
        if group not in groups:
            groups[group] = faiss.index_factory(dim, _FACTORY, faiss.METRIC_INNER_PRODUCT)
        elif group not in own:
            groups[group] = faiss.clone_index(groups[group])
        own.add(group)
        groups[group].add_with_ids(vectors, pids)
    return groups


def _vectors(
    store: SqliteRows, dim: int, wanted: NDArray[np.int64]
) -> Iterator[tuple[str, NDArray[np.int64], FloatArray]]:
    """(language group, pids, vectors) of the passages `wanted`, in order of pid, some thousand at a time."""
    query = "SELECT pid, language, embedding FROM vectors WHERE pid BETWEEN ? AND ? ORDER BY pid"
    for first in range(0, len(wanted), _AT_ONCE):
        chosen = set(some := wanted[first : first + _AT_ONCE].tolist())
        by_group: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for pid, tag, whole in store.rows(query, some[0], some[-1]):
            if pid in chosen and len(whole) == row_bytes(dim):  # doctor reports others
                by_group[language_group(tag)].append((pid, whole))
        for group, own in by_group.items():
            yield group, np.array([pid for pid, _ in own], np.int64), unpacked(b"".join(whole for _, whole in own), dim)
