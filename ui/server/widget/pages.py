"""The widget's files and pages, and the headers that they carry."""

from __future__ import annotations

import functools
import hashlib
import json
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, NamedTuple
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, Response

from index.search import MAX_QUESTION_CHARS
from rag.phrases import Part, direction, languages, phrase, phrases
from ui.server.origins import read_origin
from ui.server.settings import Site
from ui.server.widget.sites import Check, frame_ancestors

_KINDS = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
_OWN_FILES = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'"
_SEALED = "base-uri 'none'; form-action 'none'"
_IN_THE_BUBBLE = ("label", "unavailable")  # the words that the loader itself shows
_THEMES = ("light", "dark")


class File(NamedTuple):
    """A file that is served as it is."""

    body: bytes
    etag: str
    kind: str


@functools.cache
def static(name: str) -> File:
    """A file of the widget; the loader with its words put in, and without what only its readers here need."""
    text = files("ui.server.widget").joinpath("static", name).read_text("utf-8")
    if name == "widget.js":
        table = {tag: [phrase(word, tag, Part.WIDGET) for word in _IN_THE_BUBBLE] for tag in languages(Part.WIDGET)}
        lines = (line.strip() for line in text.splitlines())
        text = "\n".join(line for line in lines if line and not line.startswith(("//", "/*")))
        text = text.replace("/*WORDS*/ {}", json.dumps(table, ensure_ascii=False, separators=(",", ":")))
    body = text.encode()
    return File(body, f'"{hashlib.sha256(body).hexdigest()[:20]}"', _KINDS[name.rpartition(".")[2]])


def file_response(request: Request, name: str, max_age_s: int, **headers: str) -> Response:
    """A file, or that it has not changed."""
    file = static(name)
    sent = {
        "ETag": file.etag,
        "Cache-Control": f"public, max-age={max_age_s}",
        "X-Content-Type-Options": "nosniff",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=sent)
    return Response(file.body, media_type=file.kind, headers=sent)


def words(language: str) -> dict[str, str]:
    """The phrases of the page in the iframe."""
    shared = {name: phrase(name, language) for name in ("sources", "closest")}
    return {**phrases(language, Part.WIDGET), **shared}


def frame_page(site: Site, language: str, theme: str, host: str) -> HTMLResponse:
    """The page in the iframe; `host` is the origin of the page around it, where that may be spoken with."""
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
        theme=theme if theme in _THEMES else "auto",
        title=site.title or phrase("title", language, Part.WIDGET),
        config=json.dumps(config, ensure_ascii=False),
    )


def refusal_page(language: str, status: int, key: str) -> HTMLResponse:
    """The page of a site that is unknown or switched off; no page may frame it."""
    return _page(
        "refusal.html",
        f"{_OWN_FILES}; {_SEALED}; frame-ancestors 'none'",
        status,
        language=language,
        key=quote(key),
        message=phrase("unknown_site", language, Part.WIDGET),
        for_owner=phrase("for_owner", language, Part.WIDGET),
    )


def embed_page(sites: list[Site]) -> HTMLResponse:
    """The page that builds the snippet; with the sites to choose from, where they may be told."""
    told = [{"key": site.key, "origins": list(site.origins), "enabled": site.enabled} for site in sites]
    config = {"sites": told, "languages": list(languages(Part.WIDGET))}
    policy = f"{_OWN_FILES}; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    return _page("embed.html", policy, language="en", config=json.dumps(config, ensure_ascii=False))


def preview_page() -> HTMLResponse:
    """A page of an imagined host, as strict as one can be, with the widget on it."""
    return _page(
        "preview.html",
        f"default-src 'none'; script-src 'self'; style-src 'self'; frame-src 'self'; {_SEALED}; frame-ancestors 'self'",
        language="en",
    )


def check_page(found: Check) -> HTMLResponse:
    """What a check found, to read."""
    items = "".join(
        f"<li><p>{escape(problem.found)}</p><p><strong>To mend:</strong> {escape(problem.remedy)}</p></li>"
        for problem in found.problems
    )
    template = files("ui.server.widget").joinpath("static", "check.html").read_text("utf-8")
    verdict = "may embed the widget" if found.allowed else "may not embed the widget"
    html = Template(template).substitute(
        v=_version("embed.css"),
        kind="yes" if found.allowed else "no",
        origin=escape(found.origin),
        site=escape(found.site),
        verdict=verdict,
        problems=f"<ol>{items}</ol>" if items else "",
    )
    return _html(html, f"{_OWN_FILES}; base-uri 'none'; form-action 'self'; frame-ancestors 'none'", 200)


def check_json(found: Check) -> dict[str, Any]:
    """What a check found, for programs."""
    return {
        "site": found.site,
        "origin": found.origin,
        "allowed": found.allowed,
        "problems": [{"code": one.code, "found": one.found, "remedy": one.remedy} for one in found.problems],
    }


def spoken_with(site: Site, origin: str, own: str) -> str:
    """`origin` where the page may tell it things and be told: one of the site's, or our own; else empty."""
    asked = read_origin(origin)
    if asked is None or not asked.is_one:
        return ""
    allowed = [one for one in map(read_origin, (*site.origins, own)) if one]
    return str(asked) if any(one.takes(asked) for one in allowed) else ""


def _page(name: str, policy: str, status: int = 200, *, language: str, **fields: str) -> HTMLResponse:
    template = files("ui.server.widget").joinpath("static", name).read_text("utf-8")
    stem = name.removesuffix(".html")
    sent = {key: escape(value) for key, value in fields.items()}
    html = Template(template).safe_substitute(
        sent, lang=escape(language), dir=direction(language), v=_version(f"{stem}.js", f"{stem}.css")
    )
    return _html(html, policy, status)


def _html(html: str, policy: str, status: int) -> HTMLResponse:
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }
    return HTMLResponse(html, status, headers)


@functools.cache
def _version(*names: str) -> str:
    """Part of the address of a page's files: a changed file is another one to every cache."""
    folder = files("ui.server.widget").joinpath("static")
    bodies = [folder.joinpath(name).read_bytes() for name in names if folder.joinpath(name).is_file()]
    return hashlib.sha256(b"".join(bodies)).hexdigest()[:10]
