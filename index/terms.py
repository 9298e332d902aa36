"""Terms of the lexical leg: words where a script has them, character n-grams where it has not.

NFKC and case folding; Traditional Chinese folded to Simplified; Han and Hangul runs to
bigrams, Thai, Lao, Khmer and Burmese runs to trigrams, Katakana runs whole, Hiragana
(particles and endings) left out. The same function serves index and query.
"""

from __future__ import annotations

import unicodedata

import regex

from index.hanzi import fold_traditional

_RUN = regex.compile(
    r"(?P<han>[\p{Han}々〇]+)|(?P<hangul>\p{Hangul}+)|(?P<katakana>[\p{Katakana}ー]+)|(?P<hiragana>\p{Hiragana}+)"
    r"|(?P<dense>(?:[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}][\p{M}]*)+)"
    r"|(?P<word>(?:[^\W_\p{Han}\p{Hangul}\p{Katakana}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]|\p{M})+)"
)
_GRAM = {"han": 2, "hangul": 2, "dense": 3}
_MAX_TERM = 64  # characters; longer runs of "letters" are encoded data


def terms(text: str) -> list[str]:
    """The terms of `text`, in order, repeats kept."""
    folded = fold_traditional(unicodedata.normalize("NFKC", text).casefold())
    found: list[str] = []
    for match in _RUN.finditer(folded):
        kind, run = match.lastgroup, match.group()
        if kind == "hiragana":
            continue
        size = _GRAM.get(kind or "", 0)
        if not size or len(run) <= size:
            found.append(run[:_MAX_TERM])
        else:
            found.extend(run[i : i + size] for i in range(len(run) - size + 1))
    return found
