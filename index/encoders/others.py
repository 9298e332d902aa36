"""Encoders of other libraries: sentence-transformers models and LangChain `Embeddings`, imported at first use."""

from __future__ import annotations

import functools
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import regex

from index.encoders.base import FloatArray, unit_rows
from index.encoders.contextual import contextual_encoder
from index.encoders.static import EMBEDDED, StaticEncoder
from index.encoders.transformer import MAX_TOKENS
from index.errors import EncoderUnavailable

if TYPE_CHECKING:
    from langchain_core.embeddings import Embeddings

E5 = "e5"
# Prompts of families whose model files do not carry them.
_PROMPTS: tuple[tuple[str, str, str], ...] = (
    (r"(?:^|[/_-])(?:multilingual-)?e5-(?!mistral)", "query: ", "passage: "),
    (r"bge-.*-en", "Represent this sentence for searching relevant passages: ", ""),
    (r"bge-.*-zh", "为这个句子生成表示以用于检索相关文章：", ""),
)


class _TextEncoder(ABC):
    """What both have in common: each text is encoded by itself."""

    languages: frozenset[str] = frozenset()

    def encode_sentences(self, passages: Sequence[Sequence[str]]) -> FloatArray:
        return self.encode_passages([" ".join(sentences) for sentences in passages])

    @abstractmethod
    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        """Vectors of passages, (n, dim)."""


class TransformerEncoder(_TextEncoder):
    """A SentenceTransformer behind this package's protocol."""

    def __init__(self, name: str, device: str | None = None, batch_size: int = 32) -> None:
        """Load the model called `name` (hub name or directory).

        Args:
            name: As sentence-transformers takes it.
            device: `cpu`, `cuda`, `mps`; the best one there is by default.
            batch_size: Texts a forward pass.

        Raises:
            EncoderUnavailable: The library or the model is not here.
        """
        self.name, self._batch_size = name, batch_size
        self._model: Any = _load(name, device)
        self._query_prompt, self._passage_prompt = _prompts(name, self._model)
        self.dim = int(self._model.get_embedding_dimension())

    @functools.cached_property
    def fingerprint(self) -> str:
        pooling = [str(module.pooling_mode) for module in self._model if hasattr(module, "pooling_mode")]
        digest = hashlib.sha256("\x1f".join([self._query_prompt, self._passage_prompt, *pooling]).encode())
        for key, tensor in sorted(self._model.state_dict().items()):
            # The ends of every tensor: a trained weight file differs there, and a large one is not read whole.
            flat = tensor.detach().cpu().contiguous().flatten()
            ends = (flat[:4096].float().numpy().tobytes(), flat[-4096:].float().numpy().tobytes())
            digest.update(f"{key}{tuple(tensor.shape)}".encode() + ends[0] + ends[1])
        return f"st-{digest.hexdigest()[:16]}"

    @property
    def max_tokens(self) -> int | None:
        limit = self._model.max_seq_length
        if limit is None:
            return None
        n_special = int(self._model.tokenizer.num_special_tokens_to_add(pair=False))
        return max(1, int(limit) - n_special - sum(self.count_tokens([self._passage_prompt])))

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        found = self._model.tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        return [len(ids) for ids in found["input_ids"]]

    def encode_queries(self, texts: Sequence[str]) -> FloatArray:
        return self._encode(texts, self._query_prompt)

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        return self._encode(texts, self._passage_prompt)

    def _encode(self, texts: Sequence[str], prompt: str) -> FloatArray:
        vectors = self._model.encode(
            list(texts),
            prompt=prompt or None,
            batch_size=self._batch_size,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return unit_rows(vectors.reshape(len(texts), self.dim))


def _load(name: str, device: str | None) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise EncoderUnavailable(
            f"the encoder {name!r} needs sentence-transformers, which is not installed",
            "`embedded`, langchain:PROVIDER:MODEL, or the extra `models`",
            "leave --encoder out, or: pip install 'dragoman[models]'",
        ) from error
    offline = os.environ.get("HF_HUB_OFFLINE") == "1"
    try:
        return SentenceTransformer(name, device=device, trust_remote_code=False, local_files_only=offline)
    except Exception as error:
        raise EncoderUnavailable(
            f"the encoder {name!r} is not on this machine and could not be fetched ({type(error).__name__})",
            "`embedded`, langchain:PROVIDER:MODEL, a directory with a model, or a model of the hub",
            f"check the model in {name}" if Path(name).exists() else f"hf download {name}",
        ) from error


def _prompts(name: str, model: Any) -> tuple[str, str]:
    own = {key: value for key, value in (model.prompts or {}).items() if value}
    query = own.get("query", "")
    passage = own.get("passage") or own.get("document") or own.get("corpus") or ""
    if query or passage:
        return query, passage
    for pattern, query_prompt, passage_prompt in _PROMPTS:
        if regex.search(pattern, Path(name).name if Path(name).exists() else name, regex.IGNORECASE):
            return query_prompt, passage_prompt
    return "", ""


class LangChainEncoder(_TextEncoder):
    """An `Embeddings` object behind this package's protocol.

    Such an object has neither tokens nor a limit: passages are sized in the embedded encoder's tokens, which are a
    little shorter than most models'.
    """

    def __init__(self, embeddings: Embeddings, name: str, max_tokens: int | None = None) -> None:
        self._embeddings, self.name, self.max_tokens = embeddings, name, max_tokens

    @functools.cached_property
    def dim(self) -> int:
        return len(self._embeddings.embed_query("dimension"))

    @property
    def fingerprint(self) -> str:
        return f"lc-{hashlib.sha256(f'{self.name}:{self.dim}'.encode()).hexdigest()[:16]}"

    @functools.cached_property
    def _counter(self) -> StaticEncoder:
        return StaticEncoder(EMBEDDED, "embedded")

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._counter.count_tokens(texts)

    def encode_queries(self, texts: Sequence[str]) -> FloatArray:
        return self._rows([self._embeddings.embed_query(text) for text in texts])

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        return self._rows(self._embeddings.embed_documents(list(texts)) if texts else [])

    def _rows(self, vectors: list[list[float]]) -> FloatArray:
        return unit_rows(np.array(vectors, dtype=np.float32).reshape(len(vectors), self.dim))


class _E5:
    """The contextual encoder in the package, in the methods of `Embeddings`."""

    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = contextual_encoder().encode_query(text).tolist()
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = contextual_encoder().encode_passages(texts).tolist()
        return vectors


def e5() -> LangChainEncoder:
    """The encoder `e5`: a transformer that needs no torch and no download."""
    return LangChainEncoder(_E5(), E5, MAX_TOKENS)  # type: ignore[arg-type]  # it has the two methods that count


def from_provider(name: str) -> LangChainEncoder:
    """The encoder that `langchain:PROVIDER:MODEL` names.

    Raises:
        EncoderUnavailable: The provider's package or its key is missing.
    """
    spec = name.removeprefix("langchain:")
    try:
        from langchain.embeddings import init_embeddings

        return LangChainEncoder(init_embeddings(spec), name)
    except Exception as error:
        raise EncoderUnavailable(
            f"the embeddings {spec!r} cannot be set up ({error})",
            "langchain:PROVIDER:MODEL, the provider's package and its key",
            f"pip install langchain-{spec.split(':')[0]}, and set the provider's key",
        ) from error
