"""A second look at the first passages by a model that reads question and passage together; off by default."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from index.errors import RerankerUnavailable

_BATCH_SIZE = 8  # pairs a forward pass, between two looks at the clock
_TIMEOUT_S = 10.0


class Reranker(Protocol):
    """Scores passages for a question."""

    @property
    def name(self) -> str: ...

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """A score of each passage, higher is better, in order; of the first ones only, where time runs out."""
        ...


class CrossEncoderReranker:
    """Any sentence-transformers `CrossEncoder`, by name or path. Imports torch when it is made."""

    def __init__(
        self,
        name: str,
        device: str | None = None,
        *,
        batch_size: int = _BATCH_SIZE,
        timeout_s: float = _TIMEOUT_S,
    ) -> None:
        """Load the model called `name` (hub name or directory).

        Args:
            name: As sentence-transformers takes it.
            device: `cpu`, `cuda`, `mps`; the best one there is by default.
            batch_size: Pairs a forward pass.
            timeout_s: No batch is begun later than this after the first; the first always is.

        Raises:
            RerankerUnavailable: The library or the model cannot be had here, or it does not give one score a pair.
        """
        self._name, self._batch_size, self._timeout_s = name, batch_size, timeout_s
        self._model: Any = _load(name, device)

    @property
    def name(self) -> str:
        return self._name

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        started = time.monotonic()
        found: list[float] = []
        for first in range(0, len(passages), self._batch_size):
            if found and time.monotonic() - started >= self._timeout_s:
                break
            pairs = [(question, passage) for passage in passages[first : first + self._batch_size]]
            scores = self._model.predict(pairs, batch_size=self._batch_size, show_progress_bar=False)
            found += [float(score) for score in scores]
        return found


def _load(name: str, device: str | None) -> Any:
    try:
        from sentence_transformers import CrossEncoder
    except ImportError as error:
        raise RerankerUnavailable(
            f"the reranker {name!r} needs sentence-transformers, which is not there",
            "the extra `models`",
            "leave --reranker out, or: pip install 'dragoman[models]'",
        ) from error
    try:
        model = CrossEncoder(
            name, device=device, trust_remote_code=False, local_files_only=os.environ.get("HF_HUB_OFFLINE") == "1"
        )
    except Exception as error:
        raise RerankerUnavailable(
            f"the reranker {name!r} is not on this machine and could not be fetched ({type(error).__name__})",
            "a cross-encoder of the hub, as BAAI/bge-reranker-v2-m3, or a directory with one",
            f"check the model in {name}" if Path(name).exists() else f"hf download {name}",
        ) from error
    if model.num_labels != 1:
        raise RerankerUnavailable(
            f"the model {name!r} gives {model.num_labels} scores a pair",
            "one score a pair: a model made for reranking",
            "name another, as BAAI/bge-reranker-v2-m3",
        )
    return model
