"""The vectors of a store's generations, as a reader needs them: loaded once, then caught up with."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.store.base import Filter
from index.store.sqlite import building
from index.store.sqlite import vectors as vec
from index.store.sqlite.files import AT_ONCE, Identity, identity, is_small, is_verified, load_vector_file, verify
from index.store.sqlite.manifest import VectorFile, read_manifest
from index.store.sqlite.near import Layout
from index.store.sqlite.postings import Lengths, Postings
from index.store.sqlite.rows import Rows, Sample
from index.store.sqlite.schema import all_current


@dataclass(slots=True)
class Facts:
    """What every search of one generation asks, counted once."""

    languages: dict[Filter, dict[str, int]] = field(default_factory=dict)
    vector_ids: dict[Filter, vec.IntArray] = field(default_factory=dict)
    inside: dict[Filter, NDArray[np.bool_]] = field(default_factory=dict)
    layouts: dict[int, Layout] = field(default_factory=dict)
    postings: Postings = field(default_factory=Postings)
    passage_languages: dict[int, str] = field(default_factory=dict)
    all_current: bool = False  # whether no document is stale


@dataclass(frozen=True, slots=True)
class Loaded:
    """The vectors of one generation, and what they were loaded from."""

    generation: int
    base_generation: int  # what was deleted before it is not in the base; what was deleted since must be remembered
    settings_key: str
    view: vec.VectorView
    base_max_pid: int
    max_pid: int  # of the base and the delta
    note: str
    facts: Facts


class Loader:
    """Gives each snapshot the vectors of its generation; safe to use from many threads.

    A vector file that is missing, stale or damaged is made up for from the store. A large file is used at once
    and read through in the background; if it turns out damaged, what comes next is searched from the store.
    """

    def __init__(self, folder: Path, at_once: int = AT_ONCE) -> None:
        """`at_once` are the bytes of a file that is read through before it is used."""
        self._folder, self._at_once = folder, at_once
        self._lock = threading.Lock()
        self._loaded: Loaded | None = None
        self._lengths, self._terms = Lengths(), ""
        self._examined: set[Identity] = set()
        self._refused: dict[Identity, str] = {}

    @property
    def note(self) -> str:
        """Why the vector file on disk was not used, empty where it was."""
        return self._loaded.note if self._loaded else ""

    def of(self, connection: sqlite3.Connection, meta: dict[str, str]) -> Loaded:
        """The vectors of the state that the connection's transaction sees, which `meta` describes."""
        generation, key = int(meta["generation"]), meta["settings_key"]
        loaded = self._loaded
        if loaded and loaded.generation == generation and loaded.settings_key == key:
            return loaded
        with self._lock:
            loaded = self._loaded
            # Of no use: a base that this older snapshot is behind, and one whose deletions the store has forgotten.
            usable = (
                loaded is not None
                and loaded.settings_key == key
                and int(meta["pruned"]) <= loaded.base_generation <= generation
            )
            fresh = self._caught_up(connection, meta, loaded if usable else None)
            if loaded is None or fresh.generation >= loaded.generation:
                self._loaded = fresh
            return fresh

    def _caught_up(self, connection: sqlite3.Connection, meta: dict[str, str], loaded: Loaded | None) -> Loaded:
        dim, key, generation = int(meta["dim"]), meta["settings_key"], int(meta["generation"])
        (max_pid,) = connection.execute("SELECT coalesce(max(pid), 0) FROM passages").fetchone()
        facts = Facts(all_current=all_current(connection, key), postings=Postings(self._lengths_of(meta)))
        if loaded is None:
            base, described, note = self._base(meta)
            after, base_generation = (described.max_pid, described.generation) if described else (max_pid, generation)
            if base is None:
                rows = Rows(connection, dim, key)
                built = building.build(rows, rows.sizes(), dim, sample=Sample(rows, max_pid, building.N_SAMPLE // 5))
                base = vec.Vectors(vec.for_search(built.index), built.partitions)
        else:
            base, after, base_generation = loaded.view.base, loaded.base_max_pid, loaded.base_generation
            note, facts.layouts = loaded.note, dict(loaded.facts.layouts)
        delta = self._delta(connection, dim, key, generation, after, loaded)
        dead = _ids(connection, "pid <= ?", (after,))
        view = vec.VectorView(base, delta, dead)
        return Loaded(generation, base_generation, key, view, after, max(after, max_pid), note, facts)

    def _lengths_of(self, meta: dict[str, str]) -> Lengths:
        """The lengths of passages, as long as their terms have not been made anew."""
        if self._terms != (terms := meta.get("terms", "")):
            self._lengths, self._terms = Lengths(), terms
        return self._lengths

    def _delta(
        self, connection: sqlite3.Connection, dim: int, key: str, generation: int, after: int, loaded: Loaded | None
    ) -> vec.Vectors | None:
        """What came after the base: what is loaded with what is new and without what has gone, or from the store."""
        if loaded is not None and loaded.view.delta is not None and loaded.generation <= generation:
            rows = Rows(connection, dim, key, loaded.max_pid)
            gone = _ids(
                connection,
                "pid > ? AND pid <= ? AND generation > ?",
                (after, loaded.max_pid, loaded.generation),
            )
            delta = building.extended(loaded.view.delta, rows, rows.sizes(), gone, dim)
            if delta is not None:
                return delta
        rows = Rows(connection, dim, key, after)
        sizes = rows.sizes()
        return building.build_exact(rows, sizes, dim) if sizes else None

    def _base(self, meta: dict[str, str]) -> tuple[vec.Vectors | None, VectorFile | None, str]:
        """The vector file, if it is what the manifest says and belongs to this store."""
        try:
            manifest = read_manifest(self._folder)
            problem, index = load_vector_file(self._folder, manifest, meta, self._at_once)
            if problem and (newer := read_manifest(self._folder)) != manifest:
                # A writer has switched files meanwhile, and removed the one that was named.
                manifest = newer
                problem, index = load_vector_file(self._folder, manifest, meta, self._at_once)
        except (OSError, ValueError) as error:
            return (
                None,
                None,
                f"the manifest cannot be used ({error}); searching from the store; dragoman doctor --repair mends it",
            )
        if index is None or manifest.vectors is None:
            return None, None, problem
        known = identity(self._folder, manifest.vectors)
        if known in self._refused:
            return None, None, self._refused[known]
        if known and known not in self._examined and not is_small(self._folder, manifest.vectors, self._at_once):
            self._examined.add(known)
            if not is_verified(self._folder, manifest.vectors):
                threading.Thread(target=self._verify, args=(known, manifest.vectors), daemon=True).start()
        return vec.Vectors(index, manifest.vectors.partitions), manifest.vectors, problem

    def _verify(self, known: Identity, described: VectorFile) -> None:
        problem = verify(self._folder, described)
        if problem and identity(self._folder, described) == known:
            with self._lock:
                self._refused[known] = problem
                self._loaded = None


def _ids(connection: sqlite3.Connection, condition: str, values: tuple[int, ...]) -> vec.IntArray:
    """Ids of the vectors of deleted passages, rising."""
    rows = connection.execute(f"SELECT pid, n_vectors FROM deleted WHERE {condition} ORDER BY pid", values).fetchall()
    return np.concatenate([np.empty(0, np.int64), *(vec.part_ids(pid, n) for pid, n in rows)])
