"""Times of a search and of its legs, and the memory of a process that searches."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from index.encoders import load_encoder
from index.encoders.base import Encoder
from index.legs import bm25_bound, dense_leg, language_sizes, lexical_leg, names_leg, query_terms
from index.names.question import other_forms
from index.search import search
from index.settings import SearchSettings
from index.store.base import EVERYTHING, Backend, Snapshot
from index.store.sqlite import EmbeddedBackend
from index.text.language import detect_language

LEGS = ("dense", "words", "names", "whole")
NEW = "new"  # the whole of a question that has not been asked before


@dataclass(frozen=True, slots=True)
class Size:
    """What an index of `n_passages` takes: milliseconds (p50, p95) by leg and of a new question, and bytes."""

    n_passages: int
    n_vectors: int
    vector_index: str
    p50_ms: dict[str, float]
    p95_ms: dict[str, float]
    first_ms: float  # opening the index and answering the first question
    memory_bytes: int  # that searching adds to the process, its share of mapped files in it
    disk_bytes: int


def measure(folder: Path, questions: Sequence[str], encoder: str = "embedded") -> Size:
    """Search `folder` in a process of its own: each question once as it comes, then leg by leg."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, folder, list(questions), encoder))
    process.start()
    there.close()
    try:
        found: Size = here.recv()
    finally:
        process.join()
    return found


def _serve(connection: Connection, folder: Path, questions: list[str], name: str) -> None:
    encoder = load_encoder(name)
    encoder.encode_queries(questions[:1])
    before = _memory()
    backend = EmbeddedBackend(folder)
    first = timed(lambda: ask(backend, encoder, questions[0]))
    times: dict[str, list[float]] = {leg: [] for leg in (*LEGS, NEW)}
    for question in questions:
        times[NEW].append(timed(partial(ask, backend, encoder, question)))
    for question in questions:
        for leg, ms in legs(backend, encoder, question).items():
            times[leg].append(ms)
    stats = backend.stats()
    percentiles = [{leg: round(float(np.percentile(own, q)), 3) for leg, own in times.items()} for q in (50, 95)]
    connection.send(
        Size(
            n_passages=stats.n_passages,
            n_vectors=stats.n_vectors,
            vector_index=stats.vector_index,
            p50_ms=percentiles[0],
            p95_ms=percentiles[1],
            first_ms=round(first, 1),
            memory_bytes=_memory() - before,
            disk_bytes=stats.bytes_on_disk,
        )
    )


def ask(backend: Backend, encoder: Encoder, question: str) -> None:
    """Search once."""
    with backend.snapshot() as snapshot:
        search(snapshot, encoder, question)


def legs(backend: Backend, encoder: Encoder, question: str) -> dict[str, float]:
    """Milliseconds of each leg, and of a whole search, each on a snapshot of its own: one keeps what it has scanned."""
    settings, language = SearchSettings(), detect_language(question)
    n = settings.n_candidates
    wanted = query_terms(question, language)

    def dense(snapshot: Snapshot) -> None:
        sizes = language_sizes(snapshot, EVERYTHING)
        dense_leg(snapshot, encoder, question, n, {}, sizes, settings, EVERYTHING)

    work: dict[str, Callable[[Snapshot], object]] = {
        "dense": dense,
        "words": lambda snapshot: _words(snapshot, wanted, n),
        "names": lambda snapshot: _names(snapshot, question, language, wanted, n),
        "whole": lambda snapshot: search(snapshot, encoder, question),
    }
    times = {}
    for leg, own in work.items():
        with backend.snapshot() as snapshot:
            times[leg] = timed(partial(own, snapshot))
    return times


def _words(snapshot: Snapshot, wanted: Sequence[str], n: int) -> None:
    lexical_leg(snapshot, wanted, bm25_bound(snapshot, wanted), n, EVERYTHING)


def _names(snapshot: Snapshot, question: str, language: str, wanted: Sequence[str], n: int) -> None:
    forms = other_forms(snapshot, question, language)
    names_leg(snapshot, forms, language, bm25_bound(snapshot, wanted), n, EVERYTHING)


def timed(work: Callable[[], Any]) -> float:
    """Milliseconds that `work` takes."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def _memory() -> int:
    """Bytes of memory that this process has in use; its greatest so far where the system does not tell."""
    status = Path("/proc/self/statm")
    if status.is_file():
        return int(status.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
