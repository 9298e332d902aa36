"""A whole ingest in a process of its own: passages a second, processor time, and the memory of all its processes."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from index.encoders import load_encoder
from index.ingest import ingest
from index.settings import IndexSettings
from index.store.sqlite import EmbeddedBackend

_EVERY_S = 0.05  # between two looks at the memory


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingest took; an index of `n_passages` is there then."""

    n_passages: int
    seconds: float  # from files to the vector file
    cpu_seconds: float  # of all its processes
    peak_bytes: int  # that all held at once, looked at now and then, shared memory in each; 0 where not known


def whole(articles: Path, folder: Path, settings: IndexSettings, n_workers: int) -> Ingested:
    """Index a file into `folder` by `n_workers` processes; 1 is the ingesting process itself."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, articles, folder, settings, n_workers))
    process.start()
    there.close()
    try:
        found: Ingested = here.recv()
    finally:
        process.join()
    return found


def _serve(connection: Connection, articles: Path, folder: Path, settings: IndexSettings, n_workers: int) -> None:
    encoder = load_encoder("embedded")
    memory = _Memory()
    before = os.times()
    started = time.monotonic()
    with memory:
        ingest(folder, [str(articles)], encoder, settings, n_workers=n_workers)
    seconds = time.monotonic() - started
    after = os.times()
    backend = EmbeddedBackend(folder)
    n_passages = backend.stats().n_passages
    backend.close()
    # User and system, its own and of the processes that have ended.
    connection.send(Ingested(n_passages, seconds, sum(after[:4]) - sum(before[:4]), memory.peak))


class _Memory:
    """Looks, in a thread, at what this process and its children hold."""

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self.peak = max(self.peak, sum(map(_resident, _family())))

    def __enter__(self) -> _Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def _family() -> list[int]:
    """This process and its children."""
    try:
        threads = list(Path("/proc/self/task").iterdir())
        return [os.getpid(), *(int(pid) for one in threads for pid in (one / "children").read_text("ascii").split())]
    except OSError:  # no /proc
        return []


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except OSError:  # it has ended
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
