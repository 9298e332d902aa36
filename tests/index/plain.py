"""What a snapshot answers, by the plain definition: what faster ways are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from index.encoders.base import FloatArray
from index.store.base import Snapshot


def cosines_of(vectors: Mapping[int, FloatArray], query: FloatArray) -> dict[int, tuple[float, float, int]]:
    """`Snapshot.cosines` of passages with these vectors."""
    found: dict[int, tuple[float, float, int]] = {}
    for pid, matrix in vectors.items():
        cosines = matrix @ query
        best = int(cosines[1:].argmax()) + 1 if len(cosines) > 1 else 0
        found[pid] = (float(cosines[0]), float(cosines[best]), best)
    return found


def texts_of(snapshot: Snapshot, pids: Sequence[int]) -> dict[int, str]:
    """`Snapshot.texts`, by way of whole passages."""
    return {pid: passage.text for pid, passage in snapshot.passages(pids).items()}
