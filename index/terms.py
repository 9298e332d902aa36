"""Terms of the lexical leg: words where a script has them, character n-grams where it has not.

NFKC and case folding; Traditional Chinese folded to Simplified; Han and Hangul runs to
bigrams, Thai, Lao, Khmer and Burmese runs to trigrams, Katakana runs whole, Hiragana
(particles and endings) left out. The same function serves index and query.
"""

from __future__ import annotations

import unicodedata

import regex

from index.hanzi import fold_traditional

_UNSPACED = r"\p{Han}々〇\p{Hangul}\p{Katakana}ー\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_HAS_UNSPACED = regex.compile(rf"[{_UNSPACED}]")
_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+")
_RUN = regex.compile(
    r"(?P<two>[\p{Han}々〇]+|\p{Hangul}+)|(?P<whole>[\p{Katakana}ー]+)|[\p{Hiragana}ー]+"
    r"|(?P<three>(?:[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*)+)"
    rf"|(?P<word>(?:(?![{_UNSPACED}])[\p{{L}}\p{{N}}\p{{M}}])+)"
)
_MAX_TERM = 64  # characters; longer runs of "letters" are encoded data


def terms(text: str) -> list[str]:
    """The terms of `text`, in order, repeats kept."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if not _HAS_UNSPACED.search(folded):
        return [word[:_MAX_TERM] for word in _WORD.findall(folded)]
    found: list[str] = []
    for match in _RUN.finditer(fold_traditional(folded)):
        kind, run = match.lastgroup, match.group()
        if kind in {"two", "three"}:
            size = 2 if kind == "two" else 3
            # Fewer characters than the gram: the run itself is the term.
            found += [run[i : i + size] for i in range(max(1, len(run) - size + 1))]
        elif kind is not None:
            found.append(run[:_MAX_TERM])
    return found
