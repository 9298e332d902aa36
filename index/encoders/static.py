"""A static encoder: one vector a token, summed; no transformer, no torch.

It reads the directory format of model2vec (config.json, tokenizer.json, model.safetensors) directly, because loading
through model2vec takes four times as long (docs/decisions/0004); a test holds the vectors equal to model2vec's.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray, unit_rows
from index.encoders.tokenize import TokenIds, Word
from index.encoders.words import MAX_WORD, IntArray, best_cosines, packed
from index.errors import EncoderUnavailable

EMBEDDED = Path(__file__).parent / "embedded"
_FILES = ("config.json", "model.safetensors", "tokenizer.json")
_MAX_CHARS = 100_000  # of one text given to the tokenizer; passages are far shorter
_MAX_RECENT = 20_000  # texts whose words are kept between counting and encoding
_MAX_SCALES = 100_000  # words whose length is kept; about 20 MB


def is_static_model(path: Path) -> bool:
    """Whether `path` holds a model of this format."""
    if not all((path / name).is_file() for name in _FILES):
        return False
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
    except ValueError:
        return False
    return isinstance(config, dict) and (config.get("model_type") == "model2vec" or "embedding_dtype" in config)


class StaticEncoder:
    """The vector of a text is that of the sum of its tokens' vectors."""

    max_tokens: int | None = None  # it truncates nothing

    def __init__(self, path: Path, name: str) -> None:
        """Load the model in `path`.

        Raises:
            EncoderUnavailable: A file is missing or damaged.
        """
        from safetensors.numpy import load_file

        self.path, self.name = path, name
        try:
            config = json.loads((path / "config.json").read_text("utf-8"))
            tensors = load_file(path / "model.safetensors")
            self._token_ids = TokenIds(path / "tokenizer.json")
            self._table: NDArray[Any] = tensors["embeddings"]
            self.languages = frozenset(config.get("languages", ()))
        except Exception as error:
            raise EncoderUnavailable(
                f"the encoder in {path} cannot be loaded ({type(error).__name__}: {error})",
                ", ".join(_FILES),
                "install dragoman again" if path == EMBEDDED else f"put a sound model into {path}",
            ) from error
        self.dim = int(self._table.shape[1])
        rows = tensors.get("mapping")  # of the table, by token
        self._n_tokens = len(self._table if rows is None else rows)
        self._rows: NDArray[np.integer] = np.arange(self._n_tokens) if rows is None else rows
        self._weights: FloatArray = tensors.get("weights", np.ones(self._n_tokens)).astype(np.float32)
        if self._token_ids.unk_id is not None:
            self._weights[self._token_ids.unk_id] = 0  # what is unknown does not count
        # A sentence is counted to cut passages and encoded right after: its words are kept for that.
        self._words = functools.lru_cache(_MAX_RECENT)(lambda text: self._token_ids.words(text[:_MAX_CHARS]))
        self._scales: dict[Word, float] = {}  # 1 over the length of a word's vector

    @functools.cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name in ("model.safetensors", "tokenizer.json"):
            digest.update((self.path / name).read_bytes())
        return f"static-{digest.hexdigest()[:16]}"

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [sum(map(len, self._words(text))) for text in texts]

    def encode_queries(self, texts: Sequence[str]) -> FloatArray:
        vectors = unit_rows(self._sums(texts))
        vectors[[not self._is_informative(self._known_words(text)) for text in texts]] = 0
        return vectors

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        return unit_rows(self._sums(texts))

    def encode_sentences(self, passages: Sequence[Sequence[str]]) -> FloatArray:
        # Passages overlap: each distinct sentence is encoded once.
        position = {text: i for i, text in enumerate(dict.fromkeys(chain.from_iterable(passages)))}
        sums = self._sums(list(position))
        rows = [sums[[position[sentence] for sentence in sentences]].sum(axis=0) for sentences in passages]
        return unit_rows(np.array(rows, dtype=np.float32).reshape(-1, self.dim))

    def packed_words(self, passages: Sequence[Sequence[str]]) -> list[bytes]:
        """All that `max_sim` needs of each passage, given as its sentences; never empty. It is stored with it."""
        distinct = [list(dict.fromkeys(chain.from_iterable(map(self._known_words, own)))) for own in passages]
        return packed(distinct, self._scales_of(distinct))

    def max_sim(self, query: str, passages: Sequence[bytes]) -> FloatArray:
        """How well the words of the query are met in each passage, as `packed_words` gives it, (passages,), in [-1, 1].

        The weighted mean, over the words of the query, of the greatest cosine with a word of the passage (MaxSim,
        Khattab & Zaharia 2020): unlike one vector a passage, it is not diluted by what else a long passage says.
        0 for a query or a passage without known words. A word is the sum of its tokens (half a word matches too
        much), and weighs the square of its length, which training made long where it matters.
        """
        words = self._known_words(query)
        vectors = self._summed(words)
        weights = np.square(vectors).sum(axis=1)
        total = weights.sum()
        if not passages or not self._is_informative(words) or total == 0:
            return np.zeros(len(passages), dtype=np.float32)
        best = best_cosines(passages, partial(self._products, unit_rows(vectors)), self._n_tokens)
        found: FloatArray = best @ weights / total
        return found

    def _products(self, queries: FloatArray, tokens: IntArray) -> FloatArray:
        """The products of some tokens' vectors with every query, (n_tokens, n_queries)."""
        products: FloatArray = self._table[self._rows[tokens]].astype(np.float32) @ queries.T
        return products * self._weights[tokens][:, None]

    def _scales_of(self, passages: Sequence[Sequence[Word]]) -> dict[Word, float]:
        """1 over the length of the vector of each word of some passages, 0 for a vector of 0."""
        if len(self._scales) > _MAX_SCALES:
            self._scales = {}
        scales = self._scales
        missing = [word for word in set(chain.from_iterable(passages)) if word not in scales]
        lengths = np.linalg.norm(self._summed(missing), axis=1)
        own = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        scales.update(zip(missing, own.tolist(), strict=True))
        return scales

    def _known_words(self, text: str) -> list[Word]:
        """The words of `text` without the tokens that are unknown."""
        words, unknown = self._words(text), self._token_ids.unk_id
        if max(map(len, words), default=0) > MAX_WORD:
            words = [word[:MAX_WORD] for word in words]
        if unknown is None or unknown not in chain.from_iterable(words):
            return words
        known = (word if unknown not in word else tuple(i for i in word if i != unknown) for word in words)
        return [word for word in known if word]

    def _is_informative(self, words: Sequence[Word]) -> bool:
        """Whether a question has more than spaces, punctuation and unknown tokens, which match much by chance."""
        return any(map(self._token_ids.is_informative, chain.from_iterable(words)))

    def _sums(self, texts: Sequence[str]) -> FloatArray:
        """Sum of the token vectors of each text, (n, dim)."""
        return self._summed([list(chain.from_iterable(self._words(text))) for text in texts])

    def _summed(self, token_lists: Sequence[Sequence[int]]) -> FloatArray:
        """Weighted sum of the vectors of each list of tokens, (n, dim)."""
        out = np.zeros((len(token_lists), self.dim), dtype=np.float32)
        for row, tokens in zip(out, map(list, token_lists), strict=True):
            np.dot(self._weights[tokens], self._table[self._rows[tokens]].astype(np.float32), out=row)
        return out
