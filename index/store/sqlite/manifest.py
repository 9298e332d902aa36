"""manifest.json: what an index was made with, readable by people, and which vector files are current.

The store holds the same facts; the manifest can be written again from it at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from index.store.sqlite.schema import FORMAT_VERSION

MANIFEST = "manifest.json"
VECTORS = "faiss"


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorFiles:
    """A folder of FAISS files, one a language group, and the state of the store that they mirror."""

    folder: str
    generation: int
    max_pid: int
    n_passages: int
    settings_key: str
    files: dict[str, list[str]]  # file name and SHA-256, by language group

    def __post_init__(self) -> None:
        texts, numbers = (self.folder, self.settings_key), (self.generation, self.max_pid, self.n_passages)
        pairs = list(self.files.values()) if isinstance(self.files, dict) else [None]
        known = all(isinstance(pair, list) and len(pair) == 2 for pair in pairs)
        if not (known and all(isinstance(text, str) for text in texts) and all(type(n) is int for n in numbers)):
            raise ValueError(f"{MANIFEST} describes vector files in another way: {self}")


def described(meta: Mapping[str, str]) -> dict[str, Any]:
    """What the manifest has of the store that `meta` describes."""
    own = {name: meta[name] for name in ("encoder", "encoder_fingerprint", "settings_key")}
    return {"format_version": FORMAT_VERSION, "dim": int(meta["dim"]), "settings": json.loads(meta["settings"]), **own}


def read_manifest(folder: Path) -> tuple[dict[str, Any], VectorFiles | None]:
    """What the manifest in `folder` has of the store, and the vector files that it names.

    Raises:
        OSError: There is none.
        ValueError: It is damaged, or of an older format.
    """
    values = json.loads((folder / MANIFEST).read_text("utf-8"))
    try:
        files = values.pop("vectors")
        return values, VectorFiles(**files) if files else None
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{MANIFEST} lacks or has other fields ({error})") from error


def write_manifest(folder: Path, meta: Mapping[str, str], vectors: VectorFiles | None) -> None:
    """Replace the manifest atomically: written beside, synced, renamed over."""
    values = {**described(meta), "vectors": asdict(vectors) if vectors else None}
    beside = folder / f".{MANIFEST}.{os.getpid()}.tmp"
    try:
        with beside.open("wb") as file:
            file.write(json.dumps(values, indent=2, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / MANIFEST)
        sync_folder(folder)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that the names in it survive a power cut."""
    if os.name == "posix":
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
