"""Token ids of texts word by word, for a static encoder.

The pipeline of the tokenizers library tracks every character's offset, which is not needed here. Where a tokenizer has
the one shape known here (unigram pieces after NFKC, lower case, punctuation isolated, Metaspace), one regular
expression splits a text into words, and the library's model cuts each word once: words repeat.
"""

from __future__ import annotations

import functools
import json
import unicodedata
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import regex

Word = tuple[int, ...]  # its tokens

_METASPACE = "▁"  # stands for a space; a text that holds it goes through the library
_KNOWN_SHAPE = (
    {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "Lowercase"}]},
    {
        "type": "Sequence",
        "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": r"\p{P}|\p{S}"}, "behavior": "Isolated", "invert": False},
            {"type": "Metaspace", "replacement": _METASPACE, "prepend_scheme": "always", "split": True},
        ],
    },
)
_WORD = regex.compile(r"[\p{P}\p{S}]| ?[^ \p{P}\p{S}]+| ")
# Scripts without spaces between words: what stands between two spaces there is a clause.
_UNSPACED = regex.compile(
    r"[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}"
    r"\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]"
)
_MAX_CACHED_CHARS = 16
_MAX_CACHED = 200_000  # words; about 60 MB
_UNKNOWN_CHARACTER = "\U000f0000"  # private use


class TokenIds:
    """Token ids of texts, special tokens not added: those of the tokenizer's own `encode`."""

    def __init__(self, path: Path) -> None:
        """Load the tokenizer.json at `path`."""
        from tokenizers import Tokenizer, models

        library: Any = Tokenizer.from_file(str(path))
        library.no_padding()
        library.no_truncation()
        unknown = library.model.tokenize(_UNKNOWN_CHARACTER)
        self.unk_id: int | None = unknown[0].id if len(unknown) == 1 else None
        shape = tuple(json.loads(part.__getstate__()) if part else None for part in _parts(library))
        is_known = isinstance(library.model, models.Unigram) and shape == _KNOWN_SHAPE and self.unk_id is not None
        self._library = library
        self._words = _Words(library.model) if is_known else None
        self._slow = (_METASPACE, *(token.content for token in library.get_added_tokens_decoder().values()))

    def words(self, texts: Sequence[str]) -> list[list[Word]]:
        """The ids of each text word by word; in scripts that do not space words, id by id."""
        if self._words is None:
            encodings = self._library.encode_batch_fast(list(texts), add_special_tokens=False)
            return [[(i,) for i in encoding.ids] for encoding in encodings]
        return [self._words_of(text, self._words) for text in texts]

    def _words_of(self, text: str, words: _Words) -> list[Word]:
        if any(sign in text for sign in self._slow):
            return [(i,) for i in self._library.encode(text, add_special_tokens=False).ids]
        return list(chain.from_iterable(map(words.__getitem__, _WORD.findall(_folded(text)))))

    def is_informative(self, token: int) -> bool:
        """Whether a token is more than space and punctuation: has a letter or a digit, or stands for something else."""
        piece = self._library.id_to_token(token)
        return token != self.unk_id and (not piece or any(map(str.isalnum, piece)))


def _parts(library: Any) -> tuple[Any, Any]:
    return library.normalizer, library.pre_tokenizer


def _folded(text: str) -> str:
    # The library's tables are older than Python's (㋿ of 2019 is not in them), and its result counts.
    normal = text if unicodedata.is_normalized("NFKC", text) else _nfkc().normalize_str(text)
    # The library lowers character by character; Python makes a final sigma of a word's last one.
    lowered: str = normal.replace("Σ", "σ").lower()
    return lowered


@functools.cache
def _nfkc() -> Any:
    from tokenizers.normalizers import NFKC

    return NFKC()


class _Words(dict[str, list[Word]]):
    """The tokens of each word as a text has it (in unspaced scripts: of each clause), cut at first use."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._model = model

    def __missing__(self, word: str) -> list[Word]:
        """Cut a word; long ones are not kept."""
        ids: Word = tuple(token.id for token in self._model.tokenize(_METASPACE + word.removeprefix(" ")))
        words: list[Word] = [(i,) for i in ids] if len(ids) > 1 and _UNSPACED.search(word) else [ids]
        if len(word) <= _MAX_CACHED_CHARS and len(self) < _MAX_CACHED:
            self[word] = words
        return words
