"""Encoders of other libraries: sentence-transformers models and LangChain `Embeddings`, imported at first use."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import regex

from index.encoders.base import FloatArray, unit_rows
from index.encoders.contextual import contextual_encoder
from index.encoders.static import EMBEDDED, StaticEncoder
from index.encoders.transformer import MAX_TOKENS
from index.errors import EncoderUnavailable

E5 = "e5"
_EXPECTED = "`embedded`, `e5`, langchain:PROVIDER:MODEL, a directory with a model, or a model of the hub"
# Prompts of families whose model files do not carry them.
_PROMPTS = (
    (r"(?:^|[/_-])(?:multilingual-)?e5-(?!mistral)", "query: ", "passage: "),
    (r"bge-.*-en", "Represent this sentence for searching relevant passages: ", ""),
    (r"bge-.*-zh", "为这个句子生成表示以用于检索相关文章：", ""),
)


class Embeddings(Protocol):
    """What this package uses of LangChain's `Embeddings`."""

    def embed_query(self, text: str) -> Sequence[float] | FloatArray: ...

    def embed_documents(self, texts: list[str]) -> Sequence[Sequence[float]] | FloatArray: ...


class TextEncoder:
    """An `Embeddings` object behind this package's protocol: each text is encoded by itself.

    Such an object has neither tokens nor a limit: passages are sized in the embedded encoder's tokens, which are a
    little shorter than most models'.
    """

    languages: frozenset[str] = frozenset()

    def __init__(self, embeddings: Embeddings, name: str, max_tokens: int | None = None) -> None:
        self._embeddings, self.name, self.max_tokens = embeddings, name, max_tokens

    @functools.cached_property
    def dim(self) -> int:
        return len(self._embeddings.embed_query("dimension"))

    @functools.cached_property
    def fingerprint(self) -> str:
        return f"lc-{hashlib.sha256(f'{self.name}:{self.dim}'.encode()).hexdigest()[:16]}"

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return _counter().count_tokens(texts)

    def encode_queries(self, texts: Sequence[str]) -> FloatArray:
        return self._rows([self._embeddings.embed_query(text) for text in texts])

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        return self._rows(self._embeddings.embed_documents(list(texts)) if texts else [])

    def encode_sentences(self, passages: Sequence[Sequence[str]]) -> FloatArray:
        return self.encode_passages([" ".join(sentences) for sentences in passages])

    def _rows(self, vectors: Any) -> FloatArray:
        return unit_rows(np.array(vectors, dtype=np.float32).reshape(len(vectors), self.dim))


@functools.cache
def _counter() -> StaticEncoder:
    return StaticEncoder(EMBEDDED, "embedded")


class TransformerEncoder(TextEncoder):
    """A SentenceTransformer, which has tokens and a limit of its own."""

    def __init__(self, name: str, device: str | None = None) -> None:
        """Load the model called `name` (hub name or directory) to a device, by default the best one there is.

        Raises:
            EncoderUnavailable: The library or the model is not here.
        """
        self._model: Any = _load(name, device)
        self._query_prompt, self._passage_prompt = _prompts(name, self._model)
        limit = self._model.max_seq_length
        if limit is not None:
            n_special = self._model.tokenizer.num_special_tokens_to_add(pair=False)
            limit = max(1, limit - n_special - sum(self.count_tokens([self._passage_prompt])))
        super().__init__(self, name, limit)

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

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        if not texts:
            return []
        found = self._model.tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        return [len(ids) for ids in found["input_ids"]]

    def embed_query(self, text: str) -> FloatArray:
        return self._vectors(text, self._query_prompt)

    def embed_documents(self, texts: list[str]) -> FloatArray:
        return self._vectors(texts, self._passage_prompt)

    def _vectors(self, texts: str | list[str], prompt: str) -> FloatArray:
        vectors: FloatArray = self._model.encode(texts, prompt=prompt or None, show_progress_bar=False)
        return vectors


def _load(name: str, device: str | None) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        found = f"the encoder {name!r} needs sentence-transformers, which is not installed"
        remedy = "leave --encoder out, or: pip install 'dragoman[models]'"
        raise EncoderUnavailable(found, _EXPECTED, remedy) from error
    try:
        return SentenceTransformer(name, device=device)
    except Exception as error:
        found = f"the encoder {name!r} is not on this machine and could not be fetched ({type(error).__name__})"
        remedy = f"check the model in {name}" if Path(name).exists() else f"hf download {name}"
        raise EncoderUnavailable(found, _EXPECTED, remedy) from error


def _prompts(name: str, model: Any) -> tuple[str, str]:
    """The prompts of questions and of passages: the model's own, or those of its family."""
    own = model.prompts or {}
    query, passages = own.get("query") or "", [own.get(kind) for kind in ("passage", "document", "corpus")]
    if query or any(passages):
        return query, next(filter(None, passages), "")
    family = Path(name).name if Path(name).exists() else name
    matching = ((asked, read) for pattern, asked, read in _PROMPTS if regex.search(pattern, family, regex.IGNORECASE))
    return next(matching, ("", ""))


def e5() -> TextEncoder:
    """The encoder `e5`: a transformer that needs no torch and no download."""
    return TextEncoder(contextual_encoder(), E5, MAX_TOKENS)


def from_provider(name: str) -> TextEncoder:
    """The encoder that `langchain:PROVIDER:MODEL` names.

    Raises:
        EncoderUnavailable: The provider's package or its key is missing.
    """
    spec = name.removeprefix("langchain:")
    try:
        from langchain.embeddings import init_embeddings

        return TextEncoder(init_embeddings(spec), name)
    except Exception as error:
        found = f"the embeddings {spec!r} cannot be set up ({error})"
        remedy = f"pip install langchain-{spec.split(':')[0]}, and set the provider's key"
        raise EncoderUnavailable(found, _EXPECTED, remedy) from error
