"""The vectors of an index in FAISS: derived from the store, immutable once made.

FAISS searched and changed at once crashes, so nothing here changes: a new state is a new
object. Ids are `pid * 256 + part`, so that a vector names its passage. The vectors of each
language lie in inverted lists of their own (one list, or many clusters where there are many), so
that a search of one language costs that language's share, and none is buried under another.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index.backends.embedded.manifest import Partition, rename_synced
from index.encoders.base import FloatArray

MAX_PARTS = 256  # vectors a passage; the chunker makes far fewer
EXACT_MAX = 400_000  # vectors of a language: above, exact search takes over 15 ms; docs/decisions/0007
_TARGET_RECALL = 0.99  # of exact search at 10, which nprobe is tuned to
_TRAIN_PER_LIST = 20
_TRAIN_ITERATIONS = 5  # more cost seconds and move recall by less than tuning nprobe does
_N_TUNING = 200  # queries a language that nprobe is tuned on

IntArray = NDArray[np.int64]
Rows = Iterable[tuple[int, str, FloatArray]]  # (pid, language, (n_parts, dim))


@dataclass(frozen=True, slots=True)
class Vectors:
    """A FAISS index, and which of its lists each language has."""

    index: Any
    partitions: tuple[Partition, ...]

    @property
    def kind(self) -> str:
        """`exact-fp16`, or how many lists there are."""
        n_lists = sum(partition.n_lists for partition in self.partitions)
        return "exact-fp16" if n_lists <= len(self.partitions) else f"ivf{n_lists}-fp16"

    @property
    def recall(self) -> float:
        """Recall@10 against exact search, mean over vectors."""
        n_vectors = sum(partition.n_vectors for partition in self.partitions)
        found = sum(partition.n_vectors * partition.recall for partition in self.partitions)
        return round(found / n_vectors, 4) if n_vectors else 1.0


def part_ids(pid: int, n_parts: int) -> IntArray:
    """Ids of a passage's vectors."""
    return np.arange(n_parts, dtype=np.int64) + pid * MAX_PARTS


def build(rows: Rows, sizes: Mapping[str, int], dim: int, exact_max: int = EXACT_MAX) -> Vectors:
    """An index over `rows`, fp16: a language is searched exactly up to `exact_max` vectors, by clusters above.

    `sizes` are the vectors of each language; where one is clustered, `rows` is read three times.

    Raises:
        TypeError: A language is to be clustered and `rows` cannot be read again.
    """
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    try:
        large = {language: n for language, n in sizes.items() if n > exact_max}
        samples, queries = _samples(rows, large, dim) if large else ({}, {})
        partitions: list[Partition] = []
        centroids: list[FloatArray] = []
        for language in sorted(name for name, n in sizes.items() if n):
            own = _clusters(samples[language], large[language]) if language in large else np.zeros((1, dim), np.float32)
            first = sum(map(len, centroids))
            partitions.append(Partition(language=language, first=first, n_lists=len(own), n_vectors=sizes[language]))
            centroids.append(own)
        vectors = Vectors(_fill(rows, partitions, centroids, dim), tuple(partitions))
        return Vectors(vectors.index, _tuned(vectors, rows, queries, dim)) if large else vectors
    finally:
        faiss.omp_set_num_threads(1)


def _samples(rows: Rows, large: Mapping[str, int], dim: int) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Of each language in `large`: vectors to find clusters in, and queries to tune on."""
    sample: dict[str, list[FloatArray]] = defaultdict(list)
    held: dict[str, list[FloatArray]] = defaultdict(list)
    generator = np.random.default_rng(0)
    for language, _, vectors in _batches(_again(rows), dim):
        if language in large:
            n = large[language]
            stride = max(1, n // (_n_lists(n) * _TRAIN_PER_LIST))
            sample[language].append(vectors[::stride].copy())  # a view would keep the whole batch alive
            n_held = max(1, 10 * _N_TUNING * len(vectors) // n)
            held[language].append(vectors[generator.integers(0, len(vectors), size=n_held)])
    queries = {}
    for language, parts in held.items():
        own = np.concatenate(parts)
        own = own[generator.permutation(len(own))[:_N_TUNING]]
        noise = generator.standard_normal(own.shape).astype(np.float32) * (0.5 / math.sqrt(dim))
        queries[language] = own + noise
    return {language: np.concatenate(parts) for language, parts in sample.items()}, queries


def _n_lists(n_vectors: int) -> int:
    return int(4 * math.sqrt(n_vectors))


def _clusters(sample: FloatArray, n_vectors: int) -> FloatArray:
    """Centroids (n_lists, dim) for a language of `n_vectors`."""
    library: Any = faiss
    n_lists = min(_n_lists(n_vectors), len(sample))
    kmeans = library.Kmeans(
        sample.shape[1], n_lists, niter=_TRAIN_ITERATIONS, spherical=True, min_points_per_centroid=1, seed=1
    )
    kmeans.train(sample)
    centroids: FloatArray = kmeans.centroids.reshape(n_lists, -1)
    return centroids


def _fill(rows: Rows, partitions: list[Partition], centroids: list[FloatArray], dim: int) -> Any:
    library: Any = faiss
    coarse: Any = faiss.IndexFlatIP(dim)
    coarse.add(np.concatenate([np.zeros((0, dim), np.float32), *centroids]))
    index: Any = faiss.IndexIVFScalarQuantizer(
        coarse, dim, max(1, coarse.ntotal), faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT, False
    )
    index.own_fields = True
    coarse.this.disown()
    index.is_trained = True
    place = {partition.language: i for i, partition in enumerate(partitions)}
    nearest = [faiss.IndexFlatIP(dim) for _ in partitions]
    for own, vectors in zip(nearest, centroids, strict=True):
        own.add(vectors)
    for language, ids, vectors in _batches(rows, dim):
        i = place[language]
        lists = np.full(len(ids), partitions[i].first, np.int64)
        if partitions[i].n_lists > 1:
            lists += nearest[i].search(vectors, 1)[1][:, 0]
        pointers = (library.swig_ptr(array) for array in (vectors, ids, lists))
        index.add_core(len(ids), *pointers, None)
    return index


def _batches(rows: Rows, dim: int, size: int = 16_384) -> Iterator[tuple[str, IntArray, FloatArray]]:
    """(language, ids, vectors) of at most about `size` vectors in all that are held at a time."""
    held: dict[str, list[tuple[int, FloatArray]]] = defaultdict(list)
    n = 0
    for pid, language, matrix in rows:
        held[language].append((pid, matrix))
        n += len(matrix)
        if n >= size:
            yield from _joined(held)
            held, n = defaultdict(list), 0
    yield from _joined(held)


def _joined(held: Mapping[str, list[tuple[int, FloatArray]]]) -> Iterator[tuple[str, IntArray, FloatArray]]:
    for language, own in held.items():
        ids = np.concatenate([part_ids(pid, len(matrix)) for pid, matrix in own])
        yield language, ids, np.ascontiguousarray(np.concatenate([matrix for _, matrix in own]), dtype=np.float32)


def _again(rows: Rows) -> Rows:
    """The rows from the start: a source that can be read more than once."""
    if iter(rows) is rows:
        raise TypeError("the rows of a large index are read three times: give an iterable, not an iterator")
    return rows


def _tuned(vectors: Vectors, rows: Rows, queries: Mapping[str, FloatArray], dim: int) -> tuple[Partition, ...]:
    """The partitions, each with the smallest nprobe that reaches the target recall@10, and the recall it has."""
    scores = {language: np.full((len(own), 10), -np.inf, np.float32) for language, own in queries.items()}
    exact = {language: np.full((len(own), 10), -1, np.int64) for language, own in queries.items()}
    for language, ids, matrix in _batches(_again(rows), dim):
        if language in queries:
            fresh = queries[language] @ matrix.T
            merged = np.concatenate([scores[language], fresh], axis=1)
            merged_ids = np.concatenate([exact[language], np.broadcast_to(ids, fresh.shape)], axis=1)
            top = np.argpartition(-merged, 10, axis=1)[:, :10]
            scores[language] = np.take_along_axis(merged, top, axis=1)
            exact[language] = np.take_along_axis(merged_ids, top, axis=1)
    tuned = []
    for partition in vectors.partitions:
        language, nprobe, recall = partition.language, 1, 1.0
        if language in queries:
            nprobe, recall = 8, 0.0
            while nprobe <= partition.n_lists:
                _, found = _search(vectors.index, queries[language], 10, partition, nprobe, None)
                hits = [len(np.intersect1d(a, b)) for a, b in zip(found, exact[language], strict=True)]
                recall = float(np.mean(hits)) / 10
                if recall >= _TARGET_RECALL:
                    break
                nprobe *= 2
        nprobe = min(nprobe, partition.n_lists)
        tuned.append(
            Partition(
                language=language, first=partition.first, n_lists=partition.n_lists,
                n_vectors=partition.n_vectors, nprobe=nprobe, recall=round(recall, 4),
            )
        )  # fmt: skip
    return tuple(tuned)


def save(index: Any, path: Path) -> None:
    """Write an index beside `path`, sync it, and rename it there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    faiss.write_index(index, str(beside))
    with beside.open("rb+") as file:
        os.fsync(file.fileno())
    rename_synced(beside, path)


def load(path: Path) -> Any:
    """The index in a file whose checksum has been verified.

    Raises:
        RuntimeError: FAISS cannot read it.
    """
    return faiss.read_index(str(path))


@dataclass(frozen=True, slots=True)
class VectorView:
    """What one generation can find: a base index, a small delta, and what of the base is dead."""

    base: Vectors | None
    delta: Vectors | None
    dead: IntArray  # vector ids, sorted

    def languages(self) -> set[str]:
        """The languages that something can be found in, or could before it was deleted."""
        return {partition.language for part in (self.base, self.delta) if part for partition in part.partitions}

    def nearest(
        self,
        query: FloatArray,
        n: int,
        languages: Collection[str] | None = None,
        allowed: IntArray | None = None,
    ) -> list[tuple[int, float]]:
        """(pid, best cosine of its parts) of the passages of the `n` nearest vectors, nearest first.

        Only of `languages` and of the vectors with an id in `allowed`, where they are given.
        """
        hits: list[tuple[float, int]] = []
        faiss.omp_set_num_threads(1)  # two threads make a single query ten times slower (measured)
        if allowed is not None and not len(allowed):
            return []
        chosen = faiss.IDSelectorBatch(allowed) if allowed is not None else None
        buried = faiss.IDSelectorBatch(self.dead) if len(self.dead) else None
        alive = faiss.IDSelectorNot(buried) if buried is not None else None
        rows = np.ascontiguousarray(query.reshape(1, -1), dtype=np.float32)
        for part, selector in ((self.base, chosen or alive), (self.delta, chosen)):
            for partition in part.partitions if part is not None else ():
                if part is not None and (languages is None or partition.language in languages):
                    found = _search(
                        part.index, rows, min(n, partition.n_vectors), partition, partition.nprobe, selector
                    )
                    hits += zip(found[0][0].tolist(), found[1][0].tolist(), strict=True)
        hits = sorted((hit for hit in hits if hit[1] >= 0), key=lambda hit: (-hit[0], hit[1]))
        best: dict[int, float] = {}
        for score, vector_id in hits[:n]:
            best.setdefault(vector_id // MAX_PARTS, score)
        return list(best.items())


def _search(
    index: Any, queries: FloatArray, n: int, partition: Partition, nprobe: int, selector: Any | None
) -> tuple[FloatArray, IntArray]:
    """Scores and ids (n_queries, n) of the nearest vectors in the lists of one language; id -1 where there are fewer."""
    # faiss's own type stubs do not know these keyword arguments.
    library: Any = faiss
    own_lists = library.IDSelectorRange(partition.first, partition.first + partition.n_lists)
    params = library.SearchParametersIVF(
        nprobe=nprobe,
        quantizer_params=library.SearchParameters(sel=own_lists),
        **({"sel": selector} if selector else {}),
    )
    scores, ids = index.search(queries, n, params=params)
    return scores, ids
