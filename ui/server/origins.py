"""Origins of web pages, in the form in which browsers send them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_ORIGIN = re.compile(r"(https?)://(\*\.)?([^\s/?#:@;,'\"*\[\]]+)(?::(\d{1,5}|\*))?", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class Origin(NamedTuple):
    """Scheme, host and port of a page; in a pattern, `subdomains` is `*.` and `port` may be `*`."""

    scheme: str
    subdomains: bool
    host: str
    port: str  # empty: the scheme's default

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{'*.' if self.subdomains else ''}{self.host}{port}"

    @property
    def is_one(self) -> bool:
        """Whether it is a single origin, not a pattern."""
        return not self.subdomains and self.port != "*"

    def matches(self, other: Origin) -> bool:
        """Whether a browser takes `other` for this one or a match of it (Content Security Policy, 6.7.2.6-8)."""
        upgraded = (self.scheme, other.scheme) == ("http", "https")
        if self.scheme != other.scheme and not upgraded:
            return False
        same_host = other.host.endswith(f".{self.host}") if self.subdomains else self.host == other.host
        return same_host and self.port in ("*", other.port)


def read_origin(text: str) -> Origin | None:
    """The origin or pattern in `text`; None where there is none."""
    match = _ORIGIN.fullmatch(text.strip().removesuffix("/"))
    if match is None:
        return None
    scheme, star, host, port = match.groups()
    try:
        host = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    if not _HOST.fullmatch(host) or ((port or "").isdecimal() and int(port) > 65_535):
        return None
    is_default = port in (None, _DEFAULT_PORTS[scheme.lower()])
    return Origin(scheme.lower(), bool(star), host, "" if is_default else port)


def checked_origins(setting: str, texts: Iterable[str], *, patterns: bool) -> tuple[str, ...]:
    """The origins of a setting as browsers send them; with `patterns`, `https://*.example.org` and `:*` are allowed.

    Raises:
        ValueError: An entry is no origin.
    """
    found = []
    for text in texts:
        origin = read_origin(text)
        if origin is None or not (origin.is_one or patterns):
            expected = "scheme and host, without a path, as https://www.example.org"
            raise ValueError(f"{setting} has {text!r}; expected: {expected}{'' if patterns else ', and without *'}")
        found.append(str(origin))
    return tuple(found)
