"""Origins of web pages, as browsers tell them and as settings name them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_ORIGIN = re.compile(r"(https?)://(\*\.)?([^\s/?#:@;,'\"*\[\]]+)(?::(\d{1,5}|\*))?", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_PATH = re.compile(r"[/?#]")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_EXAMPLE = "https://www.example.org"


class Origin(NamedTuple):
    """Scheme, host and port of a page; of an allowed one, `any_below` is `*.` and `port` may be `*`."""

    scheme: str
    any_below: bool
    host: str
    port: str  # empty: the scheme's own

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{'*.' if self.any_below else ''}{self.host}{port}"

    @property
    def is_one(self) -> bool:
        """Whether it is one origin, not a pattern of several."""
        return not self.any_below and self.port != "*"

    def takes(self, other: Origin) -> bool:
        """Whether a browser holds `other` to be meant by this one (Content Security Policy, 6.7.2.6-8)."""
        upgraded = (self.scheme, other.scheme) == ("http", "https")
        if self.scheme != other.scheme and not upgraded:
            return False
        below = self.any_below and other.host.endswith(f".{self.host}")
        if not below and (self.any_below or self.host != other.host):
            return False
        return self.port in ("*", other.port)


def read_origin(text: str) -> Origin | None:
    """The origin that `text` names, in the form in which browsers tell it; None where it is none."""
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
    own = _DEFAULT_PORTS[scheme.lower()]
    return Origin(scheme.lower(), bool(star), host, "" if port in (None, own) else port)


def origins_of(setting: str, texts: Iterable[str]) -> tuple[str, ...]:
    """The origins, each one of its own, that a setting names, as browsers tell them.

    Raises:
        ValueError: One cannot be read, or is a pattern.
    """
    origins = [_origin(setting, text) for text in texts]
    for origin in origins:
        if not origin.is_one:
            raise ValueError(
                f"{setting} has {str(origin)!r}; expected: one origin, without *, as {_EXAMPLE}; to mend: name each"
            )
    return tuple(map(str, origins))


def patterns_of(setting: str, texts: Iterable[str]) -> tuple[str, ...]:
    """The origins that a setting names, where `https://*.example.org` takes all below and `:*` every port.

    Raises:
        ValueError: One cannot be read.
    """
    return tuple(str(_origin(setting, text)) for text in texts)


def _origin(setting: str, text: str) -> Origin:
    origin = read_origin(text)
    if origin is None:
        raise ValueError(
            f"{setting} has {text!r}; expected: scheme and host, and a port if it has one, without a path;"
            f" to mend: write it as {_meant(text)}"
        )
    return origin


def _meant(text: str) -> str:
    """The origin that somebody most likely meant."""
    scheme, _, rest = text.strip().rpartition("://")
    origin = read_origin(f"{scheme if scheme in _DEFAULT_PORTS else 'https'}://{_PATH.split(rest)[0]}")
    return str(origin or _EXAMPLE)
