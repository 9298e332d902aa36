"""Token ids for a unigram tokenizer, several times as fast as its general pipeline.

The pipeline of the tokenizers library tracks every character's offset, which a static encoder
does not need, and takes longer to load than a whole answer may. Where a tokenizer has the one
shape known here (NFKC, lower case, punctuation isolated, Metaspace), text is split by one regular
expression, each piece is cut by itself, and pieces seen before are looked up: words repeat.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import regex

_METASPACE = "▁"  # stands for a space; in a text it cannot be told from one, so such text goes to the library
_KNOWN_SHAPE = {
    "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]},
    "pre_tokenizer": {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": r"\p{P}|\p{S}"}, "behavior": "Isolated", "invert": False},
            {"type": "Metaspace", "replacement": _METASPACE, "prepend_scheme": "always", "split": True},
        ],
    },
}
_PIECE = regex.compile(r"[\p{P}\p{S}]| ?[^ \p{P}\p{S}]+| ")
# Scripts without spaces between words: what stands between two spaces there is a clause.
_UNSPACED = regex.compile(
    r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}"
    r"\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]"
)
_MAX_CACHED_CHARS = 16
# Words cut here before the library is loaded, which takes as long as this many, and then cuts three times as fast.
_PATIENCE = 10_000
_MAX_CACHE = 200_000  # pieces; about 60 MB


class TokenIds:
    """Token ids of texts, special tokens not added.

    Invariant: the ids are those of the tokenizer's own `encode` (held by a test).
    """

    def __init__(self, shape: Mapping[str, Any], library: Callable[[], Any]) -> None:
        """`shape` is the content of tokenizer.json; `library` gives the tokenizer itself, where it is needed."""
        self._library = functools.cache(library)
        model = shape["model"]
        known = all(shape[key] == value for key, value in _KNOWN_SHAPE.items())
        self._fast = known and model["type"] == "Unigram" and not model.get("byte_fallback")
        self._slow = (_METASPACE, *(token["content"] for token in shape["added_tokens"]))
        self.unk_id: int | None = _unknown_id(model)
        self._unigram = _Unigram(model["vocab"], self.unk_id) if self._fast and self.unk_id is not None else None
        self._fast = self._unigram is not None
        self._vocab = model.get("vocab", ())
        self._cache: dict[str, list[tuple[int, ...]]] = {}  # the words of a piece
        self._n_cut = 0

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(chain.from_iterable(words)) for words in self.words(texts)]

    def words(self, texts: Sequence[str]) -> list[list[tuple[int, ...]]]:
        """The ids of each text word by word; in scripts that do not space words, id by id."""
        if not self._fast:
            encodings = self._library().encode_batch_fast(list(texts), add_special_tokens=False)
            return [[(i,) for i in encoding.ids] for encoding in encodings]
        return [self._words(text) for text in texts]

    def says_something(self, token: int) -> bool:
        """Whether a token is more than space and punctuation: has a letter or a digit, or stands for something else."""
        if token == self.unk_id:
            return False
        piece = self._pieces.get(token, "") if isinstance(self._vocab, Mapping) else self._vocab[token][0]
        return not piece or any(map(str.isalnum, piece))

    @functools.cached_property
    def _pieces(self) -> dict[int, str]:
        return {number: piece for piece, number in self._vocab.items()}

    def _words(self, text: str) -> list[tuple[int, ...]]:
        if any(sign in text for sign in self._slow):
            return [(i,) for i in self._library().encode(text, add_special_tokens=False).ids]
        cache = self._cache
        found: list[tuple[int, ...]] = []
        for piece in _PIECE.findall(self._folded(text)):
            known = cache.get(piece)
            found += self._piece(piece) if known is None else known
        return found

    def _folded(self, text: str) -> str:
        # The library's tables are older than Python's (㋿ of 2019 is not in them): its word counts where it matters.
        normal = text if unicodedata.is_normalized("NFKC", text) else _nfkc()(text)
        # The library lowers character by character; Python makes a final sigma of a word's last one.
        return normal.replace("Σ", "σ").lower()

    def _piece(self, piece: str) -> list[tuple[int, ...]]:
        assert self._unigram is not None
        self._n_cut += 1
        word = _METASPACE + piece.removeprefix(" ")
        if self._n_cut < _PATIENCE:
            ids = self._unigram(word)
        else:
            ids = [token.id for token in self._library().model.tokenize(word)]
        words = [tuple(ids)]
        if len(ids) > 1 and _UNSPACED.search(piece):
            words = [(i,) for i in ids]
        if len(piece) <= _MAX_CACHED_CHARS and len(self._cache) < _MAX_CACHE:
            self._cache[piece] = words
        return words


class _Unigram:
    """The most probable cut of a word (Kudo 2018), by the Viterbi algorithm and with the library's ties."""

    def __init__(self, vocab: Sequence[tuple[str, float]], unk_id: int) -> None:
        self._pieces = {piece: (i, score) for i, (piece, score) in enumerate(vocab)}
        self._unk_id = unk_id
        self._unk_score = min(score for _, score in vocab) - _UNK_PENALTY
        longest: dict[str, int] = {}
        for piece in self._pieces:
            if len(piece) > longest.get(piece[:1], 0):
                longest[piece[:1]] = len(piece)
        self._longest = longest  # piece that begins with a character

    def __call__(self, word: str) -> list[int]:
        pieces, longest = self._pieces, self._longest
        n = len(word)
        scores: list[float | None] = [0.0, *([None] * n)]
        starts, ids = [0] * (n + 1), [0] * (n + 1)
        for start in range(n):
            so_far = scores[start]
            assert so_far is not None  # every character is at least unknown
            alone = False
            for end in range(start + 1, min(n, start + longest.get(word[start], 0)) + 1):
                found = pieces.get(word[start:end])
                if found is None:
                    continue
                alone = alone or end == start + 1
                score, known = found[1] + so_far, scores[end]
                if known is None or score > known:
                    scores[end], starts[end], ids[end] = score, start, found[0]
            if not alone:
                score, known = self._unk_score + so_far, scores[start + 1]
                if known is None or score > known:
                    scores[start + 1], starts[start + 1], ids[start + 1] = score, start, self._unk_id
        backwards: list[int] = []
        end = n
        while end > 0:
            # Unknown characters in a row are one token.
            if ids[end] != self._unk_id or not backwards or backwards[-1] != self._unk_id:
                backwards.append(ids[end])
            end = starts[end]
        return backwards[::-1]


_UNK_PENALTY = 10.0  # the library's


@functools.cache
def _nfkc() -> Callable[[str], str]:
    from tokenizers.normalizers import NFKC

    normalize: Callable[[str], str] = NFKC().normalize_str
    return normalize


def _unknown_id(model: Mapping[str, Any]) -> int | None:
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    token, vocab = model.get("unk_token"), model.get("vocab")
    return vocab.get(token) if isinstance(vocab, Mapping) and token is not None else None
