"""Which pages may frame the widget, and why another may not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ui.server.origins import read_origin
from ui.server.settings import Site


def frame_ancestors(site: Site | None) -> str:
    """Who may frame the page of `site`: its origins and ourselves; nobody where it is unknown or disabled."""
    if site is None or not site.enabled:
        return "'none'"
    return " ".join(["'self'", *site.origins])


class Problem(NamedTuple):
    """Why a page may not embed the widget: a name for programs, what was found, what to do."""

    code: str
    found: str
    remedy: str


def problems_of(sites: Mapping[str, Site], key: str, text: str, scheme: str) -> list[Problem]:
    """Why pages of the origin in `text` may not embed the widget of this server, reached over `scheme`."""
    site, origin = sites.get(key), read_origin(text)
    if site is None:
        found = f"there is no site with the key {key!r}" if key else "no key was given"
        return [Problem("unknown_site", found, f"add [sites.{key or 'KEY'}] to dragoman.toml, or correct data-site")]
    if not site.enabled:
        return [Problem("disabled", "the site is disabled", f"set enabled = true under [sites.{key}]")]
    if origin is None or not origin.is_one:
        expected = "scheme, host and, if it has one, port, without a path: https://www.example.org"
        return [Problem("no_origin", f"{text!r} is no origin", f"give {expected}")]
    problems = []
    if not any(one.matches(origin) for one in map(read_origin, site.origins) if one):
        found = f"{origin} is not among the site's origins: {', '.join(site.origins) or 'it has none'}"
        problems.append(Problem("not_listed", found, f'add "{origin}" to origins under [sites.{key}]'))
    if origin.scheme == "https" and scheme == "http" and origin.host != "localhost":
        found = "this server was reached over http, and browsers load no such page into an https page"
        remedy = "serve it over https, and have the proxy send X-Forwarded-Proto"
        problems.append(Problem("mixed_content", found, remedy))
    return problems
