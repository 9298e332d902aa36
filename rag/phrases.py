"""The few fixed phrases around an answer, in the question's language."""

from __future__ import annotations

import functools
import tomllib
from importlib.resources import files

_FALLBACK = "en"
_NEAREST = {
    "zh": "zh-Hans",
    "no": "nb",
    "nn": "nb",
    "tl": "tl",
    "fil": "tl",
    "gl": "pt",
    "be": "ru",
    "bs": "hr",
    "mk": "bg",
}


def phrase(name: str, language: str) -> str:
    """The phrase called `name` in `language`, in English where there is none.

    Raises:
        KeyError: There is no phrase of that name.
    """
    return _phrases()[phrase_language(language)][name]


def phrase_language(language: str) -> str:
    """The tag whose phrases serve `language`."""
    known = _phrases()
    primary = language.split("-")[0]
    for tag in (language, primary, _NEAREST.get(primary, ""), _FALLBACK):
        if tag in known:
            return tag
    return _FALLBACK  # pragma: no cover - English is always there


@functools.cache
def _phrases() -> dict[str, dict[str, str]]:
    return tomllib.loads(files("rag").joinpath("phrases.toml").read_text("utf-8"))
