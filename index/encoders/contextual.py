"""A contextual encoder: multilingual-e5-small (MIT) in ONNX, one vector a text.

It takes a hundred times as long as the static encoder and finds more: docs/decisions/0019. Its vectors are added to an
index that can be searched already (`index.contextual`). `python -m rag.training encoder` makes its file.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from index.encoders.base import FloatArray
from index.encoders.transformer import MAX_TOKENS, SHARED, Session, TokenVectors, batches

CONTEXTUAL = SHARED / "contextual.onnx"
FINGERPRINT = "e5-small-1"  # another one whenever the vectors would be others
DIM = 384
_BOS, _PAD, _EOS = 0, 1, 2
_BATCH_TOKENS = 2_048  # of a run, padding included


class ContextualEncoder:
    """Vectors of unit length, by the methods of LangChain's `Embeddings`, with the prefixes that the model knows."""

    def __init__(self) -> None:
        """Load the model in the package."""
        self._session, self._words = Session(CONTEXTUAL), TokenVectors()

    def embed_query(self, text: str) -> FloatArray:
        """The vector of a question, (dim,)."""
        vector: FloatArray = self._encoded([f"query: {text}"])[0]
        return vector

    def embed_documents(self, texts: list[str]) -> FloatArray:
        """The vectors of passages, (n, dim); what is beyond `MAX_TOKENS` tokens is not read."""
        return self._encoded([f"passage: {text}" for text in texts])

    def _encoded(self, texts: Sequence[str]) -> FloatArray:
        encoded = self._words.tokenizer.encode_batch(list(texts), add_special_tokens=False)
        ids = [[_BOS, *one.ids[: MAX_TOKENS - 2], _EOS] for one in encoded]
        lengths = [len(own) for own in ids]
        vectors = np.zeros((len(texts), DIM), dtype=np.float32)
        for own in batches(lengths, _BATCH_TOKENS):
            padded = np.full((len(own), max(lengths[i] for i in own)), _PAD, dtype=np.int64)
            for row, i in zip(padded, own, strict=True):
                row[: lengths[i]] = ids[i]
            (vectors[own],) = self._session.run(
                {"words": self._words(padded), "mask": (padded != _PAD).astype(np.int64)}
            )
        return vectors


@functools.cache
def contextual_encoder() -> ContextualEncoder:
    """The contextual encoder, loaded once."""
    return ContextualEncoder()
