"""What a snapshot can answer from its other answers, for a backend that has no faster way."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from index.encoders.base import FloatArray
from index.store.base import Filter, Snapshot

_VECTORS = 8  # fetched for each passage wanted: it has up to a dozen, of which several may be near


def nearest_of_each(snapshot: Snapshot, query: FloatArray, n: int, where: Filter) -> list[int]:
    """`Snapshot.nearest`, by one search a language."""
    tags: dict[str, list[str]] = defaultdict(list)
    for tag in snapshot.languages(where):
        tags[tag.split("-")[0]].append(tag)
    found: list[int] = []
    for own in tags.values():
        found += [pid for pid, _ in snapshot.dense(query, _VECTORS * n, replace(where, languages=tuple(own)))[:n]]
    return found
