"""What a server allows: limits, origins, sites."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_network

from ui.server.origins import origins_of, patterns_of

LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A web site that may embed the widget. Its key stands in its pages: it names the site and is no secret.

    Raises:
        ValueError: An origin cannot be read, or the limit is not positive.
    """

    key: str
    origins: tuple[
        str, ...
    ]  # https://example.org, https://*.example.org; the only ones whose pages may frame the widget
    enabled: bool = True
    title: str = ""
    greeting: str = ""
    language: str = ""  # of the widget's own words, as BCP 47; by default the page's or the browser's
    languages: tuple[str, ...] = ()  # only passages in these
    tags: tuple[str, ...] = ()  # only articles with one of these
    per_minute: int = 120  # questions, of all its visitors together

    def __post_init__(self) -> None:
        where = f"[sites.{self.key}]"
        object.__setattr__(self, "origins", patterns_of(f"{where}: origins", self.origins))
        _check_positive(f"{where}: per_minute", self.per_minute)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How one server is open to whom.

    By default 200 who ask at the same moment are answered: the last of them waits 10 s where two cores give 20 answers
    a second, and has 45 s, for machines that give 6. A longer queue would be told only later to come again.

    Raises:
        ValueError: A limit is not positive, an origin cannot be read, or a proxy is no address.
    """

    max_body_bytes: int = 2**20
    max_upload_bytes: int = 64 * 2**20  # of one file
    max_concurrent: int = 8  # questions answered at once
    max_waiting: int = 256  # questions that wait for that; more are told to come again (503)
    max_wait_s: int = 45  # who waited that long is told the same; proxies give up after 60
    per_minute: int = 60  # requests of one key or address
    allow_upload: bool = False  # documents may be added and removed over HTTP, by a key with the scope
    cors_origins: tuple[str, ...] = ()  # whose pages may call the API from a browser
    allowed_hosts: tuple[str, ...] = ()  # names that the server answers to; by default what it listens on
    root_path: str = ""  # under which a proxy serves it, as in /answers
    trusted_proxies: tuple[str, ...] = ()  # addresses or networks whose X-Forwarded-For is believed
    public_anonymous: bool = False  # everyone who reaches the server may ask, without a key
    stop_grace_s: int = 30  # for running answers to end when the server is told to stop
    log_format: str = "text"  # or json
    log_level: str = "info"  # debug, info, warning or error
    log_questions: bool = False
    sites: dict[str, Site] = field(default_factory=dict)  # by key

    def __post_init__(self) -> None:
        for name in (
            "max_body_bytes",
            "max_upload_bytes",
            "max_concurrent",
            "max_waiting",
            "max_wait_s",
            "per_minute",
        ):
            _check_positive(name, getattr(self, name))
        object.__setattr__(self, "cors_origins", origins_of("cors_origins", self.cors_origins))
        if self.stop_grace_s < 0:
            raise ValueError(f"stop_grace_s is {self.stop_grace_s}; expected: 0 or more")
        for name, allowed in (("log_format", LOG_FORMATS), ("log_level", LOG_LEVELS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected: {', '.join(allowed)}")
        for proxy in self.trusted_proxies:
            try:
                ip_network(proxy, strict=False)
            except ValueError as error:
                raise ValueError(
                    f"trusted_proxies has {proxy!r}; expected: an address or a network, as 10.0.0.0/8"
                ) from error


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; expected: 1 or more")
