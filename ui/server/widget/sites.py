"""Which pages may frame the widget, and why another may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ui.server.origins import Origin, read_origin
from ui.server.settings import Site


def frame_ancestors(site: Site | None) -> str:
    """Who may frame the page of `site`: its origins and ourselves; nobody where it is unknown or switched off."""
    if site is None or not site.enabled:
        return "'none'"
    return " ".join(["'self'", *site.origins])


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
    if origin is None or not origin.is_one:
        expected = "scheme, host and, if it has one, port, without a path: https://www.example.org"
        return [Problem("no_origin", f"{text!r} is no origin", f"give {expected}")]
    problems = []
    allowed = [one for one in map(read_origin, site.origins) if one]
    if not any(one.takes(origin) for one in allowed):
        near = next(filter(None, (_difference(one, origin) for one in allowed)), "")
        found = f"{origin} is not among the site's origins" + (f": {near}" if near else "")
        problems.append(Problem("not_listed", found, f'add "{origin}" to origins under [sites.{key}]'))
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
