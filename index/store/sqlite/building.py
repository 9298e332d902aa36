"""Making the FAISS index of a store's vectors: exact where they are few; coded where they are many.

Up to `EXACT_MAX` vectors in all they are kept as fp16. Above, each component is one of sixteen values (a product
quantizer, Jegou et al. 2011), which is scanned several times as fast in a quarter of the memory; what a search fetches is
then ranked anew by the stored vectors, which brings recall back (docs/decisions/0015). Memory does not
grow with the vectors but for the index itself: a sample of them is read, then all, a batch at a time.
"""

from __future__ import annotations

import math
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray, HalfArray
from index.store.sqlite.codes import ComponentCodes
from index.store.sqlite.manifest import Partition
from index.store.sqlite.near import as_single
from index.store.sqlite.vectors import MAX_PARTS, SPARE, IntArray, Vectors, for_search, search_partition

EXACT_MAX = 1_000_000  # vectors in all, 512 MB of fp16 at 256 dims; docs/decisions/0015
N_SAMPLE = 50_000  # vectors that the codes are found from
_N_QUERIES = 48  # that recall is measured with
_NOISE = 0.5  # length of what is added to a stored vector to make a query of it
_BATCH = 65_536
_SINGLES = 1_024  # vectors

Rows = Iterable[tuple[int, str, HalfArray]]  # (pid, language, (n_parts, dim))
Coder = Callable[[HalfArray], NDArray[np.uint8]]  # the bytes of vectors in an index, (n, bytes of a vector)


class _Top(NamedTuple):
    """Of each query, the ten nearest vectors by exact search: (n_queries, 10) each."""

    scores: FloatArray
    ids: IntArray


class _Batch(NamedTuple):
    """Vectors of one language as they are stored, and those nearest to the queries."""

    language: str
    ids: IntArray
    codes: NDArray[np.uint8]
    top: _Top


def build(
    rows: Rows, sizes: Mapping[str, int], dim: int, exact_max: int | None = None, sample: Rows | None = None
) -> Vectors:
    """An index over `rows`, of which `sizes` has the vectors of each language.

    Of more than `exact_max` vectors, `EXACT_MAX` if not given, it is one of codes.
    `sample` is a part of the rows that speaks for all of them; without it they are read twice.

    Raises:
        TypeError: The rows cannot be read again, and there is no sample.
    """
    n_vectors = sum(sizes.values())
    if n_vectors <= (EXACT_MAX if exact_max is None else exact_max):
        return build_exact(rows, sizes, dim)
    some, queries = _sampled(_every(_again(rows), n_vectors) if sample is None else sample, dim)
    index, partitions = _empty(sizes, dim, _quantizer(some, dim))
    truth = _fill(index, partitions, rows, queries)
    return _measured(Vectors(index, partitions), queries, truth)


def build_exact(rows: Rows, sizes: Mapping[str, int], dim: int) -> Vectors:
    """An index that is searched exactly, whatever its size."""
    index, partitions = _empty(sizes, dim)
    _fill(index, partitions, rows, np.empty((0, dim), np.float32))
    return Vectors(index, partitions)


def extended(vectors: Vectors, rows: Rows, sizes: Mapping[str, int], gone: IntArray, dim: int) -> Vectors | None:
    """A copy of `vectors` with `rows` and without the ids `gone`; None where it has no place for a language."""
    known = {partition.language for partition in vectors.partitions}
    if not known.issuperset(name for name, n in sizes.items() if n):
        return None
    index: Any = faiss.clone_index(vectors.index)
    if len(gone):
        index.remove_ids(faiss.IDSelectorBatch(gone))
    _fill(index, vectors.partitions, rows, np.empty((0, dim), np.float32))
    counted = tuple(replace(own, n_vectors=index.invlists.list_size(own.first)) for own in vectors.partitions)
    return Vectors(index, counted)


def _every(rows: Rows, n_vectors: int) -> Rows:
    """Rows with at most about `N_SAMPLE` vectors."""
    stride = -(-n_vectors // N_SAMPLE)
    return (row for row in rows if row[0] % stride == 0)


def _sampled(rows: Rows, dim: int) -> tuple[FloatArray, FloatArray]:
    """Vectors of all languages, and queries.

    Queries are vectors with noise, whichever language they are searched in: a question is often in another
    language than what is searched.
    """
    halves = np.concatenate([np.empty((0, dim), np.float16), *(vectors for _, _, vectors in rows)])
    some = halves.astype(np.float32)
    generator = np.random.default_rng(0)
    queries = some[generator.permutation(len(some))[:_N_QUERIES]]
    queries = queries + generator.standard_normal(queries.shape).astype(np.float32) * np.float32(
        _NOISE / math.sqrt(dim)
    )
    return some, queries / np.linalg.norm(queries, axis=1, keepdims=True)


def _again(rows: Rows) -> Rows:
    if iter(rows) is rows:
        raise TypeError("the rows of a large index are read twice: give an iterable, not an iterator, or a sample")
    return rows


def _quantizer(sample: FloatArray, dim: int) -> Any:
    """What turns a vector into 4 bits for each component."""
    library: Any = faiss
    faiss.omp_set_num_threads(1)
    quantizer = library.ProductQuantizer(dim, dim, 4)
    quantizer.cp.min_points_per_centroid = 1  # it warns of fewer than 39
    # Of fewer vectors than there are codes FAISS makes none.
    enough = np.resize(sample, (max(len(sample), 16), dim)) if len(sample) else np.zeros((16, dim), np.float32)
    quantizer.train(np.ascontiguousarray(enough, dtype=np.float32))
    return quantizer


def _empty(sizes: Mapping[str, int], dim: int, quantizer: Any | None = None) -> tuple[Any, tuple[Partition, ...]]:
    """An index with a list for each language and nothing in it: of codes, or of fp16 without a quantizer."""
    library: Any = faiss
    languages = sorted(name for name, n in sizes.items() if n)
    partitions = tuple(
        Partition(language=name, first=place, n_vectors=sizes[name]) for place, name in enumerate(languages)
    )
    n_lists = max(1, len(languages))
    coarse: Any = faiss.IndexFlatIP(dim)
    coarse.add(np.zeros((len(languages), dim), np.float32))
    if quantizer is None:
        code = faiss.ScalarQuantizer.QT_fp16
        index: Any = library.IndexIVFScalarQuantizer(coarse, dim, n_lists, code, faiss.METRIC_INNER_PRODUCT, False)
    else:
        index = library.IndexIVFPQ(coarse, dim, n_lists, quantizer.M, 4, faiss.METRIC_INNER_PRODUCT)
        index.by_residual, index.pq = False, quantizer
    index.own_fields = True
    coarse.this.disown()
    index.is_trained = True
    return index, partitions


def _coder(index: Any) -> Coder:
    """What turns vectors into what the index keeps of them."""
    if not isinstance(index, faiss.IndexIVFPQ):
        return lambda halves: np.ascontiguousarray(halves, dtype="<f2").view(np.uint8)

    return ComponentCodes(index.pq)


def _fill(index: Any, partitions: Iterable[Partition], rows: Rows, queries: FloatArray) -> dict[str, _Top]:
    """Put all rows into the index; of each language, what is nearest to the queries by exact search.

    Batches are prepared by as many threads as there are cores while this one reads and adds.
    """
    library: Any = faiss
    first = {partition.language: partition.first for partition in partitions}
    coder = _coder(index)
    truth: dict[str, _Top] = {}

    def prepared(language: str, ids: IntArray, halves: HalfArray) -> _Batch:
        scores = _products(queries, halves)
        known = truth.get(language)
        if known is not None and known.scores.shape[1] == 10:
            # Nearly all are behind the tenth already: sorting what is not costs little.
            some = np.unique(np.nonzero(scores > known.scores[:, -1:])[1])
            return _Batch(language, ids, coder(halves), _first(scores[:, some], ids[some]))
        return _Batch(language, ids, coder(halves), _first(scores, ids))

    n_threads = os.cpu_count() or 1
    with ThreadPoolExecutor(n_threads) as threads:
        ahead: deque[Future[_Batch]] = deque()

        def take() -> None:
            batch = ahead.popleft().result()
            pointers = (library.swig_ptr(array) for array in (batch.ids, batch.codes))
            index.invlists.add_entries(first[batch.language], len(batch.ids), *pointers)
            index.ntotal += len(batch.ids)
            known = truth.get(batch.language)
            truth[batch.language] = _best(known, batch.top) if known else batch.top

        for language, ids, halves in _batches(rows):
            ahead.append(threads.submit(prepared, language, ids, halves))
            while len(ahead) > 2 * n_threads:
                take()
        while ahead:
            take()
    return truth


def _products(queries: FloatArray, halves: HalfArray) -> FloatArray:
    """(n_queries, n) products; the vectors are made single a few at a time, as long as they stay in the cache."""
    products = np.empty((len(queries), len(halves)), np.float32)
    for start in range(0, len(halves) if len(queries) else 0, _SINGLES):
        some = halves[start : start + _SINGLES]
        products[:, start : start + len(some)] = queries @ as_single(some).T
    return products


def _first(scores: FloatArray, ids: IntArray) -> _Top:
    """The ten nearest of these vectors, nearest first."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    return _Top(np.take_along_axis(scores, order, axis=1), ids[order])


def _best(one: _Top, other: _Top) -> _Top:
    """The ten nearest of both, nearest first."""
    scores, ids = np.concatenate([one.scores, other.scores], axis=1), np.concatenate([one.ids, other.ids], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    return _Top(np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1))


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
        pids, matrices = zip(*own, strict=True)
        sizes = np.fromiter(map(len, matrices), np.int64, len(matrices))
        firsts = np.array(pids, np.int64) * MAX_PARTS - (np.cumsum(sizes) - sizes)
        yield language, np.repeat(firsts, sizes) + np.arange(sizes.sum()), np.concatenate(matrices)


def _measured(vectors: Vectors, queries: FloatArray, truth: Mapping[str, _Top]) -> Vectors:
    """The same with the recall of each language: the share of the exact ten among what a search for ten fetches.

    A vector that is there more than once is found when one of its like is.
    """
    index = for_search(vectors.index)
    faiss.omp_set_num_threads(1)

    def recall(own: Partition) -> float:
        _, found = search_partition(index, queries, min(10 + SPARE, own.n_vectors), own, None)
        codes = _codes_by_id(vectors.index, own.first)
        shares = []
        for exact, fetched in zip(truth[own.language].ids.tolist(), found.tolist(), strict=True):
            known = {codes(i) for i in fetched if i >= 0}
            shares.append(sum(codes(i) in known for i in exact) / len(exact))
        return round(float(np.mean(shares)), 4)

    return Vectors(vectors.index, tuple(replace(own, recall=recall(own)) for own in vectors.partitions))


def _codes_by_id(index: Any, number: int) -> Callable[[int], bytes]:
    """The code of each vector in a list that was filled in the order of ids."""
    library: Any = faiss
    lists, size = index.invlists, index.invlists.list_size(number)
    ids = library.rev_swig_ptr(lists.get_ids(number), size)
    codes = library.rev_swig_ptr(lists.get_codes(number), size * index.code_size).reshape(size, -1)
    return lambda i: bytes(codes[np.searchsorted(ids, i)])
