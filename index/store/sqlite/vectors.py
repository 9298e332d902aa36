"""The nearest passages by FAISS: one exact index a language group, of the vectors of whole passages.

The indexes are derived from the store and never change once made: FAISS searched and changed at once crashes. A new
generation is a copy of the last one with what came and without what has gone. Ids are pids.

Parts are compared in the search, by the vectors in the store: they decide the order, not who is a candidate. With all
parts in the index the same passages are found (docs/decisions/0007), in five times the space.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray
from index.errors import StoreError
from index.store.quantized import row_bytes, unpacked
from index.store.sqlite.manifest import VECTORS, VectorFiles, sha256_of, sync_folder

KIND = "exact fp16, one index a language"
_FACTORY = "IDMap,SQfp16"
_AT_ONCE = 10_000  # passages read


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """What one generation of a store finds by vectors; immutable."""

    generation: int
    settings_key: str
    max_pid: int
    groups: Mapping[str, Any] = field(default_factory=dict)  # a FAISS index by language group

    def is_of(self, meta: Mapping[str, str]) -> bool:
        """Whether it is of the very state that `meta` describes."""
        return self.generation == int(meta["generation"]) and self.settings_key == meta["settings_key"]

    @property
    def n_passages(self) -> int:
        return sum(index.ntotal for index in self.groups.values())

    def nearest(
        self, group: str, query: FloatArray, n: int, allowed: NDArray[np.uint8] | None = None
    ) -> list[tuple[int, float]]:
        """(pid, cosine) of the `n` nearest passages of a language group, nearest first.

        `allowed` has a bit for each pid that may be found, the lowest bit of a byte first.
        """
        index = self.groups.get(group)
        if index is None or not index.ntotal:
            return []
        faiss.omp_set_num_threads(1)  # beside other work two threads make a single query ten times slower
        library: Any = faiss
        params = None if allowed is None else library.SearchParameters(sel=library.IDSelectorBitmap(allowed))
        rows = np.ascontiguousarray(query.reshape(1, -1), dtype=np.float32)
        cosines, pids = index.search(rows, min(n, index.ntotal), params=params)
        return [(pid, cosine) for pid, cosine in zip(pids[0].tolist(), cosines[0].tolist(), strict=True) if pid >= 0]


def language_group(tag: str) -> str:
    """The primary subtag of a language."""
    return tag.split("-")[0]


def from_store(connection: sqlite3.Connection, meta: Mapping[str, str]) -> VectorIndex:
    """The index of the state that the connection's transaction sees, made of the stored vectors."""
    return advanced(VectorIndex(int(meta["generation"]), meta["settings_key"], 0), connection, meta)


def can_advance(last: VectorIndex | VectorFiles, meta: Mapping[str, str]) -> bool:
    """Whether the store remembers all that changed between `last` and the state that `meta` describes."""
    between = int(meta["pruned"]) <= last.generation <= int(meta["generation"])
    return between and last.settings_key == meta["settings_key"]


def advanced(last: VectorIndex, connection: sqlite3.Connection, meta: Mapping[str, str]) -> VectorIndex:
    """`last` brought to the state that the connection's transaction sees; groups that did not change are shared."""
    dim, key = int(meta["dim"]), meta["settings_key"]
    groups = dict(last.groups)
    gone: dict[str, list[int]] = defaultdict(list)
    for pid, tag in connection.execute(
        "SELECT pid, language FROM deleted WHERE pid <= ? AND generation > ?", (last.max_pid, last.generation)
    ):
        gone[language_group(tag)].append(pid)
    for group in gone.keys() & groups.keys():
        groups[group] = faiss.clone_index(groups[group])
        groups[group].remove_ids(faiss.IDSelectorBatch(np.array(gone[group], np.int64)))
    copied = set(gone)
    for group, pids, vectors in _new_vectors(connection, dim, key, last.max_pid):
        if group not in groups:
            groups[group] = faiss.index_factory(dim, _FACTORY, faiss.METRIC_INNER_PRODUCT)
        elif group not in copied:
            groups[group] = faiss.clone_index(groups[group])
        copied.add(group)
        groups[group].add_with_ids(vectors, pids)
    (max_pid,) = connection.execute("SELECT coalesce(max(pid), 0) FROM passages").fetchone()
    return VectorIndex(int(meta["generation"]), key, max(max_pid, last.max_pid), groups)


def _new_vectors(
    connection: sqlite3.Connection, dim: int, settings_key: str, after: int
) -> Iterator[tuple[str, NDArray[np.int64], FloatArray]]:
    """(language group, pids, vectors of the wholes) of current passages after a pid, some thousand at a time."""
    cursor = connection.execute(
        "SELECT p.language, p.pid, substr(v.parts, 1, ?) FROM passages p JOIN vectors v USING (pid)"
        " JOIN documents d USING (doc_pk) WHERE p.pid > ? AND p.n_vectors > 0 AND d.settings_key = ? ORDER BY p.pid",
        (row_bytes(dim), after, settings_key),
    )
    while rows := cursor.fetchmany(_AT_ONCE):
        by_group: dict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for tag, pid, whole in rows:
            if len(whole) == row_bytes(dim):  # doctor reports others
                by_group[language_group(tag)].append((pid, whole))
        for group, own in by_group.items():
            yield group, np.array([pid for pid, _ in own], np.int64), unpacked(b"".join(w for _, w in own), dim)


def save(index: VectorIndex, folder: Path) -> VectorFiles:
    """Write `index` into a new folder in `folder`, synced; no manifest names it yet.

    Raises:
        OSError: It cannot be written.
        RuntimeError: FAISS could not write it.
    """
    place = folder / VECTORS / f"{index.generation}-{uuid.uuid4().hex[:8]}"
    place.mkdir(parents=True)
    files = {}
    for number, (group, own) in enumerate(sorted(index.groups.items())):
        path = place / f"{number}.faiss"
        faiss.write_index(own, str(path))
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        files[group] = [path.name, sha256_of(path)]
    for synced in (place, place.parent, folder):
        sync_folder(synced)
    return VectorFiles(
        folder=place.name,
        generation=index.generation,
        max_pid=index.max_pid,
        n_passages=index.n_passages,
        settings_key=index.settings_key,
        files=files,
    )


def load(folder: Path, described: VectorFiles) -> VectorIndex:
    """The index in the files that the manifest describes, each checked by its SHA-256.

    FAISS loads a file with flipped bytes without an error.

    Raises:
        StoreError: A file is missing or damaged.
    """
    groups = {}
    for group, (name, checksum) in described.files.items():
        path = folder / VECTORS / described.folder / name
        try:
            if sha256_of(path) != checksum:
                raise _unusable(f"the vector file {path} is damaged (checksum)")
            groups[group] = faiss.read_index(str(path))
        except (OSError, RuntimeError) as error:
            raise _unusable(f"the vector file {path} cannot be read ({type(error).__name__})") from error
    return VectorIndex(described.generation, described.settings_key, described.max_pid, groups)


def foreign(described: VectorFiles | None, meta: Mapping[str, str]) -> str:
    """Why vector files do not belong to the store's state; empty where they do, or where there are none."""
    if described is None or can_advance(described, meta):
        return ""
    return str(_unusable("the vector files belong to another state of the index"))


def _unusable(found: str) -> StoreError:
    return StoreError(f"{found}; vectors are read from the store", "", "dragoman doctor --repair")


def leftovers(folder: Path, described: VectorFiles | None) -> Iterable[Path]:
    """Temporary files, and vector files that the manifest does not name, as a killed writer leaves them."""
    known = described.folder if described else ""
    yield from folder.glob(".*.tmp")
    yield from (path for path in (folder / VECTORS).glob("*") if path.name != known)


def remove_leftovers(folder: Path, described: VectorFiles | None) -> None:
    """Delete what `leftovers` names."""
    for path in leftovers(folder, described):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
