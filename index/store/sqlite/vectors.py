"""The vectors of an index in FAISS: derived from the store, immutable once made.

FAISS searched and changed at once crashes, so nothing here changes: a new state is a new
object. Ids are `pid * 256 + part`, so that a vector names its passage. The vectors of each
language lie in an inverted list of their own, so that a search of one language costs that
language's share, and none is buried under another.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import faiss
import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray
from index.store.sqlite.manifest import Partition, rename_synced

MAX_PARTS = 256  # vectors a passage; the chunker makes far fewer
SPARE = 90  # vectors fetched beyond those wanted where codes are to be ranked anew; docs/decisions/0015
_CODES_AT_ONCE = 32  # that FastScan looks at
_LEAST = -1.0  # cosine
_MAPPED = 512  # faiss.IO_FLAG_MMAP_IFC, which its Python names lack
_CHANGES = (
    "add", "add_core", "add_sa_codes", "add_with_ids", "merge_from", "remove_ids", "replace_invlists", "reset", "train",
    "update_vectors",
)  # fmt: skip

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Vectors:
    """A FAISS index, and which of its lists is each language's."""

    index: Any
    partitions: tuple[Partition, ...]

    @property
    def kind(self) -> str:
        """`exact-fp16`, or `pqMx4`: codes of 4 bits for each of M components."""
        return f"pq{self.index.pq.M}x4" if self.approximate else "exact-fp16"

    @property
    def approximate(self) -> bool:
        """Whether scores are of codes, some 0.03 beside the true ones."""
        return isinstance(self.index, faiss.IndexIVFPQ | faiss.IndexIVFPQFastScan)

    @property
    def recall(self) -> float:
        """Recall@10 against exact search, mean over vectors."""
        n_vectors = sum(partition.n_vectors for partition in self.partitions)
        found = sum(partition.n_vectors * partition.recall for partition in self.partitions)
        return round(found / n_vectors, 4) if n_vectors else 1.0


def part_ids(pid: int, n_parts: int) -> IntArray:
    """Ids of a passage's vectors."""
    return np.arange(n_parts, dtype=np.int64) + pid * MAX_PARTS


def save(index: Any, path: Path) -> None:
    """Write an index beside `path`, sync it, and rename it there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    faiss.write_index(index, str(beside))
    with beside.open("rb+") as file:
        os.fsync(file.fileno())
    rename_synced(beside, path)


def load(path: Path) -> Any:
    """The index in a file, to be searched.

    fp16 is mapped: pages are read as they are searched, and shared by all processes that map it. Codes are laid out
    anew in this process's memory, a quarter as large, for what scans 32 of them at once.
    What would change it raises TypeError: changing a mapped index ends the process.

    Raises:
        RuntimeError: FAISS cannot read it.
    """
    index = for_search(faiss.read_index(str(path), _MAPPED))
    for name in _CHANGES:
        setattr(index, name, _refuse)
    return index


def for_search(index: Any) -> Any:
    """The index as it is searched: of codes a copy, for FAISS's FastScan; else itself."""
    if not isinstance(index, faiss.IndexIVFPQ):
        return index
    library: Any = faiss
    faiss.omp_set_num_threads(1)  # beside other work two threads wait for each other: 11 s instead of one
    scanner = library.IndexIVFPQFastScan(index, _CODES_AT_ONCE)
    # Nothing of it may be left in the scanner, or the file stays mapped.
    coarse: Any = faiss.IndexFlatIP(index.d)
    coarse.add(np.zeros((index.quantizer.ntotal, index.d), np.float32))
    scanner.quantizer, scanner.own_fields = coarse, True
    coarse.this.disown()
    scanner.referenced_objects = []
    return scanner


def load_to_change(path: Path) -> Any:
    """The index in a file, read into memory.

    Raises:
        RuntimeError: FAISS cannot read it.
    """
    return faiss.read_index(str(path))


def _refuse(*_: object, **__: object) -> NoReturn:
    raise TypeError("a mapped index cannot be changed; expected: one read by load_to_change")


@dataclass(frozen=True, slots=True)
class VectorView:
    """What one generation can find: a base index, a small delta, and what of the base is dead."""

    base: Vectors | None
    delta: Vectors | None
    dead: IntArray  # vector ids, sorted

    @property
    def spare(self) -> int:
        """Vectors to fetch beyond those wanted, to be ranked anew by the stored ones; 0 where scores are exact."""
        return SPARE if self.base is not None and self.base.approximate else 0

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
                if part is not None and partition.n_vectors and (languages is None or partition.language in languages):
                    found = search_partition(part.index, rows, min(n, partition.n_vectors), partition, selector)
                    hits += zip(found[0][0].tolist(), found[1][0].tolist(), strict=True)
        hits = sorted((hit for hit in hits if hit[1] >= 0), key=lambda hit: (-hit[0], hit[1]))
        best: dict[int, float] = {}
        for score, vector_id in hits[:n]:
            best.setdefault(vector_id // MAX_PARTS, score)
        return list(best.items())


def search_partition(
    index: Any, queries: FloatArray, n: int, partition: Partition, selector: Any | None
) -> tuple[FloatArray, IntArray]:
    """Scores and ids (n_queries, n) of the nearest vectors in the list of one language; id -1 where there are fewer."""
    # faiss's own type stubs do not know these keyword arguments.
    library: Any = faiss
    own_list = library.IDSelectorRange(partition.first, partition.first + 1)
    params = library.SearchParametersIVF(
        nprobe=1,
        quantizer_params=library.SearchParameters(sel=own_list),
        **({"sel": selector} if selector else {}),
    )
    scores, ids = index.search(queries, n, params=params)
    if n >= partition.n_vectors and isinstance(index, faiss.IndexIVFPQFastScan):
        _complete(index, scores, ids, partition, selector)
    return scores, ids


def _complete(index: Any, scores: FloatArray, ids: IntArray, partition: Partition, selector: Any | None) -> None:
    """Put in what FastScan leaves out where all are wanted: vectors with the least sum of products that there can be."""
    library: Any = faiss
    own = library.rev_swig_ptr(index.invlists.get_ids(partition.first), index.invlists.list_size(partition.first))
    taken = own if selector is None else own[[selector.is_member(int(i)) for i in own]]
    for row, found in enumerate(ids):
        free, lost = np.flatnonzero(found < 0), np.setdiff1d(taken, found)
        found[free[: len(lost)]] = lost[: len(free)]
        scores[row, free[: len(lost)]] = _LEAST
