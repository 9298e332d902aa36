"""A static encoder: one vector a token, summed; no transformer, no torch.

Reads the directory format of model2vec (config.json, tokenizer.json, model.safetensors)
directly, because importing and loading through model2vec takes four times as long at
start-up (docs/decisions/0004); a test holds the vectors equal to model2vec's.
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
from index.encoders.tokenize import TokenIds
from index.encoders.words import MAX_WORD, IntArray, Word, Words, packed
from index.errors import EncoderUnavailable
from index.settings import Parts

EMBEDDED = Path(__file__).parent / "embedded"
_FILES = ("config.json", "model.safetensors", "tokenizer.json")
_FINGERPRINT = "static-"
_MAX_CHARS = 100_000  # of one text given to the tokenizer; passages are far shorter
_TOKENS_AT_ONCE = 16_384  # bounds the float32 rows held while summing to 16 MiB
_MAX_RECENT = 20_000  # texts whose words are kept between counting and encoding
_MAX_SCALES = 100_000  # words whose length is kept; about 20 MB
_MAX_PACKED = 4_096  # texts whose words are kept as they were compared last; about 5 MB
_ROWS_AT_ONCE = 256  # of the table: what stays in a core's own cache
_QUERY_WORDS_AT_ONCE = 256
_WORDS_AT_ONCE = 8_192  # whose lengths are calculated: 8 MiB of vectors


def is_static_model(path: Path) -> bool:
    """Whether `path` holds a model of this format."""
    if not all((path / name).is_file() for name in _FILES):
        return False
    try:
        config = json.loads((path / "config.json").read_text("utf-8"))
    except ValueError:
        return False
    return isinstance(config, dict) and (config.get("model_type") == "model2vec" or "embedding_dtype" in config)


def is_static(fingerprint: str) -> bool:
    """Whether the encoder with this fingerprint is one of these, which store the words of passages."""
    return fingerprint.startswith(_FINGERPRINT)


class StaticEncoder:
    """Vectors by summing token vectors: the vector of a text is that of the sum of its tokens.

    Because a sum of sums is a sum, a passage's parts cost no more than its sentences.
    """

    def __init__(self, path: Path, name: str) -> None:
        """Load the model in `path`.

        Raises:
            EncoderUnavailable: A file is missing or damaged.
        """
        from safetensors.numpy import load_file

        self._name, self._path = name, path
        try:
            config = json.loads((path / "config.json").read_text("utf-8"))
            tensors = load_file(path / "model.safetensors")
            self._token_ids = TokenIds(
                json.loads((path / "tokenizer.json").read_text("utf-8")), partial(_library, path)
            )
            self._table: NDArray[Any] = tensors["embeddings"]
            self._languages = frozenset(config.get("languages", ()))
        except Exception as error:
            raise EncoderUnavailable(
                f"the encoder in {path} cannot be loaded ({type(error).__name__}: {error})",
                ", ".join(_FILES),
                "install dragoman anew" if path == EMBEDDED else f"put a sound model into {path}",
            ) from error
        self._weights: NDArray[np.float32] | None = tensors.get("weights")
        self._rows: NDArray[np.integer] | None = tensors.get("mapping")  # of the table, by token
        self._unk = self._token_ids.unk_id
        self._n_tokens = len(self._table if self._rows is None else self._rows)  # that there are
        self._recent: dict[str, list[Word]] = {}
        self._scales: dict[Word, float] = {}  # 1 over the length of a word's vector
        self._packed: dict[str, bytes] = {}

    @property
    def path(self) -> Path:
        """The directory that the model was read from."""
        return self._path

    @property
    def name(self) -> str:
        return self._name

    @property
    def dim(self) -> int:
        return int(self._table.shape[1])

    @functools.cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name in ("model.safetensors", "tokenizer.json"):
            digest.update((self._path / name).read_bytes())
        return f"{_FINGERPRINT}{digest.hexdigest()[:16]}"

    @property
    def languages(self) -> frozenset[str]:
        return self._languages

    @property
    def max_tokens(self) -> int | None:
        return None

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        found = self._token_ids.words([text[:_MAX_CHARS] for text in texts])
        # A sentence is counted to cut passages and encoded right after: its words are kept for that.
        if len(self._recent) > _MAX_RECENT:
            self._recent.clear()
        self._recent.update(zip(texts, found, strict=True))
        return [sum(map(len, words)) for words in found]

    def encode_queries(self, texts: Sequence[str]) -> FloatArray:
        vectors = unit_rows(self._sums(texts))
        vectors[[not self._says_something(self._known_words(text)) for text in texts]] = 0
        return vectors

    def encode_passages(self, texts: Sequence[str]) -> FloatArray:
        return unit_rows(self._sums(texts))

    def encode_parts(self, passages: Sequence[Sequence[str]], parts: Parts) -> list[FloatArray]:
        if not passages:
            return []
        # Passages overlap: each distinct sentence is encoded once.
        position: dict[str, int] = {}
        for sentences in passages:
            for sentence in sentences:
                position.setdefault(sentence, len(position))
        sums = self._sums(list(position))
        rows: list[FloatArray] = []
        sizes: list[int] = []
        for sentences in passages:
            own = sums[[position[sentence] for sentence in sentences]]
            rows.append(own.sum(axis=0, keepdims=True))
            size = 1
            if parts is not Parts.WHOLE and len(sentences) > 1:
                rows.append(own)
                size += len(own)
                if parts is Parts.PAIRS and len(sentences) > 2:
                    rows.append(own[:-1] + own[1:])
                    size += len(own) - 1
            sizes.append(size)
        return np.split(unit_rows(np.concatenate(rows)), np.cumsum(sizes)[:-1])

    def max_sim(self, queries: Sequence[str], passages: Sequence[str]) -> FloatArray:
        if not passages:
            return np.zeros((len(queries), 0), dtype=np.float32)
        return self._max_sim(queries, Words([self._packed_text(text) for text in passages]))

    def packed_words(self, passages: Sequence[Sequence[str]]) -> list[bytes]:
        distinct = [list(dict.fromkeys(chain.from_iterable(map(self._known_words, own)))) for own in passages]
        return packed(distinct, self._scales_of(distinct))

    def max_sim_packed(self, query: str, passages: Sequence[bytes]) -> FloatArray:
        if not passages:
            return np.zeros(0, dtype=np.float32)
        found: FloatArray = self._max_sim([query], Words(passages))[0]
        return found

    def _max_sim(self, queries: Sequence[str], passages: Words) -> FloatArray:
        # Words are compared, each the sum of its tokens: half a word is met by too much. A word weighs by
        # the square of its length, which training made long where it matters.
        asked = [words if self._says_something(words) else [] for words in map(self._known_words, queries)]
        rows = {word: number for number, word in enumerate(dict.fromkeys(chain.from_iterable(asked)))}
        vectors = self._word_vectors(list(rows))
        units = unit_rows(vectors)
        best = [
            passages.best(partial(self._products, units[start : start + _QUERY_WORDS_AT_ONCE]), self._n_tokens)
            for start in range(0, len(rows) or 1, _QUERY_WORDS_AT_ONCE)
        ]
        of_passages = np.concatenate(best, axis=1)
        weights = np.square(vectors).sum(axis=1)
        out = np.zeros((len(queries), len(of_passages)), dtype=np.float32)
        for i, words in enumerate(asked):
            own = [rows[word] for word in words]
            total = weights[own].sum()
            if total > 0:
                out[i] = of_passages[:, own] @ weights[own] / total
        return out

    def _products(self, queries: FloatArray, tokens: IntArray) -> FloatArray:
        """The products of some tokens' vectors with every query, (n_tokens, n_queries)."""
        rows = tokens if self._rows is None else self._rows[tokens]
        turned = np.ascontiguousarray(queries.T)
        single = np.empty((_ROWS_AT_ONCE, self.dim), dtype=np.float32)
        out = np.empty((len(tokens), len(queries)), dtype=np.float32)
        for start in range(0, len(tokens), _ROWS_AT_ONCE):
            some = self._table[rows[start : start + _ROWS_AT_ONCE]]
            np.copyto(single[: len(some)], some)
            np.dot(single[: len(some)], turned, out=out[start : start + len(some)])
        if self._weights is not None:
            out *= self._weights[tokens][:, None]
        return out

    def _packed_text(self, text: str) -> bytes:
        """The words of a text, packed; kept for the next question, which is answered from the same sentences."""
        known = self._packed.get(text)
        if known is None:
            if len(self._packed) >= _MAX_PACKED:
                self._packed.clear()
            (known,) = self.packed_words([[text]])
            self._packed[text] = known
        return known

    def _scales_of(self, passages: Sequence[Sequence[Word]]) -> dict[Word, float]:
        """1 over the length of the vector of each word of some passages, 0 for a vector of 0."""
        if len(self._scales) > _MAX_SCALES:
            self._scales = {}
        scales = self._scales
        missing = [word for word in dict.fromkeys(chain.from_iterable(passages)) if word not in scales]
        for start in range(0, len(missing), _WORDS_AT_ONCE):
            some = missing[start : start + _WORDS_AT_ONCE]
            lengths = np.linalg.norm(self._word_vectors(some), axis=1)
            own = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
            scales.update(zip(some, own.tolist(), strict=True))
        return scales

    def _known_words(self, text: str) -> list[Word]:
        """The words of `text` without the tokens that are unknown."""
        words = self._words(text)
        if max(map(len, words), default=0) > MAX_WORD:
            words = [word[:MAX_WORD] for word in words]
        unknown = self._unk
        if unknown is None or unknown not in chain.from_iterable(words):
            return words
        known = (word if unknown not in word else tuple(i for i in word if i != unknown) for word in words)
        return [word for word in known if word]

    def _says_something(self, words: Sequence[Word]) -> bool:
        """Whether a question has more than the unknown, spaces and punctuation, which are near to much by chance."""
        return any(map(self._token_ids.says_something, chain.from_iterable(words)))

    def _words(self, text: str) -> list[Word]:
        known = self._recent.get(text)
        return self._token_ids.words([text[:_MAX_CHARS]])[0] if known is None else known

    def _word_vectors(self, words: Sequence[Word]) -> FloatArray:
        """Sum of the token vectors of each word, (n, dim)."""
        out = np.zeros((len(words), self.dim), dtype=np.float32)
        by_size: dict[int, list[int]] = {}
        for i, word in enumerate(words):
            by_size.setdefault(len(word), []).append(i)
        for size, places in by_size.items():
            if size:
                ids = np.fromiter(chain.from_iterable(words[i] for i in places), np.int64, size * len(places))
                out[places] = self._vectors(ids).reshape(len(places), size, self.dim).sum(axis=1)
        return out

    def _sums(self, texts: Sequence[str]) -> FloatArray:
        """Sum of the token vectors of each text, (n, dim); unknown tokens do not count."""
        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        token_lists = [list(chain.from_iterable(self._words(text))) for text in texts]
        start = 0
        while start < len(texts):
            stop, n_tokens = start, 0
            while stop < len(texts) and (stop == start or n_tokens + len(token_lists[stop]) <= _TOKENS_AT_ONCE):
                n_tokens += len(token_lists[stop])
                stop += 1
            self._sum_into(out[start:stop], token_lists[start:stop], n_tokens)
            start = stop
        return out

    def _sum_into(self, out: FloatArray, token_lists: list[list[int]], n_tokens: int) -> None:
        flat = np.fromiter(chain.from_iterable(token_lists), dtype=np.int64, count=n_tokens)
        rows = self._table[flat if self._rows is None else self._rows[flat]].astype(np.float32)
        weights = np.ones(n_tokens, np.float32) if self._weights is None else self._weights[flat]
        if self._unk is not None:
            weights = np.where(flat == self._unk, np.float32(0), weights)
        end = 0
        for i, ids in enumerate(token_lists):
            start, end = end, end + len(ids)
            # One weighted sum a text: five times as fast as numpy's reduceat over rows.
            np.dot(weights[start:end], rows[start:end], out=out[i])

    def _vectors(self, ids: NDArray[np.int64]) -> FloatArray:
        """The vector of each token, (n, dim)."""
        rows: FloatArray = self._table[ids if self._rows is None else self._rows[ids]].astype(np.float32)
        return rows if self._weights is None else rows * self._weights[ids][:, None]


def _library(path: Path) -> Any:
    """The tokenizer in `path`, as the tokenizers library reads it."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
