"""Which pages may frame the widget, and why another may not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ui.server.settings import Site

_ORIGIN = re.compile(r"(https?)://(\*\.)?([^\s/?#:@;,'\"*\[\]]+)(?::(\d{1,5}|\*))?", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


class Origin(NamedTuple):
    """Scheme, host and port of a page; of an allowed one, `any_below` is `*.` and `port` may be `*`."""

    scheme: str
    any_below: bool
    host: str
    port: str  # empty: the scheme's own

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}://{'*.' if self.any_below else ''}{self.host}{port}"

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


def frame_ancestors(site: Site | None) -> str:
    """Who may frame the page of `site`: its origins and ourselves; nobody where it is unknown or switched off."""
    if site is None or not site.enabled:
        return "'none'"
    # An entry that cannot be read is left out: it might end the directive and begin another.
    return " ".join(["'self'", *(str(origin) for origin in map(read_origin, site.origins) if origin)])


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a page may not embed the widget: a name for programs, what is so, and what to do."""

    code: str
    found: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Check:
    """Whether pages of `origin` may embed the widget with the key `site`; where not, the first problem tells why."""

    site: str
    origin: str
    problems: tuple[Problem, ...]

    @property
    def allowed(self) -> bool:
        return not self.problems


def check(sites: Mapping[str, Site], key: str, text: str, scheme: str) -> Check:
    """Whether pages of the origin in `text` may embed the widget of this server, itself reached over `scheme`."""
    origin = read_origin(text)
    return Check(key, str(origin) if origin else text, tuple(_problems(sites.get(key), key, text, origin, scheme)))


def _problems(site: Site | None, key: str, text: str, origin: Origin | None, scheme: str) -> list[Problem]:
    if site is None:
        found = f"there is no site with the key {key!r}" if key else "no key was given"
        return [Problem("unknown_site", found, f"add [sites.{key or 'KEY'}] to dragoman.toml, or correct data-site")]
    if not site.enabled:
        return [Problem("disabled", "the site is switched off", f"set enabled = true under [sites.{key}]")]
    if origin is None or origin.any_below or origin.port == "*":
        expected = "scheme, host and, if it has one, port, without a path: https://www.example.org"
        return [Problem("no_origin", f"{text!r} is no origin", f"give {expected}")]
    problems = []
    allowed = [(entry, read_origin(entry)) for entry in site.origins]
    if not any(one and one.takes(origin) for _, one in allowed):
        near = next(filter(None, (_difference(one, origin) for _, one in allowed if one)), "")
        found = f"{origin} is not among the site's origins" + (f": {near}" if near else "")
        problems.append(Problem("not_listed", found, f'add "{origin}" to origins under [sites.{key}]'))
        problems += [
            Problem("unreadable", f"the entry {entry!r} cannot be read", "write it as https://www.example.org")
            for entry, one in allowed
            if one is None
        ]
    if origin.scheme == "https" and scheme == "http" and origin.host != "localhost":
        found = "this server was reached over http, and browsers let no https page load from there"
        remedy = "serve it over https, and have the proxy say so (X-Forwarded-Proto)"
        problems.append(Problem("mixed_content", found, remedy))
    return problems


def _difference(allowed: Origin, asked: Origin) -> str:
    """In what alone they differ; empty where that is more than one thing."""
    if allowed.host == asked.host and not allowed.any_below:
        if allowed.scheme == asked.scheme:
            return f"{allowed} has another port"
        return f"{allowed} has another scheme" if allowed.port == asked.port else ""
    if allowed.host.removeprefix("www.") == asked.host.removeprefix("www."):
        return f"{allowed} is another host to a browser, with and without www."
    return f"{allowed} is another host to a browser" if asked.host.endswith(f".{allowed.host}") else ""
