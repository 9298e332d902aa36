"""Whether one text follows from another, by a cross-encoder trained on natural language inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from index.cross_encoder import load_cross_encoder
from index.errors import CrossEncoderUnavailable

_BATCH_SIZE = 8
_EXAMPLE = "MoritzLaurer/mDeBERTa-v3-base-xnli-multilingual-nli-2mil7"


class Entailment(NamedTuple):
    """Probabilities that the premise says the hypothesis, and that it says otherwise; each in [0, 1]."""

    entailed: float
    contradicted: float


class EntailmentModel:
    """Any sentence-transformers `CrossEncoder` whose labels tell entailment. Imports torch when it is made."""

    def __init__(self, name: str, device: str | None = None) -> None:
        """Load the model called `name` (hub name or directory).

        Args:
            name: As sentence-transformers takes it.
            device: `cpu`, `cuda`, `mps`; the best one there is by default.

        Raises:
            CrossEncoderUnavailable: The library or the model cannot be had here, or none of its labels is entailment.
        """
        self.name = name
        self._model: Any = load_cross_encoder(name, device, "--judge", _EXAMPLE)
        labels = {str(label).casefold(): place for place, label in self._model.config.id2label.items()}
        self._entailed = labels.get("entailment")
        self._contradicted = labels.get("contradiction")  # some models know only "not entailment"
        if self._entailed is None or len(labels) < 2:
            raise CrossEncoderUnavailable(
                f"the labels of the model {name!r} are {', '.join(labels)}",
                "entailment among them: a model of natural language inference",
                f"name another, as {_EXAMPLE}",
            )

    def entailments(self, pairs: Sequence[tuple[str, str]]) -> list[Entailment]:
        """Of each (premise, hypothesis); what a premise has beyond the model's length is not read."""
        if not pairs:
            return []
        rows = self._model.predict(
            list(pairs), batch_size=_BATCH_SIZE, apply_softmax=True, show_progress_bar=False, convert_to_numpy=True
        )
        return [
            Entailment(
                float(row[self._entailed]), 0.0 if self._contradicted is None else float(row[self._contradicted])
            )
            for row in rows
        ]
