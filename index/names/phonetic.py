"""Phonetic keys of names in any script, the words of a text that may be names, and how alike two names sound.

Scripts agree on the consonants of a foreign name and hardly on its vowels: Altman, 알트만, 阿爾特曼, アルトマン,
Альтман and ألتمان all have the key `ltmn`. Names are looked up by this key, give or take one consonant, and what
is found is compared sound by sound. Romanised by anyascii; measured in docs/decisions/0011.
"""

from __future__ import annotations

import functools
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Sequence
from importlib.resources import files
from itertools import chain

import numpy as np
import regex
from anyascii import anyascii
from numpy.typing import NDArray

from index.text.hanzi import fold_traditional
from index.text.language import function_words
from index.text.script import CASED

_MAX_SOUNDS = 32  # letters of a romanised name that are compared
_CLASSES = "klmnpst"
# Classes that one script writes for another; others are changed so seldom that looking for them only costs time.
_CHANGED = {"s": "tk", "t": "s", "k": "s", "m": "n", "n": "ml", "l": "n"}
# Consonants that scripts do not keep apart in each other's names are one class; vowels, h and w are left out.
_CLASS = str.maketrans("lrbpvfdtkgcqszjxmn", "llppppttkkkkssssmn", "aeiouhwy")
_REPEATED = regex.compile(r"(.)\1+")
_NOT_ROMAN = regex.compile(r"[^a-z]")
_HAN, _SYLLABLES = regex.compile(r"\p{Han}"), regex.compile(r"[\p{Han}\p{Hangul}]")
_TABLES = tomllib.loads((files("index.names") / "words.toml").read_text("utf-8"))
_SPELLING = {
    script: [(regex.compile(pattern), sound) for pattern, sound in rules]
    for script, rules in _TABLES["spelling"].items()
}
_SPELLED = regex.compile(r"[cgkpstz]h|t[sz]|d[zj]|ck|qu|x|c[eiy]|ng|(.)\1")  # most names have none of these


@functools.lru_cache(maxsize=1 << 12)
def _letters(char: str) -> str:
    return _NOT_ROMAN.sub("", anyascii(char).lower())


def phonemes(name: str) -> str:
    """`name` in lower-case Latin letters, spelled by its sound; empty where it has no letters."""
    normal = unicodedata.normalize("NFKC", name)
    if name.isascii() or not (syllable := _SYLLABLES.search(name)):
        roman = "".join(map(_letters, normal))
    else:
        script = "han" if _HAN.search(name, syllable.start()) else "hangul"
        roman = _NOT_ROMAN.sub("", _respelled(anyascii(normal), script).lower())
    return (_respelled(roman, "latin") if _SPELLED.search(roman) else roman)[:_MAX_SOUNDS]


def _respelled(roman: str, script: str) -> str:
    for pattern, sound in _SPELLING[script]:
        roman = pattern.sub(sound, roman)
    return roman


@functools.lru_cache(maxsize=1 << 17)
def phonetic_key(name: str) -> str:
    """The consonants of `name` in classes: `ltmn` for Altman, 알트만, Альтман and ألتمان."""
    return _REPEATED.sub(r"\1", phonemes(name).translate(_CLASS))


def near_keys(key: str) -> set[str]:
    """`key`, and it with one class more, less or changed; of fewer than three classes only itself."""
    found = {key}
    if len(key) >= 3:
        for i in range(len(key) + 1):
            found |= {key[:i] + other + key[i:] for other in _CLASSES}
        for i, own in enumerate(key):
            found |= {key[:i] + other + key[i + 1 :] for other in ("", *_CHANGED.get(own, ""))}
    return {_REPEATED.sub(r"\1", one) for one in found}


def likeness(pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """How alike the two names of each pair sound, (n_pairs,), at most 1 (the same sounds).

    1 less the edit distance of their phonemes over the mean of their weights; `_SUBSTITUTED` and `_LEFT_OUT` hold
    the costs of an edit.
    """
    own, theirs = _codes([name for name, _ in pairs]), _codes([other for _, other in pairs])
    gaps = np.concatenate([np.zeros((len(own), 1)), np.cumsum(_LEFT_OUT[theirs], axis=1)], axis=1)
    row = gaps.copy()
    for code in own.T[:, :, None]:  # the next letter of each name
        changed = row + _LEFT_OUT[code]
        substituted = row[:, :-1] + _SUBSTITUTED[code, theirs]
        np.minimum(substituted, changed[:, 1:], out=changed[:, 1:])
        # Leaving out letters of the other name, any number in a row.
        row = gaps + np.minimum.accumulate(changed - gaps, axis=1)
    weight = (_WEIGHT[own].sum(axis=1) + _WEIGHT[theirs].sum(axis=1)) / 2
    found: NDArray[np.float64] = 1 - row[:, -1] / np.maximum(weight, 1e-9)
    return found


def _codes(names: Sequence[str]) -> NDArray[np.intp]:
    """Phonemes of each name as 1 to 26, padded with 0 (which costs nothing) at the end."""
    rows = np.frombuffer(b"".join(map(_padded, names)), np.uint8).reshape(len(names), _MAX_SOUNDS) - ord("`")
    return rows[:, : int(rows.any(axis=0).sum())].astype(np.intp)


@functools.lru_cache(maxsize=1 << 17)
def _padded(name: str) -> bytes:
    """Phonemes of a name, filled up with "`", the character before "a"."""
    return phonemes(name).encode("ascii").ljust(_MAX_SOUNDS, b"`")


def _costs(table: str, default: float) -> NDArray[np.float64]:
    """The cost of each code, (27,), or of each pair of codes, (27, 27); of the padding nothing."""
    rows = [(float(cost), sounds) for cost, some in _TABLES[table].items() for sounds in some.split()]
    if table == "substituted":
        pairs = np.full((27, 27), default)
        np.fill_diagonal(pairs, 0.0)
        for cost, (one, other) in rows:
            pairs[ord(one) - 96, ord(other) - 96] = pairs[ord(other) - 96, ord(one) - 96] = cost
        return pairs
    single = np.array([0.0, *[default] * 26])
    for cost, sounds in rows:
        single[[ord(sound) - 96 for sound in sounds]] = cost
    return single


_SUBSTITUTED, _LEFT_OUT, _WEIGHT = _costs("substituted", 1.0), _costs("left_out", 0.75), _costs("weight", 1.0)

_MAX_LETTERS = 24  # of a form; longer runs are no names
_MAX_WORD = 32  # characters; a longer one (a clause without spaces) does not occur again
_CASELESS = (
    r"\p{Arabic}\p{Hebrew}\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}\p{Tamil}\p{Telugu}\p{Kannada}"
    r"\p{Malayalam}\p{Sinhala}\p{Georgian}\p{Ethiopic}"
)
_WORDS = _TABLES["words"]
_MAYBE = regex.compile(
    rf"(?<![{CASED}\p{{M}}])(?P<cased>(?=\p{{Lu}})[{CASED}][{CASED}\p{{M}}]{{2,}})"
    rf"|(?P<caseless>[{_CASELESS}][{_CASELESS}\p{{M}}]{{2,}})"
    r"|(?P<hangul>\p{Hangul}{2,})|(?P<katakana>[\p{Katakana}ー]{2,})"
    rf"|(?P<han>[{_WORDS['transcribing']}]{{2,8}})"
)
# Characters of scripts with capitals: a word of these alone is no name where all are small.
_ALL_CASED = re.compile(r"[\x00-\u03cf\u0400-\u058f\u2010-\u2027]+")
_PARTICLES = tuple(_WORDS["korean_particles"].split())
_KOREAN_VERB = regex.compile(f"(?:{'|'.join(_WORDS['korean_verb_endings'].split())})$")
_AFFIXES = [regex.compile(pattern) for pattern in _WORDS["affixes"]]
_AFFIXED = re.compile(r"[\u0430-\u044f\u05d0-\u05ea\u0620-\u064a]")  # letters of these, one at least in each


def name_forms(text: str, language: str) -> list[str]:
    """Each word of `text` that may be a name, once, folded as terms are; capitalised ones where there are capitals.

    Function words of `language` are left out. Han characters write foreign names in Chinese only.
    """
    in_han = language.split("-")[0] in ("zh", "")
    common = function_words(language)
    words = dict.fromkeys(text.split())  # no name crosses white space
    found = (_known_forms(word, in_han) if len(word) <= _MAX_WORD else _forms(word, in_han) for word in words)
    return list(dict.fromkeys(form for form in chain.from_iterable(found) if form not in common))


def phonetic_terms(text: str, language: str) -> list[str]:
    """The index terms of the names of `text`: `KEY:FORM` for each, as in `ltmn:altman`."""
    return list(dict.fromkeys(chain.from_iterable(map(_terms_of, name_forms(text, language)))))


@functools.lru_cache(maxsize=1 << 16)
def _terms_of(form: str) -> tuple[str, ...]:
    keys = map(phonetic_key, bare_forms(form))
    return tuple(f"{key}:{form}" for key in keys if len(key) >= 2)


def _forms(word: str, in_han: bool) -> tuple[str, ...]:
    if word.lower() == word and _ALL_CASED.fullmatch(word):
        return ()
    normal = fold_traditional(unicodedata.normalize("NFKC", word))
    found: dict[str, None] = {}
    for match in _MAYBE.finditer(normal):
        script = str(match.lastgroup)
        if in_han or script != "han":
            found |= dict.fromkeys(form.casefold() for form in _cut(match.group(), script))
    return tuple(form for form in found if len(form) <= _MAX_LETTERS and len(phonetic_key(form)) >= 2)


_known_forms = functools.lru_cache(maxsize=1 << 16)(_forms)


def _cut(run: str, script: str) -> Iterator[str]:
    """What may be the name in a run of letters of one script that has no mark where a name ends."""
    if script == "hangul" and _KOREAN_VERB.search(run):
        return
    yield run
    if script == "hangul":
        # 나델라는 is 나델라 and a topic marker, or 나델 and "called": both are looked for.
        yield from (run.removesuffix(end) for end in _PARTICLES if run.endswith(end) and len(run) >= len(end) + 2)
    elif script == "han" and len(run) > 2:
        yield from (run[1:], run[:-1])


@functools.lru_cache(maxsize=1 << 16)
def bare_forms(form: str) -> tuple[str, ...]:
    """`form`, and it without the articles, prepositions and endings that are written in one word with a name."""
    if not _AFFIXED.search(form):
        return (form,)
    return tuple(dict.fromkeys([form, *(pattern.sub("", form) for pattern in _AFFIXES)]))
