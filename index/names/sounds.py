"""How names sound, whatever the script they are written in: consonants in classes, and how alike two are.

Scripts agree on the consonants of a foreign name and hardly on its vowels: Altman, 알트만, 阿爾特曼, アルトマン,
Альтман and ألتمان all have `ltmn`. So a name is looked up by its consonants, give or take one, and what
comes of it is compared sound by sound. Romanised by anyascii; what each step finds is in docs/decisions/0011.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence

import numpy as np
import regex
from anyascii import anyascii
from numpy.typing import NDArray

MAX_SOUNDS = 32  # letters of a romanised name that are compared
CLASSES = "klmnpst"
# Classes that one script writes for another; others are changed so seldom that looking for them only costs time.
_CHANGED = {"s": "tk", "t": "s", "k": "s", "m": "n", "n": "ml", "l": "n"}
# Consonants that scripts do not tell apart in one another's names fall together; vowels, h and w fall out.
_CLASS = str.maketrans("lrbpvfdtkgcqszjxmn", "llppppttkkkkssssmn", "aeiouhwy")
_REPEATED = regex.compile(r"(.)\1+")
_NOT_ROMAN = regex.compile(r"[^a-z]")
# anyascii writes a Han or Hangul syllable with a capital, so that its end can be seen.
_HAN = regex.compile(r"\p{Han}")
_HAN_SPELLING = [
    (regex.compile(pattern), sound)
    for pattern, sound in (
        ("Er(?=[A-Z]|$)", "L"),
        ("ng(?=[A-Z]|$)", "n"),
        ("Zh|Ch|Q", "J"),
        ("X", "S"),
    )
]
_SYLLABLES = regex.compile(r"[\p{Han}\p{Hangul}]")
_HANGUL_SPELLING = [
    (regex.compile(pattern), sound)
    for pattern, sound in (
        ("ng(?=[A-Z]|$)", "n"),
        ("g(?=[A-Z]|$)", "k"),
        ("eu", ""),
        ("eo", "o"),
        ("ae", "e"),
    )
]
_SPELLING = [
    (regex.compile(pattern), sound)
    for pattern, sound in (
        ("t?sch|tch|[cszt]h(?<!th)|t[sz]|d[zj]", "s"),
        ("ph", "f"),
        ("th", "t"),
        ("gh", "g"),
        ("ck|kh", "k"),
        ("qu", "kw"),
        ("x", "ks"),
        ("c(?=[eiy])", "s"),
        ("ng(?![aeiouy])", "n"),
    )
]
_SPELLED = regex.compile(
    "[cgkpstz]h|t[sz]|d[zj]|ck|qu|x|c[eiy]|ng"
)  # what any of these begins at; most names have none


class _Letters(dict[int, str]):
    """The small Latin letters of each character, found when they are first asked for."""

    def __missing__(self, char: int) -> str:
        found = self[char] = _NOT_ROMAN.sub("", anyascii(chr(char)).lower())
        return found


_LETTERS = _Letters()


@functools.lru_cache(maxsize=1 << 17)
def phonemes(name: str) -> str:
    """`name` in lower-case Latin letters, spelled by its sound; empty where it has no letters."""
    normal = unicodedata.normalize("NFKC", name)
    if name.isascii() or not (rules := _SYLLABLES.search(name)):
        roman = normal.translate(_LETTERS)
    else:
        spelling = _HAN_SPELLING if _HAN.search(name, rules.start()) else _HANGUL_SPELLING
        roman = _NOT_ROMAN.sub("", _respelled(anyascii(normal), spelling).lower())
    return (_respelled(roman, _SPELLING) if _SPELLED.search(roman) else roman)[:MAX_SOUNDS]


def _respelled(roman: str, rules: Sequence[tuple[regex.Pattern[str], str]]) -> str:
    for pattern, sound in rules:
        roman = pattern.sub(sound, roman)
    return roman


def sound_of(name: str) -> str:
    """The consonants of `name` in classes: `ltmn` for Altman, 알트만, Альтман and ألتمان."""
    return _REPEATED.sub(r"\1", phonemes(name).translate(_CLASS))


def near(sound: str) -> set[str]:
    """`sound`, and it with one class more, less or changed; of fewer than three classes nothing but itself."""
    found = {sound}
    if len(sound) >= 3:
        for i in range(len(sound) + 1):
            found |= {sound[:i] + other + sound[i:] for other in CLASSES}
        for i, own in enumerate(sound):
            found |= {sound[:i] + other + sound[i + 1 :] for other in ("", *_CHANGED.get(own, ""))}
    return {_REPEATED.sub(r"\1", one) for one in found}


def likeness(name: str, others: Sequence[str]) -> NDArray[np.float64]:
    """How alike `name` sounds to each of `others`, (n_others,), at most 1 (the same sounds).

    1 less the edit distance of their phonemes over what both weigh on average; an edit costs what
    `_SUBSTITUTED` and `_LEFT_OUT` say.
    """
    return _alike(np.repeat(_codes([name]), len(others), axis=0), _codes(others))


def likeness_of_pairs(pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """How alike the two names of each pair sound, (n_pairs,), as `likeness` says."""
    own, theirs = _codes([name for name, _ in pairs]), _codes([other for _, other in pairs])
    order = np.argsort(-(own > 0).sum(axis=1), kind="stable")
    result = np.empty(len(pairs))
    result[order] = _alike(own[order], theirs[order])
    return result


def codes_of(names: Sequence[str]) -> NDArray[np.uint8]:
    """The phonemes of each name as numbers that `likeness_to_codes` compares, (n_names, MAX_SOUNDS)."""
    codes = np.zeros((len(names), MAX_SOUNDS), dtype=np.uint8)
    spelled = _codes(names)
    codes[:, : spelled.shape[1]] = spelled
    return codes


def likeness_to_codes(name: str, codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """`likeness` of `name` to the names with these codes, (n_names,); quicker where they are many."""
    own = _codes([name])[0]
    # By place, then by name: the names lie together in memory.
    theirs = np.ascontiguousarray(codes[:, codes.any(axis=0)].T, dtype=np.intp)
    gaps = np.concatenate([np.zeros((1, len(codes))), np.cumsum(_LEFT_OUT.take(theirs), axis=0)])
    row = gaps
    for code in own:
        changed = row + _LEFT_OUT[code]
        np.minimum(row[:-1] + _SUBSTITUTED[code].take(theirs), changed[1:], out=changed[1:])
        row = gaps + np.minimum.accumulate(changed - gaps, axis=0)
    weight = (_WEIGHT[own].sum() + _WEIGHT.take(theirs).sum(axis=0)) / 2
    result: NDArray[np.float64] = 1 - row[-1] / np.maximum(weight, 1e-9)
    return result


def _alike(own: NDArray[np.intp], theirs: NDArray[np.intp]) -> NDArray[np.float64]:
    """Likeness of the names in each row of two arrays of codes, `own` the longest names first."""
    gaps = np.concatenate([np.zeros((len(own), 1)), np.cumsum(_LEFT_OUT[theirs], axis=1)], axis=1)
    row = gaps.copy()
    for place, n in enumerate((own > 0).sum(axis=0).tolist()):  # those that are not yet at their end
        code = own[:n, place, None]
        changed = row[:n] + _LEFT_OUT.take(code)
        substituted = row[:n, :-1] + _SUBSTITUTED.take(code * len(_SUBSTITUTED) + theirs[:n])
        np.minimum(substituted, changed[:, 1:], out=changed[:, 1:])
        # Leaving out letters of the other name, any number in a row.
        row[:n] = gaps[:n] + np.minimum.accumulate(changed - gaps[:n], axis=1)
    weight = (_WEIGHT[own].sum(axis=1) + _WEIGHT[theirs].sum(axis=1)) / 2
    result: NDArray[np.float64] = 1 - row[:, -1] / np.maximum(weight, 1e-9)
    return result


def _codes(names: Sequence[str]) -> NDArray[np.intp]:
    """Phonemes of each name as 1 to 26, padded with 0 (which costs nothing) at the end."""
    spelled = [phonemes(name) for name in names]
    width = max(map(len, spelled), default=0)
    letters = "".join(text.ljust(width, "`") for text in spelled)  # "`" is the character before "a"
    codes = np.frombuffer(letters.encode("ascii"), dtype=np.uint8).astype(np.intp) - ord("`")
    return codes.reshape(len(names), width)


_VOWELS = "aeiouy"
# What it costs to write one sound for another; pairs that are not here cost 1, vowels among themselves less.
_ALIKE = {
    0.05: "kc kq cq sz lr",
    0.1: "pb vf vw kg dt sx zj jy wu",
    0.15: "bv cg qg sj ji wo jk gw",
    0.2: "fh vu yh",
    0.25: "vo",
    0.3: "pf pv sc zc cj jg jh ch nm wh",
    0.35: "bf kh gh",
    0.4: "fw bw zd jd",
    0.45: "st",
    0.5: "zt ks lw",
    0.6: "tc ln",
}
_NEAR_VOWELS = "iy ou ei ae ao"
# What it costs to leave a sound out, and what it weighs; others cost 0.75 and weigh 1.
_OUT = {"h": 0.15, "w": 0.15, "r": 0.4, "l": 0.45, "t": 0.55, "d": 0.55, "n": 0.6, "s": 0.6, "g": 0.6} | dict.fromkeys(
    _VOWELS, 0.12
)
_WEIGHS = {"h": 0.5, "w": 0.5} | dict.fromkeys(_VOWELS, 0.25)


def _tables() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Costs of substitution (27, 27), of leaving out (27,), and weights (27,); code 0 is padding."""
    substituted = np.ones((27, 27))
    code = {chr(96 + i): i for i in range(1, 27)}
    pairs = [(a + b, 0.15) for a in _VOWELS for b in _VOWELS]
    pairs += [(pair, 0.08) for pair in _NEAR_VOWELS.split()]
    pairs += [(pair, cost) for cost, some in _ALIKE.items() for pair in some.split()]
    for pair, cost in pairs:
        one, other = (code[char] for char in pair)
        substituted[one, other] = substituted[other, one] = cost
    np.fill_diagonal(substituted, 0.0)
    out, weighs = np.full(27, 0.75), np.ones(27)
    for char, number in code.items():
        out[number], weighs[number] = _OUT.get(char, 0.75), _WEIGHS.get(char, 1.0)
    out[0] = weighs[0] = 0.0
    return substituted, out, weighs


_SUBSTITUTED, _LEFT_OUT, _WEIGHT = _tables()
