"""How much a decoded text reads like something a person wrote: the judge between legacy codecs.

A wrong codec yields valid characters in combinations that nobody writes: rare letters,
two alphabets in one word, capitals inside words, Chinese with spaces. Each has its penalty.
"""

from __future__ import annotations

import functools
import tomllib
import unicodedata
from collections import Counter
from importlib.resources import files

import regex

from index.text.hanzi import telling_characters

DATA = tomllib.loads((files("index.read") / "encodings.toml").read_text("utf-8"))
_NON_ASCII_RUN = regex.compile(r"[^\x00-\x7f]+")
_ODD = regex.compile(
    r"[\p{Co}\p{Cn}\x80-\x9f\uff61-\uff9f\p{So}\p{Sm}\p{Sk}\u2500-\u259f\u2160-\u217f\ufe30-\ufe6f\u0591-\u05bd\u05bf-\u05cf\u05f0-\u05f4]"
)
_COMMON_PUNCTUATION = frozenset("。，、！？：；「」『』（）《》〈〉“”‘’…—·～・【】　–«»„€№°©®™×¿¡´£§")
_EUROPEAN_DAILY = frozenset(DATA["letters"]["daily"])


def plausibility(text: str) -> float:
    """How much `text` reads like something a person wrote, 0 to 1, by its non-ASCII characters.

    Frequent characters of a living script count in full, rare Han characters and odd
    letter case little, unassigned, private and box-drawing characters against.
    """
    runs = _NON_ASCII_RUN.findall(text)
    if not runs:
        return 0.5
    joined = "".join(runs)[:60_000]
    counts = Counter(joined)
    total = sum(n * _weight(char) for char, n in counts.items())
    score = total / len(joined)
    penalty = _mixture_penalty(joined, counts) + _word_penalty(text) + _spacing_penalty(text)
    return max(0.0, score - penalty)


def _weight(char: str) -> float:
    if char in _COMMON_PUNCTUATION:
        return 0.7
    if _ODD.match(char):
        return -1.0
    code = ord(char)
    if 0x4E00 <= code <= 0x9FFF:
        return 1.0 if char in _common_han() else 0.0
    if 0xAC00 <= code <= 0xD7A3:
        return 1.0 if char in _common_hangul() else -0.6
    if 0x3041 <= code <= 0x30FE:
        return 0.95
    if 0x3400 <= code <= 0x4DBF or code >= 0x20000:
        return -0.5
    if char.casefold() in _EUROPEAN_DAILY:
        return 0.9
    if 0x0590 <= code <= 0x06FF or 0x0E00 <= code <= 0x0E7F:
        return 0.9 if unicodedata.category(char) != "Cn" else -1.0
    if unicodedata.combining(char):
        return 0.5
    return 0.1 if char.isalpha() else 0.0


@functools.cache
def _common_hangul() -> frozenset[str]:
    """The 2,350 syllables of KS X 1001, which cover written Korean; the other 8,822 are rare."""
    return frozenset(bytes((lead, trail)).decode("euc_kr") for lead in range(0xB0, 0xC9) for trail in range(0xA1, 0xFF))


@functools.cache
def _common_han() -> frozenset[str]:
    """Han characters of the first levels of GB 2312, Big5 and JIS X 0208: in use, not in dictionaries only."""
    gb = {bytes((a, b)) for a in range(0xB0, 0xD8) for b in range(0xA1, 0xFF)}
    big5 = {bytes((a, b)) for a in range(0xA4, 0xC7) for b in (*range(0x40, 0x7F), *range(0xA1, 0xFF))}
    jis = {bytes((a + 0x80, b + 0x80)) for a in range(0x30, 0x50) for b in range(0x21, 0x7F)}
    chars: set[str] = set()
    for codec, pairs in (("gb2312", gb), ("big5", big5), ("euc_jp", jis)):
        for pair in pairs:
            try:
                chars.add(pair.decode(codec))
            except UnicodeDecodeError:
                continue
    return frozenset(chars)


_SCRIPT_OF = {script: regex.compile(pattern) for script, (pattern, *_) in DATA["scripts"].items()}


def _mixture_penalty(joined: str, counts: Counter[str]) -> float:
    """Scripts that do not go together in one text (hangul with rare han, kana in Korean, Greek in Chinese)."""
    n = {name: sum(k for char, k in counts.items() if pattern.match(char)) for name, pattern in _SCRIPT_OF.items()}
    total = sum(n.values())
    if not total:
        return 0.0
    shares = {name: count / total for name, count in n.items()}
    cjk = shares["han"] + shares["kana"]
    dominant = max(shares, key=lambda name: shares[name])
    if dominant in ("han", "kana"):
        # Japanese took over some simplified forms and kept others: both together are no sign there.
        clash = 0.0 if shares["kana"] >= 0.15 else _simplified_traditional_clash(counts)
        # Japanese has at least a fifth of kana and Chinese none: a little is the sign of a wrong codec.
        clash += 0.3 if 0.03 < shares["kana"] < 0.15 else 0.0
        return 1.0 - cjk + clash + _missing_daily("kana" if shares["kana"] else "han", counts)
    if dominant == "hangul":
        # Modern Korean text has few Han characters and no kana.
        return max(0.0, 1.0 - shares["hangul"] - 0.1) + _missing_daily("hangul", counts)
    return 1.0 - shares[dominant] + _missing_daily(dominant, counts)


_DAILY: dict[str, tuple[frozenset[str], float]] = {
    script: (frozenset(chars), least) for script, (_, chars, least) in DATA["scripts"].items()
}
_ENOUGH = 30  # characters of a script, for their frequencies to mean something


def _missing_daily(script: str, counts: Counter[str]) -> float:
    """Up to 0.4 where the everyday characters of `script` are rarer than anyone writes them."""
    pattern = _SCRIPT_OF[script]
    daily, least = _DAILY[script]
    n = sum(k for char, k in counts.items() if pattern.match(char))
    n_daily = sum(k for char, k in counts.items() if char.lower() in daily)
    return 0.4 * max(0.0, 1.0 - n_daily / n / least) * min(1.0, n / _ENOUGH)


def _simplified_traditional_clash(counts: Counter[str]) -> float:
    traditional, simplified = telling_characters()
    n_traditional = sum(n for char, n in counts.items() if char in traditional)
    n_simplified = sum(n for char, n in counts.items() if char in simplified)
    both = n_traditional + n_simplified
    return 0.5 * min(n_traditional, n_simplified) / both if both else 0.0


_WORD_WITH_ACCENT = regex.compile(r"[\p{L}\p{M}]*[^\x00-\x7f\W][\p{L}\p{M}]*")
_CASE_CLASH = regex.compile(r"\p{Ll}\p{Lu}")
_FINAL_INSIDE = regex.compile(r"[ךםןףץς]\p{L}")  # Hebrew finals and the final sigma stand at the end of a word
_ACCENTS_IN_A_ROW = regex.compile(r"[\u00c0-\u024f]{4}")
_ALPHABETS = tuple(
    regex.compile(rf"\p{{{name}}}") for name in ("Latin", "Cyrillic", "Greek", "Hebrew", "Arabic", "Thai")
)


def _word_penalty(text: str) -> float:
    """Share of words with a capital inside (koi8-r read as cp1251), two alphabets, or accents upon accents."""
    words = _WORD_WITH_ACCENT.findall(text[:20_000])
    if not words:
        return 0.0
    n_odd = 0
    for word in words:
        n_alphabets = sum(bool(pattern.search(word)) for pattern in _ALPHABETS)
        n_odd += n_alphabets > 1 or any(sign.search(word) for sign in (_CASE_CLASH, _FINAL_INSIDE, _ACCENTS_IN_A_ROW))
    return n_odd / len(words)


_HAN_SPACE_HAN = regex.compile(r"[\u4e00-\u9fff] (?=[\u4e00-\u9fff])")
_HAN_RUN = regex.compile(r"[\u4e00-\u9fff]+")
_HANGUL_RUN = regex.compile(r"[\uac00-\ud7a3]+")
# gro遝 for große, l誕ncien for l’ancien
_IN_A_LATIN_WORD = regex.compile(
    r"(?<=[A-Za-z])[\u4e00-\u9fff\uac00-\ud7a3]+(?=[a-z])|(?<=[a-z])[\u4e00-\u9fff](?![\u4e00-\u9fff])"
)
_THAI_RUN = regex.compile(r"[\u0e01-\u0e4e]+")
_THAI_MARK_ASTRAY = regex.compile(r"(?<![\u0e01-\u0e4e])[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]")


def _spacing_penalty(text: str) -> float:
    """Words set apart as nobody does: Chinese with spaces, Korean without, Han inside a Latin word."""
    sample = text[:20_000]
    n_han, hangul = len(_HAN_RUN.findall(sample)), _HANGUL_RUN.findall(sample)
    spaced = len(_HAN_SPACE_HAN.findall(sample)) / n_han if n_han else 0.0
    long = sum(len(run) > 12 for run in hangul) / len(hangul) if hangul else 0.0
    thai = _THAI_RUN.findall(sample)
    misplaced = len(_THAI_MARK_ASTRAY.findall(sample)) / len(thai) if thai else 0.0
    short = 0.4 if thai and sum(map(len, thai)) / len(thai) < 7 else 0.0
    n_cjk = n_han + len(hangul)
    glued = len(_IN_A_LATIN_WORD.findall(sample)) / n_cjk if n_cjk else 0.0
    return spaced + long + misplaced + short + glued
