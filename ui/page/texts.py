"""The page's own words, in the languages of texts.toml."""

from __future__ import annotations

import functools
import tomllib
from importlib.resources import files

FALLBACK = "en"
RIGHT_TO_LEFT = frozenset({"ar", "he"})
_CHINESE = {"zh-tw": "zh-Hant", "zh-hk": "zh-Hant", "zh-mo": "zh-Hant", "zh-hant": "zh-Hant", "zh": "zh-Hans"}
# What gradio's own words are found by in the browser.
BROWSER_TAGS = {"zh-Hant": "zh-TW", "zh-Hans": "zh-CN"}
# Of documents in languages that the page itself does not speak.
_OTHER_NAMES = {
    "bg": "Български", "bn": "বাংলা", "cs": "Čeština", "da": "Dansk", "el": "Ελληνικά", "fa": "فارسی", "fi": "Suomi",
    "hu": "Magyar", "id": "Bahasa Indonesia", "it": "Italiano", "nl": "Nederlands", "no": "Norsk", "pl": "Polski",
    "ro": "Română", "sv": "Svenska", "ta": "தமிழ்", "th": "ไทย", "tl": "Tagalog", "tr": "Türkçe", "uk": "Українська",
    "ur": "اردو", "vi": "Tiếng Việt",
}  # fmt: skip


def text(name: str, lang: str) -> str:
    """The text called `name` in `lang`, in English where that language is not there.

    Raises:
        KeyError: There is no text of that name.
    """
    return texts().get(lang, texts()[FALLBACK])[name]


def languages() -> dict[str, str]:
    """The languages of the page, each with its own name for itself."""
    return {lang: words["name"] for lang, words in texts().items()}


def direction(lang: str) -> str:
    """`rtl` or `ltr`."""
    return "rtl" if lang in RIGHT_TO_LEFT else "ltr"


def choose_language(asked: str, accepted: str) -> str:
    """The page's language: what was asked for (`?lang=`), else the first that the browser accepts, else English.

    Args:
        asked: A tag, or empty.
        accepted: The header Accept-Language, or empty.
    """
    wanted = [asked[:35], *(tag for tag, _ in sorted(_weighted(accepted), key=lambda pair: -pair[1]))]
    return next((lang for tag in wanted if (lang := _known(tag))), FALLBACK)


def language_name(tag: str) -> str:
    """The name of a document's language: its own for itself where it is known, else the tag."""
    known = {**_OTHER_NAMES, **languages()}
    return known.get(tag) or known.get(tag.split("-")[0]) or tag or "?"


def _weighted(accepted: str) -> list[tuple[str, float]]:
    found = []
    for part in accepted[:1_000].split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            found.append((tag, float(weight or 1)))
        except ValueError:
            continue
    return found


def _known(tag: str) -> str:
    """The page's language for a tag, empty where there is none."""
    lowered = tag.strip().lower().replace("_", "-")
    own = {lang.lower(): lang for lang in texts()}
    for candidate in (lowered, "-".join(lowered.split("-")[:2]), lowered.split("-")[0]):
        if candidate in own or candidate in _CHINESE:
            return own.get(candidate) or _CHINESE[candidate]
    return ""


@functools.cache
def texts() -> dict[str, dict[str, str]]:
    """Every text by language and name."""
    return tomllib.loads(files("ui").joinpath("page", "texts.toml").read_text("utf-8"))
