"""How much of exact search is found by shorter codes of vectors, and how fast they are scanned."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from eval.latency.articles import questions, sentence_pools
from index.encoders import load_encoder
from index.encoders.base import FloatArray

_N_QUESTIONS = 96
_WANTED = 10
_FETCHED = (10, 34, 50, 100, 200)


@dataclass(frozen=True, slots=True)
class Code:
    """A way to keep vectors; `found` is the share of the true ten nearest among so many fetched."""

    name: str
    n_vectors: int
    bytes_a_vector: int
    ns_a_vector: float  # p50 of a question, one thread, fifty fetched
    found: dict[str, float]


def codes(data: Path) -> Iterator[Code]:
    """Each code over the distinct sentences of `data` in all languages together, asked its questions."""
    encoder = load_encoder("embedded")
    sentences = list(dict.fromkeys(one for pool in sentence_pools(data).values() for one in pool))
    vectors = np.unique(encoder.encode_passages(sentences).astype(np.float16), axis=0).astype(np.float32)
    vectors = np.ascontiguousarray(np.random.default_rng(0).permutation(vectors))
    queries = encoder.encode_queries(questions(data, _N_QUESTIONS))
    true = np.argsort(-(queries @ vectors.T), axis=1)[:, :_WANTED]
    library: Any = faiss
    dim, product = vectors.shape[1], faiss.METRIC_INNER_PRODUCT
    scalar = faiss.ScalarQuantizer
    kinds: dict[str, Callable[[], Any]] = {
        "fp16": lambda: library.IndexScalarQuantizer(dim, scalar.QT_fp16, product),
        "8 bits": lambda: library.IndexScalarQuantizer(dim, scalar.QT_8bit, product),
        "4 bits": lambda: library.IndexScalarQuantizer(dim, scalar.QT_4bit, product),
        "RaBitQ, 1 bit": lambda: library.IndexRaBitQFastScan(dim, product, 32, 1),
        "RaBitQ, 2 bits": lambda: library.IndexRaBitQFastScan(dim, product, 32, 2),
        f"pq{dim // 2}x4": lambda: library.IndexPQFastScan(dim, dim // 2, 4, product),
        f"pq{dim}x4": lambda: library.IndexPQFastScan(dim, dim, 4, product),
    }
    faiss.omp_set_num_threads(1)
    for name, made in kinds.items():
        index = made()
        index.train(vectors)
        index.add(vectors)
        yield _measured(name, index, queries, true)


def _measured(name: str, index: Any, queries: FloatArray, true: np.ndarray[Any, Any]) -> Code:
    found = {}
    for n in _FETCHED:
        _, ids = index.search(queries, n)
        found[str(n)] = round(float(np.mean([np.isin(a, b).mean() for a, b in zip(true, ids, strict=True)])), 4)
    ns = sorted(_seconds(index, query) for query in queries)[len(queries) // 2] / index.ntotal * 1e9
    return Code(name, index.ntotal, index.sa_code_size(), round(ns, 1), found)


def _seconds(index: Any, query: Sequence[float]) -> float:
    rows = np.asarray(query, np.float32)[None]
    started = time.perf_counter()
    index.search(rows, 50)
    return time.perf_counter() - started
