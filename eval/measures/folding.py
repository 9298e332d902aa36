"""Text folded until only what a reader takes as different differs, whatever the language.

Folded are: compatibility forms (NFKC: full-width and half-width letters, Arabic presentation forms, composed and
decomposed accents), case, Turkish dotted and dotless i (one letter, since the capitals of a foreign name are read
either way), Arabic vowel signs and the tatweel that stretches a word, decimal digits of every script, and format
characters (joiners, direction marks, soft hyphens), which nobody sees. Accents and the other combining marks stay:
they make another word.
"""

from __future__ import annotations

import unicodedata

import regex

# Scripts without spaces, and Hangul, whose particles follow without one.
SIGN_BY_SIGN = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"

_UNSEEN = regex.compile(r"[\p{Cf}\u0640\u064B-\u0652\u0670]")
_TURKISH_I = regex.compile("[iı]\u0307*")
_DIGIT = regex.compile(r"(?![0-9])\p{Nd}")


def folded(text: str) -> str:
    """`text` folded; NFKC."""
    cased = _UNSEEN.sub("", unicodedata.normalize("NFKC", text).casefold())
    # Folding case takes accents apart, and what stood between a letter and its accent is gone.
    whole = unicodedata.normalize("NFKC", _TURKISH_I.sub("i", cased))
    # Python's tables may be older than those of `regex`: a digit that they lack stays as it is.
    return _DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0], digit[0])), whole)
