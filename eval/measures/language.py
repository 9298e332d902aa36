"""right-language rate: of the answers, the share whose text is in the wanted language.

Range [0, 1]. The language is that of `index.text.language`. Of Chinese the script counts too, as far as the
text shows it: zh-Hans where zh-Hant is wanted is wrong, characters that both write are right.
A text that is too short or too unsure to tell is unknown and left out; NaN comes of no answer that tells.
After the correct-language rate of Chirkova
et al. (2024).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import regex

from index.text.language import detect_with_probability, dominant_script, same_language

# On the first letters of 150 FLORES-101 sentences in each of 33 languages, nb/da and id/ms apart: of texts this long
# and this sure at most 1.6 % were taken for another language, at 30 letters 0.2 %; at 10 letters, however sure, 21 %.
_MIN_PROBABILITY = 0.7
_MIN_LETTERS = 20  # of a script that several languages write, such as Latin
_MIN_HAN = 8  # the least Han without kana that is surely not Japanese: 1 % were
_SHARED = frozenset(("Latin", "Cyrillic", "Arabic", "Devanagari"))
_LETTER = regex.compile(r"\p{L}")
_BOTH_SCRIPTS = {"zh-Hant", "zh-Hans"}


@dataclass(frozen=True, slots=True)
class LanguageRate:
    """`rate` of `n` answers; `n_unknown` more do not tell."""

    rate: float
    n: int
    n_unknown: int


def in_language(text: str, wanted: str) -> float:
    """1 if `text` is in the language `wanted` (a tag of `index.text.language`), 0 if not, NaN if unknown."""
    written = _written(text)
    if not (written and wanted):
        return math.nan
    return float(same_language(written, wanted) and {written, wanted} != _BOTH_SCRIPTS)


def right_language_rate(texts: Sequence[str], wanted: Sequence[str]) -> LanguageRate:
    """The rate over answers, where the i-th is to be in `wanted[i]`.

    Raises:
        ValueError: They are not as many.
    """
    values = [in_language(text, tag) for text, tag in zip(texts, wanted, strict=True)]
    known = [value for value in values if not math.isnan(value)]
    return LanguageRate(sum(known) / len(known) if known else math.nan, len(known), len(values) - len(known))


def _written(text: str) -> str:
    """The tag of the language of `text`; empty where it does not tell."""
    script, n_letters = dominant_script(text), len(_LETTER.findall(text))
    least = _MIN_LETTERS if script in _SHARED else _MIN_HAN if script == "Han" else 1
    tag, probability = detect_with_probability(text)
    return tag if n_letters >= least and probability >= _MIN_PROBABILITY else ""
