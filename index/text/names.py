"""Names as a text writes them: which words its script shows to be names, and where a given name stands."""

from __future__ import annotations

import functools
import unicodedata

import regex

from index.text.hanzi import fold_traditional
from index.text.language import function_words

_CASED = r"\p{Latin}\p{Cyrillic}\p{Greek}\p{Armenian}"
_NAME = regex.compile(rf"(?<![{_CASED}\p{{M}}])\p{{Lu}}[{_CASED}\p{{M}}\p{{N}}-]+|[\p{{Katakana}}ー]{{2,}}")
_SYLLABLES = ("vi",)  # written syllable by syllable: a name is a row of them, each with a capital
_NAME_OF_SYLLABLES = regex.compile(rf"(?:{_NAME.pattern})(?: (?:{_NAME.pattern}))*")
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")
_JOINED = r"[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"  # of scripts without spaces


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


def is_acronym(name: str) -> bool:
    """Whether `name` is a few capitals."""
    letters = [char for char in name if char.isalpha()]
    return 0 < len(letters) <= 5 and all(char.isupper() for char in letters)
