"""Whether an answer is in the wanted language, after the correct-language rate of Chirkova et al. (2024).

The language is that of `index.text.language`. Of Chinese the script counts too, where the text shows it: zh-Hans where
zh-Hant is wanted is wrong, characters that both write are right.
"""

from __future__ import annotations

import math

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


def in_language(text: str, wanted: str) -> float:
    """1 if `text` is in the language `wanted`, a BCP 47 tag, and 0 if not; NaN if it is too short or unsure to tell."""
    written = _written(text)
    if not (written and wanted):
        return math.nan
    return float(same_language(written, wanted) and {written, wanted} != _BOTH_SCRIPTS)


def _written(text: str) -> str:
    """The tag of the language of `text`; empty where it is not clear."""
    script, n_letters = dominant_script(text), len(_LETTER.findall(text))
    least = _MIN_LETTERS if script in _SHARED else _MIN_HAN if script == "Han" else 1
    tag, probability = detect_with_probability(text)
    return tag if n_letters >= least and probability >= _MIN_PROBABILITY else ""
