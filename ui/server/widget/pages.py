"""The widget's pages and its loader: templates with escaped fields, each with a policy of its own."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
from html import escape
from importlib.resources import files
from string import Template

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
    table = {tag: [phrase(name, tag, Part.INTERFACE) for name in _IN_THE_BUBBLE] for tag in languages(Part.INTERFACE)}
    text = files("ui.server.widget").joinpath("static", "widget.js").read_text("utf-8")
    bare = (re.sub(r"(^|\s)//\s.*|^/\* .*", "", line).strip() for line in text.splitlines())
    lines = [re.sub(r"\s*([{}=;,:?|&<>])\s*", r"\1", line) for line in bare if line]
    short = re.sub(r"(?<=[;{,(:])\n", "", "\n".join(lines))
    return short.replace("/*WORDS*/{}", json.dumps(table, ensure_ascii=False, separators=(",", ":")))


def words(language: str) -> dict[str, str]:
    """The phrases of the page in the iframe."""
    return {**phrases(language, Part.INTERFACE), **{name: phrase(name, language) for name in ("sources", "closest")}}


def frame_page(site: Site, language: str, theme: str, origin: str) -> HTMLResponse:
    """The page in the iframe, of which `origin` is the page around it: browsers see that it is one of the site's."""
    asked = read_origin(origin)
    config = {
        "site": site.key,
        "lang": language,
        "dir": direction(language),
        "words": words(language),
        "title": site.title,
        "greeting": site.greeting,
        "host": "" if "*" in asked else asked,
        "max_chars": MAX_QUESTION_CHARS,
    }
    return _page(
        "frame.html",
        " ".join([f"{_OWN_FILES}; {_SEALED}; frame-ancestors 'self'", *site.origins]),
        language=language,
        theme=theme if theme in ("light", "dark") else "auto",
        title=site.title or phrase("title", language, Part.INTERFACE),
        config=json.dumps(config, ensure_ascii=False),
    )


def embed_page() -> HTMLResponse:
    """The page that builds the snippet."""
    digest = base64.b64encode(hashlib.sha384(loader().encode()).digest()).decode()
    config = json.dumps({"languages": list(languages(Part.INTERFACE)), "integrity": f"sha384-{digest}"})
    return _page("embed.html", f"{_OWN_FILES}; frame-src 'self'; {_SEALED}; frame-ancestors 'none'", config=config)


def preview_page() -> HTMLResponse:
    """A page of an imagined host, as strict as one can be, with the widget on it."""
    own = "default-src 'none'; script-src 'self'; style-src 'self'; frame-src 'self'"
    return _page("preview.html", f"{own}; {_SEALED}; frame-ancestors 'self'")


def _page(name: str, policy: str, *, language: str = "en", **fields: str) -> HTMLResponse:
    template = files("ui.server.widget").joinpath("templates", name).read_text("utf-8")
    escaped = {key: escape(value) for key, value in fields.items()}
    html = Template(template).substitute(escaped, lang=escape(language), dir=direction(language))
    return HTMLResponse(html, headers={"content-security-policy": policy, "cache-control": "no-store"})
