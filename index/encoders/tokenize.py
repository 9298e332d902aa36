"""Token ids of texts word by word, for a static encoder.

The pipeline of the tokenizers library tracks every character's offset, which is not needed here. Where a tokenizer has
the one shape known here (unigram pieces after NFKC, lower case, punctuation isolated, Metaspace), one regular
expression splits a text into words, and the library's model cuts each word once: words repeat.
"""

from __future__ import annotations

import functools
import json
import unicodedata
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
_MAX_CACHED = 100_000  # words; about 40 MB
_UNKNOWN_CHARACTER = "\U000f0000"  # private use


class TokenIds:
    """Token ids of texts, special tokens not added: those of the tokenizer's own `encode`."""

    def __init__(self, path: Path) -> None:
        """Load the tokenizer.json at `path`."""
        from tokenizers import Tokenizer, models, normalizers

        library: Any = Tokenizer.from_file(str(path))
        library.no_padding()
        library.no_truncation()
        unknown = library.model.tokenize(_UNKNOWN_CHARACTER)
        self.unk_id: int | None = unknown[0].id if len(unknown) == 1 else None
        parts = (library.normalizer, library.pre_tokenizer)
        shape = tuple(json.loads(part.__getstate__()) if part else None for part in parts)
        self._is_known = isinstance(library.model, models.Unigram) and shape == _KNOWN_SHAPE and self.unk_id is not None
        self._library, self._model, self._nfkc = library, library.model, normalizers.NFKC()
        self._slow = (_METASPACE, *(token.content for token in library.get_added_tokens_decoder().values()))
        self._words_of = functools.lru_cache(_MAX_CACHED)(self._cut)

    def words(self, text: str) -> list[Word]:
        """The ids of a text word by word; in scripts that do not space words, id by id."""
        if not self._is_known or any(sign in text for sign in self._slow):
            return [(i,) for i in self._library.encode(text, add_special_tokens=False).ids]
        return list(chain.from_iterable(map(self._words_of, _WORD.findall(self._folded(text)))))

    def is_informative(self, token: int) -> bool:
        """Whether a token is more than space and punctuation: has a letter or a digit, or stands for something else."""
        piece = self._library.id_to_token(token)
        return token != self.unk_id and (not piece or any(map(str.isalnum, piece)))

    def _folded(self, text: str) -> str:
        # The library's tables are older than Python's (㋿ of 2019 is not in them), and its result counts.
        normal = text if unicodedata.is_normalized("NFKC", text) else self._nfkc.normalize_str(text)
        # The library lowers character by character; Python makes a final sigma of a word's last one.
        lowered: str = normal.replace("Σ", "σ").lower()
        return lowered

    def _cut(self, word: str) -> list[Word]:
        """The tokens of a word as a text has it; in unspaced scripts, of a clause."""
        ids: Word = tuple(token.id for token in self._model.tokenize(_METASPACE + word.removeprefix(" ")))
        return [(i,) for i in ids] if len(ids) > 1 and _UNSPACED.search(word) else [ids]
