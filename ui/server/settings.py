"""What a server allows: limits, origins of web pages, sites."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, PositiveInt

_ORIGIN = re.compile(r"(https?)://((?:\*\.)?[^\s/?#:@;,'\"*\[\]]+)(?::(\d{1,5}|\*))?")
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


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


def _pattern(text: str) -> str:
    if not (origin := read_origin(text)):
        raise ValueError(
            f"{text!r} is no origin; expected: scheme and host, without a path, as https://www.example.org"
        )
    return origin


def _origin(text: str) -> str:
    if "*" in (origin := _pattern(text)):
        raise ValueError(f"{text!r} is no origin of one host; expected: an origin without *")
    return origin


def _proxy(text: str) -> str:
    ip_network(text)  # its error names the address
    return text


def _parts(value: Any) -> Any:
    """A text, as of a variable of the environment, as the list of its parts."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _with_keys(tables: Any) -> Any:
    """The tables of the sites, each with its own key."""
    if not isinstance(tables, dict):
        return tables
    return {key: {**table, "key": key} if isinstance(table, dict) else table for key, table in tables.items()}


_List = BeforeValidator(_parts)


class Settings(BaseModel):
    """Settings that stand in a table of dragoman.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Site(Settings):
    """A web site that may embed the widget. Its key stands in its pages: it names the site and is no secret."""

    key: str = Field(exclude=True)
    # Only pages of these may frame the widget: https://example.org, https://*.example.org
    origins: tuple[Annotated[str, AfterValidator(_pattern)], ...]
    title: str = ""
    greeting: str = ""
    language: str = ""  # of the widget's own words, as BCP 47; by default the page's or the browser's
    languages: tuple[str, ...] = ()  # only passages in these
    tags: tuple[str, ...] = ()  # only documents with one of these
    per_minute: PositiveInt = 120  # questions of all its visitors together


class ServerSettings(Settings):
    """How a server is open to whom. Rates and the queue are counted by each worker for itself.

    By default 200 questions of the same moment are all answered: the last waits 10 s at 20 answers a second, and may
    wait 45 s, for machines that give 6.
    """

    max_body_bytes: ClassVar[int] = 2**20  # of a request without files
    max_upload_bytes: PositiveInt = 64 * 2**20  # of one file
    max_concurrent: PositiveInt = 8  # questions answered at once, of which one client gets half
    max_waiting: PositiveInt = 256  # others that wait, or whose answers are not read yet; more are refused (503)
    max_wait_s: PositiveInt = 45  # a question that waited so long is refused too; proxies give up after 60
    per_minute: PositiveInt = 60  # requests of one key or address
    allow_upload: bool = False  # documents may be added and removed over HTTP, by a key with the scope ingest
    # Whose pages may call the API from a browser.
    cors_origins: Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], _List] = ()
    # Names that the server answers to; by default the address it listens on.
    allowed_hosts: Annotated[tuple[Annotated[str, Field(pattern=r"^(\*|(\*\.)?[^*]+)$")], ...], _List] = ()
    root_path: str = ""  # under which a proxy serves it, as in /answers
    # Addresses or networks whose X-Forwarded-For is believed.
    trusted_proxies: Annotated[tuple[Annotated[str, AfterValidator(_proxy)], ...], _List] = ()
    public_anonymous: bool = False  # everyone who reaches the server may ask, without a key
    stop_grace_s: NonNegativeInt = 30  # for running answers to end when the server stops
    log_format: Literal["text", "json"] = "text"
    sites: Annotated[dict[str, Site], BeforeValidator(_with_keys)] = {}
