"""The widget's pages and its loader: templates with escaped fields, each with a policy of its own."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import quote

from fastapi.responses import HTMLResponse

from index.search import MAX_QUESTION_CHARS
from rag.phrases import Part, direction, languages, phrase, phrases
from ui.server.settings import Site, read_origin

_OWN_FILES = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'"
_SEALED = "base-uri 'none'; form-action 'none'"
_IN_THE_BUBBLE = ("label", "unavailable")  # the phrases that the loader itself shows


@functools.cache
def loader() -> str:
    """The script that other people's pages load, with its phrases, without comments."""
    table = {tag: [phrase(name, tag, Part.WIDGET) for name in _IN_THE_BUBBLE] for tag in languages(Part.WIDGET)}
    text = files("ui.server.widget").joinpath("static", "widget.js").read_text("utf-8")
    lines = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith(("//", "/*"))]
    return "\n".join(lines).replace("/*WORDS*/ {}", json.dumps(table, ensure_ascii=False, separators=(",", ":")))


def words(language: str) -> dict[str, str]:
    """The phrases of the page in the iframe."""
    return {**phrases(language, Part.WIDGET), **{name: phrase(name, language) for name in ("sources", "closest")}}


def frame_page(site: Site, language: str, theme: str, host: str) -> HTMLResponse:
    """The page in the iframe; `host` is the origin of the page around it, where they may exchange messages."""
    config = {
        "site": site.key,
        "lang": language,
        "dir": direction(language),
        "words": words(language),
        "title": site.title,
        "greeting": site.greeting,
        "host": host,
        "max_chars": MAX_QUESTION_CHARS,
    }
    return _page(
        "frame.html",
        f"{_OWN_FILES}; {_SEALED}; frame-ancestors {frame_ancestors(site)}",
        language=language,
        theme=theme if theme in ("light", "dark") else "auto",
        title=site.title or phrase("title", language, Part.WIDGET),
        config=json.dumps(config, ensure_ascii=False),
    )


def refusal_page(language: str, status: int, key: str) -> HTMLResponse:
    """The page of a site that is unknown or disabled; no page may frame it."""
    shown = {name: phrase(name, language, Part.WIDGET) for name in ("unknown_site", "for_owner")}
    policy = f"{_OWN_FILES}; {_SEALED}; frame-ancestors {frame_ancestors(None)}"
    return _page("refusal.html", policy, status, language=language, key=quote(key), **shown)


def embed_page(sites: list[Site]) -> HTMLResponse:
    """The page that builds the snippet; with the sites to choose from, where the visitor may see them."""
    shown = [{"key": site.key, "origins": list(site.origins), "enabled": site.enabled} for site in sites]
    config = json.dumps({"sites": shown, "languages": list(languages(Part.WIDGET))}, ensure_ascii=False)
    return _page("embed.html", f"{_OWN_FILES}; frame-src 'self'; {_SEALED}; frame-ancestors 'none'", config=config)


def preview_page() -> HTMLResponse:
    """A page of an imagined host, as strict as one can be, with the widget on it."""
    own = "default-src 'none'; script-src 'self'; style-src 'self'; frame-src 'self'"
    return _page("preview.html", f"{own}; {_SEALED}; frame-ancestors 'self'")


def _page(name: str, policy: str, status: int = 200, *, language: str = "en", **fields: str) -> HTMLResponse:
    template = files("ui.server.widget").joinpath("templates", name).read_text("utf-8")
    escaped = {key: escape(value) for key, value in fields.items()}
    html = Template(template).substitute(escaped, lang=escape(language), dir=direction(language))
    return HTMLResponse(html, status, {"content-security-policy": policy, "cache-control": "no-store"})


# --- which pages may frame the widget ---------------------------------------------------------------------------------


def frame_ancestors(site: Site | None) -> str:
    """Who may frame the page of `site`: its origins and ourselves; nobody where it is unknown or disabled."""
    if site is None or not site.enabled:
        return "'none'"
    return " ".join(["'self'", *site.origins])


def message_origin(site: Site, origin: str, own: str) -> str:
    """`origin` where the page may exchange messages with it: one of the site's, or our own; else empty."""
    asked = read_origin(origin)
    if asked is None or asked.is_pattern:
        return ""
    allowed = [one for one in map(read_origin, (*site.origins, own)) if one]
    return str(asked) if any(one.matches(asked) for one in allowed) else ""


def problems_of(sites: Mapping[str, Site], key: str, text: str, scheme: str) -> list[dict[str, str]]:
    """Why pages of the origin in `text` may not embed the widget of this server, reached over `scheme`."""
    site, origin = sites.get(key), read_origin(text)
    if site is None:
        return [_problem("unknown_site", f"there is no site with the key {key!r}", "add it to dragoman.toml")]
    if not site.enabled:
        return [_problem("disabled", "the site is disabled", f"set enabled = true under [sites.{key}]")]
    if origin is None or origin.is_pattern:
        return [_problem("no_origin", f"{text!r} is no origin", "write it as https://www.example.org")]
    problems = []
    if not any(one.matches(origin) for one in map(read_origin, site.origins) if one):
        found = f"{origin} is not among the site's origins: {', '.join(site.origins) or 'it has none'}"
        problems.append(_problem("not_listed", found, f'add "{origin}" to origins under [sites.{key}]'))
    if origin.scheme == "https" and scheme == "http" and origin.host != "localhost":
        found = "this server was reached over http, and browsers load no such page into an https page"
        problems.append(_problem("mixed_content", found, "serve it over https; the proxy sends X-Forwarded-Proto"))
    return problems


def _problem(code: str, found: str, remedy: str) -> dict[str, str]:
    return {"code": code, "found": found, "remedy": remedy}
