"""The vector file beside a store: whether it may be used, and whether its bytes are those that were written.

FAISS loads a file with flipped bytes without complaint. A small file is read through before it is used;
a large one is used at once and read through afterwards, once: what was found is kept beside it.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

from index.store.sqlite import vectors as vec
from index.store.sqlite.manifest import VECTORS, Manifest, VectorFile, sha256_of, write_atomically

VERIFIED = ".verified.json"
AT_ONCE = 64 << 20  # bytes that are read through before the first question
_INSTEAD = "searching from the store; dragoman doctor --repair mends it"

Identity = tuple[str, str, int, int, int]  # name, checksum, inode, size, time of the last change


def identity(folder: Path, described: VectorFile) -> Identity | None:
    """What the file is known by, None where there is none."""
    try:
        status = (folder / VECTORS / described.file).stat()
    except OSError:
        return None
    return described.file, described.sha256, status.st_ino, status.st_size, status.st_mtime_ns


def is_verified(folder: Path, described: VectorFile) -> bool:
    """Whether this very file has been read through and found sound."""
    try:
        kept = json.loads((folder / VERIFIED).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(kept == list(identity(folder, described) or ()))


def verify(folder: Path, described: VectorFile) -> str:
    """Read the file through: what is wrong with it, empty where it is sound, which is remembered."""
    path = folder / VECTORS / described.file
    known = identity(folder, described)
    try:
        if sha256_of(path) != described.sha256:
            return f"the vector file {path} is damaged (checksum); {_INSTEAD}"
    except OSError as error:
        return f"the vector file {path} cannot be read ({type(error).__name__}); {_INSTEAD}"
    remember(folder, known)
    return ""


def remember(folder: Path, known: Identity | None) -> None:
    """Keep that a file is sound; a folder that cannot be written to has it read through by every process."""
    with contextlib.suppress(OSError):
        write_atomically(folder / VERIFIED, json.dumps(known).encode())


def is_small(folder: Path, described: VectorFile, at_once: int) -> bool:
    """Whether the file has at most `at_once` bytes, and is read through before it is used."""
    known = identity(folder, described)
    return known is None or known[3] <= at_once


def foreign(manifest: Manifest, meta: dict[str, str]) -> str:
    """Why the vector file does not belong to the store's state, empty where it does."""
    described = manifest.vectors
    if described is None:
        return ""
    if described.settings_key != meta["settings_key"] or described.generation > int(meta["generation"]):
        return f"the vector file belongs to another state of the index; {_INSTEAD}"
    if int(meta["pruned"]) > described.generation:
        return f"the vector file is older than the store remembers deletions; {_INSTEAD}"
    return ""


def load_vector_file(
    folder: Path, manifest: Manifest, meta: dict[str, str], at_once: int = AT_ONCE
) -> tuple[str, Any | None]:
    """(what is wrong with the vector file, or empty; the index, ready to be searched, or None). A large one is not read through."""
    described = manifest.vectors
    if described is None:
        return "", None
    problem = foreign(manifest, meta)
    if not problem and is_small(folder, described, at_once):
        problem = verify(folder, described)
    if problem:
        return problem, None
    path = folder / VECTORS / described.file
    try:
        index = vec.load(path)
    except (OSError, RuntimeError) as error:
        return f"the vector file {path} cannot be read ({type(error).__name__}); {_INSTEAD}", None
    if index.ntotal != described.n_vectors:
        return f"the vector file {path} has {index.ntotal} vectors, not {described.n_vectors}; {_INSTEAD}", None
    return "", index


def facts(folder: Path, connection: sqlite3.Connection, described: VectorFile | None) -> dict[str, str]:
    """What can be told of the vector file: how it is searched, what came since, and whether it was read through."""
    if described is None or (known := identity(folder, described)) is None:
        return {}
    worst = min(described.partitions, key=lambda p: p.recall, default=None)
    n_new, n_dead = (
        connection.execute(query, (described.max_pid,)).fetchone()[0]
        for query in (
            "SELECT coalesce(sum(n_vectors), 0) FROM passages WHERE pid > ?",
            "SELECT coalesce(sum(n_vectors), 0) FROM deleted WHERE pid <= ?",
        )
    )
    return {
        "vector file": f"{known[3]:,} bytes, {'verified' if is_verified(folder, described) else 'not verified yet'}",
        "lowest recall": f"{worst.recall:.4f} ({worst.language})" if worst else "",
        "delta": f"{n_new:,} vectors",
        "dead": f"{n_dead / max(1, described.n_vectors):.1%}",
    }
