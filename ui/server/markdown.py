"""Text of articles that stays text where a program shows it as Markdown.

Backslashes before signs would do that too, but many programs show plain text, and many read `\\[` as mathematics. An
invisible sign between two that together are markup is right in all of them.
"""

from __future__ import annotations

import re

WORD_JOINER = "\u2060"
_LONGEST = 3  # signs before the one that completes markup
# Before what completes a link or its definition, a tag, an entity, an address, an escape or command, a code block.
_COMPLETION = re.compile(
    r"(?<=\])(?=[(\[:])|(?<=<)(?=\S)|(?<=&)(?=[#A-Za-z])|(?<=:/)(?=/)|(?<=[Ww]{3})(?=\.)|(?<=\S)(?=@)|(?<=\\)(?=[!-~])"
    r"|(?<=``)(?=`)|(?<=~~)(?=~)"
)
# One that neither ends a link nor begins a tag where it stands in text.
_WEB_ADDRESS = re.compile(r"https?://[^\s<>\"\[\]\\`]+", re.IGNORECASE)


def is_web_address(url: str) -> bool:
    """Whether an article's own address may be shown as one."""
    return _WEB_ADDRESS.fullmatch(url) is not None


def inert(text: str, before: str = "") -> str:
    """`text`, behind `before`, in which no image, link, tag or code block begins; it looks as it did."""
    whole = before[-_LONGEST:] + text
    start = len(whole) - len(text)
    places = [match.start() for match in _COMPLETION.finditer(whole, start)]
    return WORD_JOINER.join(whole[a:b] for a, b in zip([start, *places], [*places, len(whole)], strict=True))


def as_written(text: str) -> str:
    """What `inert` was given, as far as it had no such sign itself."""
    return text.replace(WORD_JOINER, "")
