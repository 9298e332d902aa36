"""Token ids for a unigram tokenizer, several times as fast as its general pipeline.

The pipeline of the tokenizers library tracks every character's offset, which a static
encoder does not need. Where a tokenizer has the one shape known here (NFKC, lower case,
punctuation isolated, Metaspace), text is split by one regular expression, each piece goes
straight to the unigram model, and pieces seen before are looked up: words repeat.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
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
_MAX_CACHE = 200_000  # pieces; about 50 MB


class TokenIds:
    """Token ids of texts, special tokens not added.

    Invariant: the ids are those of the tokenizer's own `encode` (held by a test).
    """

    def __init__(self, tokenizer: Any) -> None:
        from tokenizers.normalizers import NFKC

        self._tokenizer = tokenizer
        shape = json.loads(tokenizer.to_str())
        model = shape["model"]["type"]
        self._fast = model == "Unigram" and all(shape[key] == value for key, value in _KNOWN_SHAPE.items())
        self._slow = (_METASPACE, *(token["content"] for token in shape["added_tokens"]))
        self._nfkc = NFKC()
        self._cache: dict[str, list[int]] = {}

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        if not self._fast:
            return [e.ids for e in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
        return [self._ids(text) for text in texts]

    def words(self, text: str) -> list[tuple[int, ...]]:
        """The ids of `text` word by word; in scripts that do not space words, id by id."""
        if not self._fast or any(sign in text for sign in self._slow):
            return [(i,) for i in self([text])[0]]
        found: list[tuple[int, ...]] = []
        for piece in _PIECE.findall(self._folded(text)):
            ids = self._cache.get(piece)
            if ids is None:
                ids = self._piece(piece)
            if len(ids) > 1 and _UNSPACED.search(piece):
                found.extend((i,) for i in ids)
            else:
                found.append(tuple(ids))
        return found

    def _ids(self, text: str) -> list[int]:
        if any(sign in text for sign in self._slow):
            found: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
            return found
        cache = self._cache
        ids: list[int] = []
        for piece in _PIECE.findall(self._folded(text)):
            known = cache.get(piece)
            ids += self._piece(piece) if known is None else known
        return ids

    def _folded(self, text: str) -> str:
        # The library's tables are older than Python's (㋿ of 2019 is not in them): its word counts where it matters.
        normal = text if unicodedata.is_normalized("NFKC", text) else self._nfkc.normalize_str(text)
        # The library lowers character by character; Python makes a final sigma of a word's last one.
        return normal.replace("Σ", "σ").lower()

    def _piece(self, piece: str) -> list[int]:
        whole = _METASPACE + piece.removeprefix(" ")
        ids = [token.id for token in self._tokenizer.model.tokenize(whole)]
        if len(piece) <= _MAX_CACHED_CHARS and len(self._cache) < _MAX_CACHE:
            self._cache[piece] = ids
        return ids
