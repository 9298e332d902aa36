"""manifest.json: what an index was made with, readable by people, and which vector file is current.

The store holds the same truth; the manifest can be written anew from it at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
VECTORS = "faiss"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """The list of a FAISS file that holds the vectors of one language.

    `recall` is the share of the exact ten nearest among what a search for ten fetches, measured when it was built.
    """

    language: str
    first: int  # number of the list
    n_vectors: int
    recall: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorFile:
    """A FAISS file: which state of the store it mirrors and how it is searched.

    `n_trained` are the vectors that there were when its codes were found; 0 where it is exact.
    """

    file: str
    sha256: str
    kind: str
    generation: int
    max_pid: int
    n_vectors: int
    settings_key: str
    recall: float
    partitions: tuple[Partition, ...]
    n_trained: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything about an index but its content."""

    format_version: int
    encoder: str
    encoder_fingerprint: str
    dim: int
    settings: dict[str, Any]
    settings_key: str
    vectors: VectorFile | None = None


def read_manifest(folder: Path) -> Manifest:
    """The manifest in `folder`.

    Raises:
        OSError: There is none.
        ValueError: It is damaged, or names a vector file of an older kind.
    """
    values = json.loads((folder / MANIFEST).read_text("utf-8"))
    try:
        vectors = values.pop("vectors")
        if vectors:
            partitions = tuple(_current(partition) for partition in vectors.pop("partitions"))
            vectors = VectorFile(**vectors, partitions=partitions)
        manifest = Manifest(**values, vectors=vectors or None)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{MANIFEST} lacks or has other fields ({error})") from error
    _check_types(manifest)
    if manifest.vectors is not None:
        _check_types(manifest.vectors)
        for partition in manifest.vectors.partitions:
            _check_types(partition)
    return manifest


def _current(partition: dict[str, Any]) -> Partition:
    """A partition as it is written now.

    Raises:
        ValueError: It has several lists, as it once could.
    """
    if partition.pop("n_lists", 1) != 1:
        raise ValueError(f"{MANIFEST} names a vector file with clusters, as older versions made them")
    partition.pop("nprobe", None)
    return Partition(**partition)


_TYPES: dict[str, Any] = {"int": int, "str": str, "float": (float, int), "dict[str, Any]": dict}


def _check_types(values: Manifest | VectorFile | Partition) -> None:
    for field in fields(values):
        value = getattr(values, field.name)
        if not isinstance(value, _TYPES.get(str(field.type), object)):
            raise ValueError(f"{MANIFEST} has {field.name} {value!r}, which is no {field.type}")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest atomically."""
    write_atomically(folder / MANIFEST, json.dumps(asdict(manifest), indent=2, ensure_ascii=False).encode() + b"\n")


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside, sync, rename over: a reader sees the old file or the new one, whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        rename_synced(beside, path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def rename_synced(beside: Path, path: Path) -> None:
    """Rename a synced file over `path` and sync the folder, so that the name survives a power cut."""
    beside.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
