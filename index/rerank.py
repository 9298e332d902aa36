"""A second look at the first passages by a model that reads question and passage together; off by default."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from index.cross_encoder import load_cross_encoder
from index.errors import CrossEncoderUnavailable

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
            CrossEncoderUnavailable: The library or the model cannot be had here, or it does not give one score a pair.
        """
        self._name, self._batch_size, self._timeout_s = name, batch_size, timeout_s
        self._model: Any = load_cross_encoder(name, device, "--reranker", _EXAMPLE)
        if self._model.num_labels != 1:
            raise CrossEncoderUnavailable(
                f"the model {name!r} gives {self._model.num_labels} scores a pair",
                "one score a pair: a model made for reranking",
                f"name another, as {_EXAMPLE}",
            )

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
