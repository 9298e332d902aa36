"""Making a vector file of what a store holds: what is new put to the last file, or all of it anew."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path

import numpy as np

from index.store.sqlite import vectors as vec
from index.store.sqlite.building import N_SAMPLE, build, extended
from index.store.sqlite.files import identity, is_verified, remember, verify
from index.store.sqlite.manifest import VECTORS, VectorFile, sha256_of
from index.store.sqlite.rows import Rows, Sample
from index.store.sqlite.schema import connect

_RETRAIN = 2  # times as many vectors as the codes were found for


def make_file(folder: Path, connection: sqlite3.Connection, last: VectorFile | None) -> VectorFile:
    """Write a file of the state that the connection's transaction sees; no manifest names it yet.

    `last` is the file before, where what is new may be put to it. A file that is exact is always made anew.

    Raises:
        OSError: It cannot be written.
        RuntimeError: FAISS could not write it.
    """
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    key, dim, generation = meta["settings_key"], int(meta["dim"]), int(meta["generation"])
    (max_pid,) = connection.execute("SELECT coalesce(max(pid), 0) FROM passages").fetchone()
    rows = Rows(connection, dim, key)
    sizes = rows.sizes()
    built, n_trained = None, 0
    if last is not None and _may_grow(folder, last, meta, sum(sizes.values())):
        built, n_trained = _grown(folder, connection, last, dim, key), last.n_trained
    if built is None or built.index.ntotal != sum(sizes.values()):
        built = build(rows, sizes, dim, sample=Sample(rows, max_pid, N_SAMPLE // 5))
        n_trained = sum(sizes.values()) if built.approximate else 0
    (folder / VECTORS).mkdir(exist_ok=True)
    path = folder / VECTORS / f"{generation}-{key[:6]}.faiss"
    vec.save(built.index, path)
    described = VectorFile(
        file=path.name,
        sha256=sha256_of(path),
        kind=built.kind,
        generation=generation,
        max_pid=max_pid,
        n_vectors=sum(sizes.values()),
        settings_key=key,
        recall=built.recall,
        partitions=built.partitions,
        n_trained=n_trained,
    )
    remember(folder, identity(folder, described))
    return described


def _may_grow(folder: Path, last: VectorFile, meta: dict[str, str], n_vectors: int) -> bool:
    fits = last.settings_key == meta["settings_key"] and int(meta["pruned"]) <= last.generation
    enough = last.n_trained and last.n_trained / _RETRAIN <= n_vectors <= _RETRAIN * last.n_trained
    return bool(fits and enough and (is_verified(folder, last) or not verify(folder, last)))


def _grown(folder: Path, connection: sqlite3.Connection, last: VectorFile, dim: int, key: str) -> vec.Vectors | None:
    """The last file with what came since and without what has gone; None where it has no place for a language."""
    gone = connection.execute(
        "SELECT pid, n_vectors FROM deleted WHERE pid <= ? AND generation > ?", (last.max_pid, last.generation)
    ).fetchall()
    ids = np.concatenate([np.empty(0, np.int64), *(vec.part_ids(pid, n) for pid, n in gone)])
    rows = Rows(connection, dim, key, last.max_pid)
    old = vec.Vectors(vec.load_to_change(folder / VECTORS / last.file), last.partitions)
    return extended(old, rows, rows.sizes(), ids, dim)


class InBackground:
    """A vector file being made in a thread, of the state that there was when it began."""

    def __init__(self, folder: Path, last: VectorFile | None) -> None:
        self._folder, self._last = folder, last
        self._made: VectorFile | None = None
        self._connection = connect(folder)
        self._connection.execute("BEGIN")
        self._connection.execute("SELECT 1 FROM meta").fetchone()  # the state is that of the first read
        self._thread = threading.Thread(target=self._make, daemon=True)
        self._thread.start()

    def _make(self) -> None:
        # What fails here is tried again, and said, when the writer brings the file up to date itself.
        with contextlib.suppress(OSError, RuntimeError, sqlite3.Error):
            self._made = make_file(self._folder, self._connection, self._last)

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> VectorFile | None:
        """The file, None where none was made; waits for it."""
        self._thread.join()
        self._connection.close()
        return self._made

    def stop(self) -> None:
        """Give up."""
        self._connection.interrupt()
        self.result()
