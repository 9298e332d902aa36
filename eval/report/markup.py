"""HTML by construction: text is escaped wherever it comes in, so that nothing of a document or an answer is code.

`Markup` is text that may stand in a page as it is; every other string that `el` is given is escaped. Its own methods
(`+`, `format`, an f-string) give plain strings: a slip is escaped once too often and seen, not once too seldom.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from urllib.parse import urlsplit

import regex

_VOID = frozenset({"br", "col", "input", "meta"})
# Marks that only hint at a direction are dropped. What overrides it, or drives a terminal, or is no character is named.
_HINTS = regex.compile(r"[\u061c\u200e\u200f\ufeff]")
_NAMED = regex.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u206f\ufff9-\ufffb\ufffe\uffff\p{Cs}]"
)
_LANGUAGE_TAG = regex.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}")


class Markup(str):
    """HTML that may stand as it is."""

    __slots__ = ()


def shown(text: str) -> str:
    """`text` with characters that would change how the rest reads made visible, as in `⟨U+202E⟩`; new lines stay."""
    text = _HINTS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _NAMED.sub(lambda match: f"⟨U+{ord(match.group()):04X}⟩", text)


def el(name: str, /, *children: str, **attributes: str | int | float | bool | None) -> Markup:
    """An element. Of an attribute's name `_` stands for `-`, and a last one is dropped (`class_`).

    An attribute that is None or False is left out; one that is True has no value.
    """
    given = {key: value for key, value in attributes.items() if value is not None and value is not False}
    own = "".join(_attribute(key, value) for key, value in given.items())
    return Markup(f"<{name}{own}>" if name in _VOID else f"<{name}{own}>{joined(children)}</{name}>")


def joined(children: Iterable[str], between: str = "") -> Markup:
    """The children one behind another, those that are plain text escaped."""
    return Markup(_safe(between).join(map(_safe, children)))


def foreign(name: str, text: str, language: str = "", **attributes: str | None) -> Markup:
    """An element with text in a language of its own, which runs in its own direction."""
    return el(name, text, dir="auto", lang=language if _LANGUAGE_TAG.fullmatch(language) else None, **attributes)


def link(text: str, address: str) -> Markup:
    """A link to a page, or the text alone where the address is not of the web."""
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    # Browsers drop some characters from an address before they read it: one that needs it is none.
    if parts.scheme not in ("http", "https") or not parts.hostname or regex.search(r"[\s\p{C}]", address):
        return joined([text])
    return el("a", text, href=address, rel="noopener noreferrer nofollow")


def _attribute(key: str, value: str | int | float | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    return f' {name}="{html.escape(shown(str(value)))}"'


def _safe(child: str) -> str:
    return child if isinstance(child, Markup) else html.escape(shown(child), quote=False)
