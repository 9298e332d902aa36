"""What a server allows: limits, origins of web pages, sites."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import ClassVar

_ORIGIN = re.compile(r"(https?)://((?:\*\.)?[^\s/?#:@;,'\"*\[\]]+)(?::(\d{1,5}|\*))?")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_POSITIVE = ("max_upload_bytes", "max_concurrent", "max_waiting", "max_wait_s", "per_minute")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A web site that may embed the widget. Its key stands in its pages: it names the site and is no secret.

    Raises:
        ValueError: An origin cannot be read, or the limit is not positive.
    """

    key: str
    origins: tuple[str, ...]  # only pages of these may frame the widget: https://example.org, https://*.example.org
    title: str = ""
    greeting: str = ""
    language: str = ""  # of the widget's own words, as BCP 47; by default the page's or the browser's
    languages: tuple[str, ...] = ()  # only passages in these
    tags: tuple[str, ...] = ()  # only documents with one of these
    per_minute: int = 120  # questions of all its visitors together

    def __post_init__(self) -> None:
        where = f"[sites.{self.key}]"
        object.__setattr__(self, "origins", _origins(f"{where}: origins", self.origins, patterns=True))
        _check_positive(f"{where}: per_minute", self.per_minute)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How a server is open to whom. Rates and the queue are counted by each worker for itself.

    By default 200 questions of the same moment are all answered: the last waits 10 s at 20 answers a second, and may
    wait 45 s, for machines that give 6.

    Raises:
        ValueError: A limit is not positive, an origin cannot be read, or a proxy is no address.
    """

    max_body_bytes: ClassVar[int] = 2**20  # of a request without files
    max_upload_bytes: int = 64 * 2**20  # of one file
    max_concurrent: int = 8  # questions answered at once, of which one client gets half
    max_waiting: int = 256  # others that wait, or whose answers are not read yet; further ones are refused (503)
    max_wait_s: int = 45  # a question that waited so long is refused too; proxies give up after 60
    per_minute: int = 60  # requests of one key or address
    allow_upload: bool = False  # documents may be added and removed over HTTP, by a key with the scope ingest
    cors_origins: tuple[str, ...] = ()  # whose pages may call the API from a browser
    allowed_hosts: tuple[str, ...] = ()  # names that the server answers to; by default the address it listens on
    root_path: str = ""  # under which a proxy serves it, as in /answers
    trusted_proxies: tuple[str, ...] = ()  # addresses or networks whose X-Forwarded-For is believed
    public_anonymous: bool = False  # everyone who reaches the server may ask, without a key
    stop_grace_s: int = 30  # for running answers to end when the server stops
    log_format: str = "text"  # or json
    log_questions: bool = False
    sites: dict[str, Site] = field(default_factory=dict)  # by key

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            _check_positive(name, getattr(self, name))
        object.__setattr__(self, "cors_origins", _origins("cors_origins", self.cors_origins))
        if self.stop_grace_s < 0:
            raise ValueError(f"stop_grace_s is {self.stop_grace_s}; expected: 0 or more")
        if self.log_format not in ("text", "json"):
            raise ValueError(f"log_format is {self.log_format!r}; expected: text, json")
        for host in self.allowed_hosts:
            if "*" in host[1:] or (host.startswith("*") and host != "*" and not host.startswith("*.")):
                raise ValueError(f"allowed_hosts has {host!r}; expected: a name, *.name or *")
        for proxy in self.trusted_proxies:
            try:
                ip_network(proxy)
            except ValueError as error:
                expected = "expected: an address or a network, as 10.0.0.0/8"
                raise ValueError(f"trusted_proxies has {proxy!r}; {expected}") from error


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; expected: 1 or more")


def read_origin(text: str) -> str:
    """The origin in `text` as browsers send it, empty where there is none; host and port may be patterns."""
    match = _ORIGIN.fullmatch(text.strip().removesuffix("/").lower())
    try:
        host = match[2].encode("idna").decode("ascii") if match else ""
    except UnicodeError:
        return ""
    if match is None or not _HOST.fullmatch(host) or int((match[3] or "").replace("*", "") or 0) > 65_535:
        return ""
    port = "" if match[3] in (None, {"http": "80", "https": "443"}[match[1]]) else f":{match[3]}"
    return f"{match[1]}://{host}{port}"


def _origins(setting: str, texts: Iterable[str], *, patterns: bool = False) -> tuple[str, ...]:
    origins = {text: read_origin(text) for text in texts}
    for text, origin in origins.items():
        if not origin or ("*" in origin and not patterns):
            expected = "scheme and host, without a path, as https://www.example.org"
            raise ValueError(f"{setting} has {text!r}; expected: {expected}{'' if patterns else ', and without *'}")
    return tuple(origins.values())
