"""The widget's own words, in the language that fits best."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable
from importlib.resources import files

from rag.phrases import phrase

_FALLBACK = "en"
_RIGHT_TO_LEFT = ("ar", "he", "fa", "ur")
_NEAREST = {"zh": "zh-Hans", "zh-tw": "zh-Hant", "zh-hk": "zh-Hant", "zh-mo": "zh-Hant", "iw": "he"}


def words(language: str) -> dict[str, str]:
    """All words in `language`, which must be one of `languages()`."""
    return {
        **_tables()[language],
        "sources": phrase("sources", language),
        "closest": phrase("closest", language),
    }


def languages() -> tuple[str, ...]:
    """The tags that there are words in."""
    return tuple(_tables())


def best_language(wanted: Iterable[str]) -> str:
    """The first of the tags in `wanted` that there are words in, or words of a near kin; else English."""
    for tag in wanted:
        found = _known(tag.strip().lower().replace("_", "-"))
        if found:
            return found
    return _FALLBACK


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


def direction(language: str) -> str:
    """`rtl` or `ltr`."""
    return "rtl" if language.split("-")[0] in _RIGHT_TO_LEFT else "ltr"


def _known(tag: str) -> str:
    """The tag of ours for `tag`, cut from behind until one fits; empty where none does."""
    while tag:
        found = {name.lower(): name for name in _tables()}.get(tag) or _NEAREST.get(tag)
        if found:
            return found
        tag = tag.rpartition("-")[0]
    return ""


@functools.cache
def _tables() -> dict[str, dict[str, str]]:
    return tomllib.loads(files("ui.server.widget").joinpath("words.toml").read_text("utf-8"))
