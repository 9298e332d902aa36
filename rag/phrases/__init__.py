"""Every fixed phrase that a reader sees, in one file per language; en.toml says what each is for."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable
from enum import StrEnum
from importlib.resources import files
from typing import Any

FALLBACK = "en"
_RIGHT_TO_LEFT = ("ar", "fa", "he", "ur")
_NEAREST = {
    "zh": "zh-Hans", "zh-tw": "zh-Hant", "zh-hk": "zh-Hant", "zh-mo": "zh-Hant", "no": "nb", "nn": "nb", "fil": "tl",
    "gl": "pt", "be": "ru", "bs": "hr", "mk": "bg", "iw": "he",
}  # fmt: skip


class Part(StrEnum):
    """Where a phrase is shown."""

    ANSWER = "answer"
    INTERFACE = "interface"


def phrase(name: str, language: str, part: Part = Part.ANSWER) -> str:
    """The phrase called `name` in `language`, in the nearest language or in English where it has none.

    Raises:
        KeyError: There is no phrase of that name.
    """
    return phrases(language, part)[name]


def phrases(language: str, part: Part) -> dict[str, str]:
    """All phrases of `part` by name, in the language that serves `language`."""
    found: dict[str, str] = _table(best_language([language], part))[part]
    return found


def phrase_language(language: str) -> str:
    """The tag of the language in which answers to a question in `language` are introduced."""
    return best_language([language])


def best_language(wanted: Iterable[str], part: Part = Part.ANSWER, fallback: str = FALLBACK) -> str:
    """The first of the tags in `wanted` that `part` has phrases in, or of a near language; else `fallback`."""
    known = {tag.lower(): tag for tag in languages(part)}
    for tag in wanted:
        shorter = tag.strip().lower().replace("_", "-")
        while shorter:
            if found := known.get(shorter) or known.get(_NEAREST.get(shorter, "").lower()):
                return found
            shorter = shorter.rpartition("-")[0]
    return fallback


def accepted(header: str) -> list[str]:
    """The tags of an Accept-Language header (RFC 9110, 12.5.4), the most wanted first."""
    weighed: list[tuple[float, str]] = []
    for part in header[:500].split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            weighed.append((float(weight or 1), tag))
        except ValueError:
            continue
    return [tag for weight, tag in sorted(weighed, key=lambda one: -one[0]) if weight > 0]


@functools.cache
def languages(part: Part) -> tuple[str, ...]:
    """The tags that `part` has phrases in, English first, then by tag."""
    found = (tag for tag in _tags() if part is Part.ANSWER or part in _table(tag))
    return tuple(sorted(found, key=lambda tag: (tag != FALLBACK, tag)))


def own_name(language: str) -> str:
    """The language's own name for itself; the tag where it is not known."""
    return _name("name", language)


def english_name(language: str) -> str:
    """The language's English name; the tag where it is not known."""
    return _name("english", language)


def direction(language: str) -> str:
    """`rtl` or `ltr`."""
    return "rtl" if language.split("-")[0] in _RIGHT_TO_LEFT else "ltr"


def _name(key: str, language: str) -> str:
    for tag in (language, language.split("-")[0], _NEAREST.get(language, "")):
        if tag in _tags():
            return str(_table(tag)[key])
    return language


@functools.cache
def _tags() -> frozenset[str]:
    names = (file.name for file in files("rag.phrases").iterdir())
    return frozenset(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


@functools.cache
def _table(tag: str) -> dict[str, Any]:
    return tomllib.loads(files("rag.phrases").joinpath(f"{tag}.toml").read_text("utf-8"))
