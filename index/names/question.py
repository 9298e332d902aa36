"""What the names in a question are called elsewhere in the corpus: in other scripts, spellings and languages."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import regex

from index.names.forms import bare_forms, name_forms
from index.names.heard import SoundIndex, alike
from index.names.known import NO_NAMES, KnownNames, common_names, keys_in, name_key
from index.names.mined import Alias
from index.names.sounds import near, sound_of
from index.text.hanzi import fold_traditional
from index.text.language import dominant_script, function_words
from index.text.terms import number_terms, terms


class Origin(StrEnum):
    """Who says that two names are one."""

    USER = "aliases.toml"
    TEXT = "an article"
    TABLE = "the table of common names"
    SOUND = "how they sound"


@dataclass(frozen=True, slots=True)
class OtherForm:
    """Another form of a name in the question; `phrase` is its terms, `confidence` in (0, 1]."""

    name: str
    form: str
    phrase: str
    confidence: float
    origin: Origin

    @property
    def other_script(self) -> bool:
        """Whether the form is written in another script than the name."""
        return _script(self.name) != _script(self.form)


@functools.lru_cache(maxsize=4096)
def _script(name: str) -> str:
    return dominant_script(name)


class NameIndex(SoundIndex, Protocol):
    """What a corpus knows of names; a `Snapshot` does."""

    def aliases(self, keys: Sequence[str]) -> list[Alias]: ...


_MAX_FORMS = 24
_MAX_FORMS_BY_SOUND = 4  # of one name
# Likeness at which two forms are held to be one name: the confidence is 0 at the first and 1 at the second.
# Sounds of two consonants agree by chance far more often. docs/decisions/0011
LEAST_ALIKE, _MOST_ALIKE = 0.72, 0.95
_LEAST_ALIKE_SHORT = 0.85
_LEAST_IN_ONE_SCRIPT = 0.8  # confidence: languages of one script mostly spell a name alike


def other_forms(corpus: NameIndex, question: str, language: str, yours: KnownNames = NO_NAMES) -> list[OtherForm]:
    """What the names in `question` may be called in the corpus, most sure first, without what it says itself."""
    own_keys = keys_in(question)
    said = set(own_keys)
    found: dict[tuple[str, str], OtherForm] = {}
    for form in (*_by_alias(corpus, question, own_keys, yours), *_by_sound(corpus, question, language)):
        known = found.get((form.name, form.phrase))
        if form.phrase not in said and (known is None or known.confidence < form.confidence):
            found[form.name, form.phrase] = form
    return sorted(found.values(), key=lambda form: (-form.confidence, form.name, form.form))[:_MAX_FORMS]


def _by_alias(corpus: NameIndex, question: str, keys: Sequence[str], yours: KnownNames) -> Iterator[OtherForm]:
    """Forms that somebody says are one with a name of the question, and those said to be one with such a form."""
    first = [
        OtherForm(alias.name, alias.other, name_key(alias.other), alias.confidence, origin)
        for alias, origin in _aliases(corpus, keys, yours)
        if written(alias.name, question)
    ]
    yield from first
    through: dict[str, OtherForm] = {}
    for form in sorted(first, key=lambda form: -form.confidence)[:_MAX_FORMS]:
        through.setdefault(form.phrase, form)
    for alias, origin in _aliases(corpus, list(through), yours):
        link = through[name_key(alias.name)]
        # A row of the table has been given as a whole.
        if not (origin is link.origin is Origin.TABLE):
            confidence = link.confidence * alias.confidence
            yield OtherForm(link.name, alias.other, name_key(alias.other), confidence, origin)


def _aliases(corpus: NameIndex, keys: Sequence[str], yours: KnownNames) -> Iterator[tuple[Alias, Origin]]:
    """What is said of the names with these keys, and by whom."""
    yield from ((alias, Origin.USER) for alias in yours.aliases(keys))
    yield from ((alias, Origin.TEXT) for alias in corpus.aliases(keys))
    yield from ((alias, Origin.TABLE) for alias in common_names().aliases(keys))


def _by_sound(corpus: NameIndex, question: str, language: str) -> Iterator[OtherForm]:
    """Forms in the corpus that sound like a word of the question which may be a name."""
    # In a question without capitals any word may be a name.
    text = question if any(char.isupper() for char in question) else question.title()
    common = function_words(language)
    for name in name_forms(text, language):
        if name in common:
            continue
        for likely, form in _alike(corpus, name)[:_MAX_FORMS_BY_SOUND]:
            confidence = round(min(1.0, (likely - LEAST_ALIKE) / (_MOST_ALIKE - LEAST_ALIKE)), 3)
            other = OtherForm(written(name, question) or name, form, name_key(form), confidence, Origin.SOUND)
            if other.other_script or confidence >= _LEAST_IN_ONE_SCRIPT:
                yield other


@functools.lru_cache(maxsize=1024)
def _sounds(forms: tuple[str, ...]) -> tuple[str, ...]:
    """The sounds that a name with these forms may have elsewhere, in order."""
    sounds = (sound_of(form) for form in forms)
    return tuple(sorted({other for sound in sounds if len(sound) >= 2 for other in near(sound)}))


def _alike(corpus: NameIndex, name: str) -> list[tuple[float, str]]:
    """(likeness, form) of the forms that may be the same name, most alike first; then those of more documents."""
    best: dict[str, tuple[float, int]] = {}
    bare = bare_forms(name)
    sounds = _sounds(bare)
    for own in bare:
        least = LEAST_ALIKE if len(sound_of(own)) > 2 else _LEAST_ALIKE_SHORT
        for likely, form, n_documents in alike(corpus, sounds, own, least, _MAX_FORMS_BY_SOUND + 1):
            if form != name:
                best[form] = max((likely, n_documents), best.get(form, (0.0, 0)))
    found = [(likely, form) for form, (likely, _) in best.items()]
    return sorted(found, key=lambda one: (-one[0], -best[one[1]][1], one[1]))


_NUMBER = regex.compile(r"(?<![\p{L}\p{N}.,-])\p{N}[\p{N}.,]*")
_CASED = r"\p{Latin}\p{Cyrillic}\p{Greek}\p{Armenian}"
_NAME = regex.compile(rf"(?<![{_CASED}\p{{M}}])\p{{Lu}}[{_CASED}\p{{M}}\p{{N}}-]+|[\p{{Katakana}}ー]{{2,}}")
_SYLLABLES = ("vi",)  # written syllable by syllable: a name is a row of them, each with a capital
_NAME_OF_SYLLABLES = regex.compile(rf"(?:{_NAME.pattern})(?: (?:{_NAME.pattern}))*")
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")


def shown_names(text: str, language: str) -> list[str]:
    """The names in `text` as it writes them, of scripts that show a name: by its capital, or as Katakana."""
    common = function_words(language)
    first = _WORD.search(text)
    found: dict[str, None] = {}
    pattern = _NAME_OF_SYLLABLES if language.split("-")[0] in _SYLLABLES else _NAME
    for match in pattern.finditer(text):
        name = match.group()
        opens = first is not None and match.start() == first.start()  # every question begins with a capital
        if name.casefold() not in common and (not opens or name.isupper() or not name[0].isupper()):
            found[name] = None
    return list(found)


def mentions(question: str, language: str, forms: Sequence[OtherForm]) -> list[frozenset[str]]:
    """The names and numbers of `question`, each as the phrases of which one bears it out: its own, its other forms'."""
    names = shown_names(question, language)
    told = [form.name for form in forms if form.origin is not Origin.SOUND]
    # Of a name in several words each word stands for itself; one in a script without capitals is known by who tells it.
    names += [name for name in dict.fromkeys(told) if not any(word in names for word in name.split())]
    found = {
        name_key(name): frozenset(
            {name_key(name), *(form.phrase for form in forms if form.name == name or name in form.name.split())}
        )
        for name in names
    }
    for match in _NUMBER.finditer(question):
        plain = number_terms(match.group()) or terms(match.group())
        found |= {term: frozenset({term}) for term in plain if len(term) > 1}
    return [phrases for key, phrases in found.items() if key]


def written(name: str, text: str) -> str:
    """`name` as `text` writes it: in its script, its case; empty where it does not stand there by itself.

    An acronym stands only where it is in capitals: WHO is no "who".
    """
    normal = _normal(text)
    match = _by_itself(name).search(fold_traditional(normal))
    return normal[match.start() : match.end()] if match else ""


@functools.lru_cache(maxsize=16)
def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


@functools.lru_cache(maxsize=1024)
def _by_itself(name: str) -> regex.Pattern[str]:
    """What finds `name` in folded text, where it stands by itself."""
    wanted = fold_traditional(name)
    flags = 0 if is_acronym(name) else regex.IGNORECASE
    before = r"(?<!\p{L}\p{M}*)" if regex.match(r"\p{L}", wanted) and not regex.match(_JOINED, wanted) else ""
    after = r"(?![\p{L}\p{M}])" if not regex.search(rf"(?:{_JOINED}|\p{{Hangul}})$", wanted) else ""
    return regex.compile(f"{before}{regex.escape(wanted, special_only=True)}{after}", flags)


_JOINED = r"[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"  # of scripts without spaces


def is_acronym(name: str) -> bool:
    """Whether `name` is a few capitals."""
    letters = [char for char in name if char.isalpha()]
    return 0 < len(letters) <= 5 and all(char.isupper() for char in letters)
