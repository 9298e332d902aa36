"""Making the FAISS index of a store's vectors: exact where they are few; coded in 4 bits and clustered where many.

Up to `EXACT_MAX` vectors in all, each language has one list of fp16 vectors. Above, a component
has 4 bits and a large language `sqrt(n)` clusters; what a search fetches is then ranked anew by the
stored vectors, which costs a few rows and brings recall back (docs/decisions/0015). Memory does not
grow with the vectors but for the index itself: a sample of them is read, then all, a batch at a time.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import faiss
import numpy as np

from index.backends.embedded.manifest import Partition
from index.backends.embedded.vectors import SPARE, IntArray, Vectors, part_ids, search_partition
from index.encoders.base import FloatArray, HalfArray

EXACT_MAX = 1_000_000  # vectors in all, 512 MB of fp16 at 256 dims; docs/decisions/0015
CLUSTERED_MIN = 50_000  # of a language: of fewer, nearly all clusters would be searched
N_SAMPLE = 400_000  # vectors that clusters and the range of each component are found from
_PER_CLUSTER = 64  # of them, for each cluster
_ITERATIONS = 5
_TARGET_RECALL = 0.99  # of exact search at 10, which nprobe is tuned to
_N_TUNING = 100  # queries that it is tuned on
_NOISE = 0.5  # length of what is added to a stored vector to make a query of it
_BATCH = 65_536

Rows = Iterable[tuple[int, str, HalfArray]]  # (pid, language, (n_parts, dim))


class _Top(NamedTuple):
    """Of each query, the ten nearest vectors by exact search: (n_queries, 10) each."""

    scores: FloatArray
    ids: IntArray
    lists: IntArray


class _Batch(NamedTuple):
    """Vectors of one language, the list of each, and those nearest to the queries."""

    language: str
    ids: IntArray
    vectors: FloatArray
    lists: IntArray
    top: _Top


def build(
    rows: Rows,
    sizes: Mapping[str, int],
    dim: int,
    exact_max: int = EXACT_MAX,
    sample: Rows | None = None,
    clustered_min: int = CLUSTERED_MIN,
) -> Vectors:
    """An index over `rows`, of which `sizes` has the vectors of each language.

    `sample` is a part of the rows that speaks for all of them; without it they are read twice.

    Raises:
        TypeError: The rows cannot be read again, and there is no sample.
    """
    n_vectors = sum(sizes.values())
    if n_vectors <= exact_max:
        return build_exact(rows, sizes, dim)
    some, queries = _sampled(_every(_again(rows), n_vectors) if sample is None else sample, dim)
    centroids = _trained(
        some, {name: n_clusters(sizes[name], clustered_min) for name in sorted(sizes) if sizes[name]}, dim
    )
    index, partitions = _empty(centroids, sizes, dim, faiss.ScalarQuantizer.QT_4bit)
    index.sq.train(np.concatenate([part.astype(np.float32) for part in some.values()]))
    truth = _fill(index, partitions, centroids, rows, queries, dim)
    return _tuned(Vectors(index, partitions), queries, truth)


def build_exact(rows: Rows, sizes: Mapping[str, int], dim: int) -> Vectors:
    """An index that is searched exactly, whatever its size."""
    centroids = {name: np.zeros((1, dim), np.float32) for name in sorted(sizes) if sizes[name]}
    index, partitions = _empty(centroids, sizes, dim, faiss.ScalarQuantizer.QT_fp16)
    _fill(index, partitions, centroids, rows, np.empty((0, dim), np.float32), dim)
    return Vectors(index, partitions)


def extended(vectors: Vectors, rows: Rows, sizes: Mapping[str, int], gone: IntArray, dim: int) -> Vectors | None:
    """A copy of `vectors` with `rows` and without the ids `gone`; None where it has no place for a language."""
    known = {partition.language for partition in vectors.partitions}
    if not known.issuperset(name for name, n in sizes.items() if n):
        return None
    index: Any = faiss.clone_index(vectors.index)
    if len(gone):
        index.remove_ids(faiss.IDSelectorBatch(gone))
    centroids: dict[str, FloatArray] = {}
    for partition in vectors.partitions:
        centroids[partition.language] = index.quantizer.reconstruct_n(partition.first, partition.n_lists)
    _fill(index, vectors.partitions, centroids, rows, np.empty((0, dim), np.float32), dim)
    counted = tuple(
        replace(own, n_vectors=sum(index.invlists.list_size(own.first + i) for i in range(own.n_lists)))
        for own in vectors.partitions
    )
    return Vectors(index, counted)


def _every(rows: Rows, n_vectors: int) -> Rows:
    """Rows with at most about `N_SAMPLE` vectors."""
    stride = -(-n_vectors // N_SAMPLE)
    return (row for row in rows if row[0] % stride == 0)


def _sampled(rows: Rows, dim: int) -> tuple[dict[str, HalfArray], FloatArray]:
    """The vectors of each language, and queries.

    Queries are vectors of all languages with noise, whichever language they are searched in: a
    question is often in another language than what is searched, and finds its nearest by more clusters.
    """
    some: dict[str, list[HalfArray]] = defaultdict(list)
    for _, language, vectors in rows:
        some[language].append(vectors)
    joined = {language: np.concatenate(parts) for language, parts in some.items()}
    everything = np.concatenate([np.empty((0, dim), np.float16), *(joined[name] for name in sorted(joined))])
    generator = np.random.default_rng(0)
    queries = everything[generator.permutation(len(everything))[:_N_TUNING]].astype(np.float32)
    queries += generator.standard_normal(queries.shape).astype(np.float32) * np.float32(_NOISE / math.sqrt(dim))
    return joined, queries / np.linalg.norm(queries, axis=1, keepdims=True)


def _again(rows: Rows) -> Rows:
    if iter(rows) is rows:
        raise TypeError("the rows of a large index are read twice: give an iterable, not an iterator, or a sample")
    return rows


def n_clusters(n_vectors: int, clustered_min: int = CLUSTERED_MIN) -> int:
    """Lists of a language; two at the least, for a language with one list is searched exactly."""
    return max(2, math.isqrt(n_vectors)) if n_vectors >= clustered_min else 2


def _trained(some: Mapping[str, HalfArray], n_lists: Mapping[str, int], dim: int) -> dict[str, FloatArray]:
    """Centroids (n_lists, dim) of each language; lists without one are searched as well as all others."""
    library: Any = faiss

    def train(language: str) -> FloatArray:
        faiss.omp_set_num_threads(1)
        sample = some.get(language, np.empty((0, dim), np.float16)).astype(np.float32)
        k = min(n_lists[language], len(sample))
        if k <= 2:
            return np.zeros((2, dim), np.float32)
        options = {"min_points_per_centroid": 1, "max_points_per_centroid": _PER_CLUSTER, "seed": 1}
        kmeans = library.Kmeans(dim, k, niter=_ITERATIONS, spherical=True, **options)
        kmeans.train(sample)
        found: FloatArray = kmeans.centroids.reshape(k, dim)
        return found

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return dict(zip(n_lists, threads.map(train, n_lists), strict=True))


def _empty(
    centroids: Mapping[str, FloatArray], sizes: Mapping[str, int], dim: int, code: int
) -> tuple[Any, tuple[Partition, ...]]:
    """An index with the lists of each language and nothing in them."""
    coarse: Any = faiss.IndexFlatIP(dim)
    partitions = []
    for language, own in centroids.items():
        partitions.append(
            Partition(language=language, first=coarse.ntotal, n_lists=len(own), n_vectors=sizes[language])
        )
        coarse.add(own)
    n_lists = max(1, coarse.ntotal)
    index: Any = faiss.IndexIVFScalarQuantizer(coarse, dim, n_lists, code, faiss.METRIC_INNER_PRODUCT, False)
    index.own_fields = True
    coarse.this.disown()
    index.is_trained = True
    return index, tuple(partitions)


def _fill(
    index: Any,
    partitions: Iterable[Partition],
    centroids: Mapping[str, FloatArray],
    rows: Rows,
    queries: FloatArray,
    dim: int,
) -> dict[str, _Top]:
    """Put all rows into the index; of each language, what is nearest to the queries by exact search.

    Batches are prepared by as many threads as there are cores while this one reads and adds.
    """
    library: Any = faiss
    first = {partition.language: partition.first for partition in partitions}
    nearest = {language: faiss.IndexFlatIP(dim) for language in centroids}
    for language, own in centroids.items():
        nearest[language].add(own)

    def prepared(language: str, ids: IntArray, halves: HalfArray) -> _Batch:
        faiss.omp_set_num_threads(1)
        vectors = halves.astype(np.float32)
        lists = np.full(len(ids), first[language], np.int64)
        if nearest[language].ntotal > 2:
            lists += nearest[language].search(vectors, 1)[1][:, 0]
        scores = queries @ vectors.T
        known = truth.get(language)
        if known is not None and known.scores.shape[1] == 10:
            # Nearly all are behind the tenth already: sorting what is not costs little.
            some = np.unique(np.nonzero(scores > known.scores[:, -1:])[1])
            return _Batch(language, ids, vectors, lists, _first(scores[:, some], ids[some], lists[some]))
        return _Batch(language, ids, vectors, lists, _first(scores, ids, lists))

    truth: dict[str, _Top] = {}
    faiss.omp_set_num_threads(1)
    n_threads = os.cpu_count() or 1
    with ThreadPoolExecutor(n_threads) as threads:
        ahead: deque[Future[_Batch]] = deque()

        def take() -> None:
            batch = ahead.popleft().result()
            pointers = (library.swig_ptr(array) for array in (batch.vectors, batch.ids, batch.lists))
            index.add_core(len(batch.ids), *pointers, None)
            known = truth.get(batch.language)
            truth[batch.language] = _best(known, batch.top) if known else batch.top

        for language, ids, halves in _batches(rows):
            ahead.append(threads.submit(prepared, language, ids, halves))
            while len(ahead) > 2 * n_threads:
                take()
        while ahead:
            take()
    return truth


def _first(scores: FloatArray, ids: IntArray, lists: IntArray) -> _Top:
    """The ten nearest of these vectors, nearest first."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    return _Top(np.take_along_axis(scores, order, axis=1), ids[order], lists[order])


def _best(one: _Top, other: _Top) -> _Top:
    """The ten nearest of both, nearest first."""
    scores = np.concatenate([one.scores, other.scores], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    ids, lists = np.concatenate([one.ids, other.ids], axis=1), np.concatenate([one.lists, other.lists], axis=1)
    taken = (np.take_along_axis(values, order, axis=1) for values in (ids, lists))
    return _Top(np.take_along_axis(scores, order, axis=1), *taken)


def _batches(rows: Rows) -> Iterator[tuple[str, IntArray, HalfArray]]:
    """(language, ids, vectors); at most about `_BATCH` vectors are held at a time."""
    held: dict[str, list[tuple[int, HalfArray]]] = defaultdict(list)
    n = 0
    for pid, language, matrix in rows:
        held[language].append((pid, matrix))
        n += len(matrix)
        if n >= _BATCH:
            yield from _joined(held)
            held, n = defaultdict(list), 0
    yield from _joined(held)


def _joined(held: Mapping[str, list[tuple[int, HalfArray]]]) -> Iterator[tuple[str, IntArray, HalfArray]]:
    for language, own in held.items():
        ids = np.concatenate([part_ids(pid, len(matrix)) for pid, matrix in own])
        yield language, ids, np.concatenate([matrix for _, matrix in own])


def _tuned(vectors: Vectors, queries: FloatArray, truth: Mapping[str, _Top]) -> Vectors:
    """The same with, for each language, the smallest nprobe that reaches the target, and the recall that it has.

    Recall is the share of the exact ten among what a search for ten fetches to rank anew.
    """

    def tuned(partition: Partition) -> Partition:
        faiss.omp_set_num_threads(1)
        exact, n = truth[partition.language], min(10 + SPARE, partition.n_vectors)
        own = replace(partition, nprobe=_n_to_probe(vectors.index, partition, queries, exact))
        _, found = search_partition(vectors.index, queries, n, own, None)
        recall = float(np.mean([np.isin(a, b).mean() for a, b in zip(exact.ids, found, strict=True)]))
        return replace(own, recall=round(recall, 4))

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return Vectors(vectors.index, tuple(threads.map(tuned, vectors.partitions)))


def _n_to_probe(index: Any, partition: Partition, queries: FloatArray, exact: _Top) -> int:
    """Lists to search, nearest first, so that the target's share of the exact ten lies in them."""
    if partition.n_lists <= 2:
        return partition.n_lists
    centroids = index.quantizer.reconstruct_n(partition.first, partition.n_lists)
    places = np.argsort(np.argsort(-(queries @ centroids.T), axis=1, kind="stable"), axis=1)
    ranks = np.sort(np.take_along_axis(places, exact.lists - partition.first, axis=1), axis=None)
    return int(ranks[min(len(ranks) - 1, math.ceil(_TARGET_RECALL * len(ranks)))]) + 1
