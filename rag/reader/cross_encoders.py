"""Rerankers: cross-encoders, which read question and passage together, by name.

Off by default. Any sentence-transformers `CrossEncoder` serves; torch is imported when one is loaded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from index.errors import CrossEncoderUnavailable
from index.search import SearchResult

N_RERANKED = 30  # passages that a reranker reads
_BATCH_SIZE = 8  # pairs a forward pass, between two looks at the clock
_TIMEOUT_S = 10.0
_EXAMPLE = "BAAI/bge-reranker-v2-m3"


class Reranker(Protocol):
    """Scores passages for a question."""

    @property
    def name(self) -> str: ...

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """A score of each passage, higher is better, in order; of the first ones only, where time runs out."""
        ...


def reranked(reranker: Reranker, found: SearchResult, k: int) -> SearchResult:
    """`found` with its passages in the order of the reranker, cut to `k`; those without a score come behind."""
    scores = reranker.scores(found.question, [item.passage.text for item in found.passages])
    scored = [replace(item, reranked=score) for item, score in zip(found.passages, scores, strict=False)]
    order = sorted(range(len(scored)), key=lambda i: (-scores[i], i))
    passages = (*(scored[i] for i in order), *found.passages[len(scored) :])
    warnings = found.warnings
    if len(scored) < len(passages):
        warnings += (f"time ran out: {reranker.name} read {len(scored)} of {len(passages)} passages",)
    return replace(found, passages=passages[:k], warnings=warnings)


class CrossEncoderReranker:
    """A cross-encoder that gives one score a pair."""

    def __init__(
        self, name: str, device: str | None = None, *, batch_size: int = _BATCH_SIZE, timeout_s: float = _TIMEOUT_S
    ) -> None:
        """Load the model called `name`.

        Args:
            name: Hub name or directory.
            device: `cpu`, `cuda`, `mps`; by default the best one of this machine.
            batch_size: Pairs a forward pass.
            timeout_s: No batch begins later than this after the first; the first always runs.

        Raises:
            CrossEncoderUnavailable: The library or the model is missing, or it does not give one score a pair.
        """
        self.name, self._batch_size, self._timeout_s = name, batch_size, timeout_s
        self._model = _load(name, device)
        if self._model.num_labels != 1:
            raise CrossEncoderUnavailable(
                f"the model {name!r} gives {self._model.num_labels} scores a pair",
                "one score a pair: a model made for reranking",
                f"name another, as {_EXAMPLE}",
            )

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        started = time.monotonic()
        found: list[float] = []
        for first in range(0, len(passages), self._batch_size):
            if found and time.monotonic() - started >= self._timeout_s:
                break
            pairs = [(question, passage) for passage in passages[first : first + self._batch_size]]
            found += self._model.predict(pairs, batch_size=self._batch_size, show_progress_bar=False).tolist()
        return found


def _load(name: str, device: str | None) -> Any:
    """The sentence-transformers `CrossEncoder` called `name`.

    Raises:
        CrossEncoderUnavailable: The library or the model is missing.
    """
    try:
        from sentence_transformers import CrossEncoder
    except ImportError as error:
        raise CrossEncoderUnavailable(
            f"the model {name!r} needs sentence-transformers, which is not there",
            "the extra `models`",
            "leave --reranker out, or: pip install 'dragoman[models]'",
        ) from error
    try:
        return CrossEncoder(
            name, device=device, trust_remote_code=False, local_files_only=os.environ.get("HF_HUB_OFFLINE") == "1"
        )
    except Exception as error:
        raise CrossEncoderUnavailable(
            f"the model {name!r} is not on this machine and could not be fetched ({type(error).__name__})",
            f"a cross-encoder of the hub, as {_EXAMPLE}, or a directory with one",
            f"check the model in {name}" if Path(name).exists() else f"hf download {name}",
        ) from error
