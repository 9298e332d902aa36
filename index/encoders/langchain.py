"""Any LangChain `Embeddings` as an encoder."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from index.encoders.base import FloatArray, encode_parts_as_texts, unit_rows
from index.encoders.static import EMBEDDED, StaticEncoder
from index.errors import EncoderUnavailable
from index.settings import Parts

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings


class LangChainEncoder:
    """An `Embeddings` object behind this package's protocol.

    Such an object tells neither its tokens nor its limit: passages are sized in the
    embedded encoder's tokens, which run a little shorter than most models'.
    """

    def __init__(self, embeddings: Embeddings, name: str, max_tokens: int | None = None) -> None:
        self._embeddings, self._name, self._max_tokens = embeddings, name, max_tokens

    @property
    def name(self) -> str:
        return self._name

    @functools.cached_property
    def dim(self) -> int:
        return len(self._embeddings.embed_query("dimension"))

    @property
    def fingerprint(self) -> str:
        return f"lc-{hashlib.sha256(f'{self._name}:{self.dim}'.encode()).hexdigest()[:16]}"

    @property
    def languages(self) -> frozenset[str]:
        return frozenset()

    @property
    def max_tokens(self) -> int | None:
        return self._max_tokens

    @functools.cached_property
    def _counter(self) -> StaticEncoder:
        return StaticEncoder(EMBEDDED, "embedded")

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._counter.count_tokens(texts)

    def encode_queries(self, texts: Sequence[str]) -> FloatArray:
        return self._rows([self._embeddings.embed_query(text) for text in texts])

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        return self._rows(self._embeddings.embed_documents(list(texts)) if texts else [])

    def encode_parts(self, passages: Sequence[Sequence[str]], parts: Parts) -> list[FloatArray]:
        return encode_parts_as_texts(self, passages, parts)

    def _rows(self, vectors: list[list[float]]) -> FloatArray:
        return unit_rows(np.array(vectors, dtype=np.float32).reshape(len(vectors), self.dim))


def from_provider(name: str) -> LangChainEncoder:
    """The encoder `langchain:PROVIDER:MODEL` names.

    Raises:
        EncoderUnavailable: The provider's package or its key is missing.
    """
    spec = name.removeprefix("langchain:")
    provider = spec.split(":")[0]
    try:
        from langchain.embeddings import init_embeddings

        embeddings = init_embeddings(spec)
    except Exception as error:
        raise EncoderUnavailable(
            f"the embeddings {spec!r} cannot be set up ({error})",
            "langchain:PROVIDER:MODEL, the provider's package and its key",
            f"pip install langchain-{provider}, and set the provider's key",
        ) from error
    return LangChainEncoder(embeddings, name)
