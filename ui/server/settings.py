"""What a server allows: limits, origins, sites."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_network


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A web site that may embed the widget. Its key stands in its pages: it names the site and is no secret."""

    key: str
    origins: tuple[str, ...]  # https://example.org; the only ones whose pages may frame the widget
    enabled: bool = True
    title: str = ""
    greeting: str = ""
    language: str = ""  # of the widget's own words, as BCP 47; by default the page's or the browser's
    languages: tuple[str, ...] = ()  # only passages in these
    tags: tuple[str, ...] = ()  # only articles with one of these
    per_minute: int = 120  # questions, of all its visitors together


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How one server is open to whom.

    Raises:
        ValueError: A limit is not positive, or a proxy is no address.
    """

    max_body_bytes: int = 2**20
    max_upload_bytes: int = 64 * 2**20  # of one file
    max_concurrent: int = 8  # questions answered at once
    max_waiting: int = 64  # questions that wait for that; more are told to come again (503)
    per_minute: int = 60  # requests of one key or address
    allow_upload: bool = False  # documents may be added and removed over HTTP, by a key with the scope
    cors_origins: tuple[str, ...] = ()  # whose pages may call the API from a browser
    allowed_hosts: tuple[str, ...] = ()  # names that the server answers to; by default what it listens on
    root_path: str = ""  # under which a proxy serves it, as in /answers
    trusted_proxies: tuple[str, ...] = ()  # addresses or networks whose X-Forwarded-For is believed
    public_anonymous: bool = False  # everyone who reaches the server may ask, without a key
    log_questions: bool = False
    sites: dict[str, Site] = field(default_factory=dict)  # by key

    def __post_init__(self) -> None:
        for name in ("max_body_bytes", "max_upload_bytes", "max_concurrent", "max_waiting", "per_minute"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected: 1 or more")
        for proxy in self.trusted_proxies:
            try:
                ip_network(proxy, strict=False)
            except ValueError as error:
                raise ValueError(
                    f"trusted_proxies has {proxy!r}; expected: an address or a network, as 10.0.0.0/8"
                ) from error
