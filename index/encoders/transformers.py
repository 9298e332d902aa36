"""Any sentence-transformers model, by name or path. Imports torch at first use only."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import regex

from index.encoders.base import FloatArray, encode_parts_as_texts, unit_rows
from index.errors import EncoderUnavailable
from index.settings import Parts

# Prompts of families whose model files do not carry them.
_PROMPTS: tuple[tuple[str, str, str], ...] = (
    (r"(?:^|[/_-])(?:multilingual-)?e5-(?!mistral)", "query: ", "passage: "),
    (r"bge-.*-en", "Represent this sentence for searching relevant passages: ", ""),
    (r"bge-.*-zh", "为这个句子生成表示以用于检索相关文章：", ""),
)
# Megabytes to download, so that a user knows before; others are said to be unknown.
_SIZES_MB = {
    "intfloat/multilingual-e5-small": 471,
    "intfloat/multilingual-e5-base": 1_110,
    "intfloat/multilingual-e5-large": 2_240,
    "BAAI/bge-m3": 2_270,
    "sentence-transformers/LaBSE": 1_880,
    "sentence-transformers/all-MiniLM-L6-v2": 91,
    "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2": 471,
    "sentence-transformers/static-similarity-mrl-multilingual-v1": 433,
}


class TransformerEncoder:
    """A SentenceTransformer behind this package's protocol."""

    def __init__(self, name: str, device: str | None = None, batch_size: int = 32) -> None:
        """Load the model called `name` (hub name or directory).

        Args:
            name: As sentence-transformers takes it.
            device: `cpu`, `cuda`, `mps`; the best one there is by default.
            batch_size: Texts a forward pass.

        Raises:
            EncoderUnavailable: The library or the model cannot be had here.
        """
        self._name, self._batch_size = name, batch_size
        self._model: Any = _load(name, device)
        self._query_prompt, self._passage_prompt = _prompts(name, self._model)

    @property
    def name(self) -> str:
        return self._name

    @functools.cached_property
    def dim(self) -> int:
        return int(self._model.get_embedding_dimension())

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
    def languages(self) -> frozenset[str]:
        return frozenset()

    @property
    def max_tokens(self) -> int | None:
        limit = self._model.max_seq_length
        if limit is None:
            return None
        prompt = len(self._tokens([self._passage_prompt])[0]) if self._passage_prompt else 0
        return max(1, int(limit) - self._n_special - prompt)

    @functools.cached_property
    def _n_special(self) -> int:
        return int(self._model.tokenizer.num_special_tokens_to_add(pair=False))

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        found = self._model.tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        return list(found["input_ids"])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self._tokens(texts)]

    def encode_queries(self, texts: Sequence[str]) -> FloatArray:
        return self._encode(texts, self._query_prompt)

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        return self._encode(texts, self._passage_prompt)

    def encode_parts(self, passages: Sequence[Sequence[str]], parts: Parts) -> list[FloatArray]:
        return encode_parts_as_texts(self, passages, parts)

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
            f"the encoder {name!r} is not in the package, and sentence-transformers, which may load it, is not there",
            "`embedded`, langchain:PROVIDER:MODEL, or the extra `models`",
            "leave --encoder out, or: pip install 'dragoman[models]'",
        ) from error
    size = _SIZES_MB.get(name)
    download = f"hf download {name}" + (f" (about {size} MB)" if size else " (its size is on its page)")
    try:
        return SentenceTransformer(
            name, device=device, trust_remote_code=False, local_files_only=os.environ.get("HF_HUB_OFFLINE") == "1"
        )
    except Exception as error:
        raise EncoderUnavailable(
            f"the encoder {name!r} is not on this machine and could not be fetched ({type(error).__name__})",
            "`embedded`, langchain:PROVIDER:MODEL, a directory with a model, or a model of the hub",
            download if not Path(name).exists() else f"check the model in {name}",
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
