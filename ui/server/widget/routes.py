"""The routes of the widget: the loader, the page in the iframe, its questions and its feedback, and /embed."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import Field
from starlette.staticfiles import StaticFiles

from index.store.base import Filter
from rag.phrases import Part, accepted, best_language, direction
from ui.server.article import article_page, find_document
from ui.server.bodies import Interface, SiteBody
from ui.server.errors import Refusal
from ui.server.feedback import Feedback, FeedbackFile
from ui.server.gate import Service
from ui.server.limits import Rate
from ui.server.logs import note
from ui.server.settings import Site
from ui.server.shown import frames
from ui.server.sse import EventStream
from ui.server.widget import pages

_Key = Annotated[str, Query(max_length=200)]
_Tag = Annotated[str, Query(max_length=100)]
_OriginText = Annotated[str, Query(max_length=500)]


class SiteFeedback(Feedback):
    """What a visitor thinks of an answer, on which site."""

    site: Annotated[str, Field(max_length=200)]


def add_widget(app: FastAPI, service: Service) -> None:
    """Add the routes and files of the widget."""
    app.mount("/widget/static", StaticFiles(directory=str(files("ui.server.widget").joinpath("static"))))
    app.mount("/web", StaticFiles(directory=str(files("ui").joinpath("web"))))  # what it shares with the page
    _add_frame(app, service)
    _add_questions(app, service)
    app.get("/embed", include_in_schema=False)(pages.embed_page)
    app.get("/embed/preview", include_in_schema=False)(pages.preview_page)


def _add_frame(app: FastAPI, service: Service) -> None:
    sites = service.settings.sites

    @app.get("/widget.js", include_in_schema=False)
    @app.get("/widget.v1.js", include_in_schema=False)
    def script() -> Response:
        """The loader; pages may check it by its hash, so any may read it, and have a new one after five minutes."""
        headers = {
            "cache-control": "public, max-age=300",
            "cross-origin-resource-policy": "cross-origin",
            "access-control-allow-origin": "*",
        }
        return Response(pages.loader(), media_type="text/javascript", headers=headers)

    @app.get("/widget/frame", include_in_schema=False)
    def frame(
        request: Request, site: _Key = "", lang: _Tag = "", page: _Tag = "", theme: _Tag = "", origin: _OriginText = ""
    ) -> HTMLResponse:
        """The page; its language is the snippet's, the site's, that of the page around it, or the browser's."""
        found = _known(sites.get(site))
        of_browser = accepted(request.headers.get("accept-language", ""))
        language = best_language([lang, found.language, page, *of_browser], Part.INTERFACE)
        return pages.frame_page(found, language, theme, origin)

    @app.get("/widget/article/{doc_id}", include_in_schema=False)
    def article(doc_id: str, site: _Key = "", lang: _Tag = "", cite: _OriginText = "") -> HTMLResponse:
        """One of the site's documents to read, with the spans in `cite` marked."""
        own, document = _known(sites.get(site)), find_document(service.chain.backend, doc_id)
        about = document.metadata
        if not Filter(languages=own.languages).takes(about.language) or (own.tags and not {*own.tags} & {*about.tags}):
            raise Refusal(404, "there is no such document")
        language = best_language([lang, own.language], Part.INTERFACE)
        return article_page(doc_id, document, cite, language, "../static/article.css")

    @app.get("/widget/words", include_in_schema=False)
    def other_words(lang: _Tag) -> dict[str, Any]:
        """The page's phrases in another language."""
        language = best_language([lang], Part.INTERFACE)
        return {"lang": language, "dir": direction(language), "words": pages.words(language)}


def _add_questions(app: FastAPI, service: Service) -> None:
    sites = service.settings.sites
    # The gate counts by address; these count all visitors of a site together.
    rates = {key: Rate(site.per_minute) for key, site in sites.items()}

    @app.post("/widget/ask", include_in_schema=False)
    async def ask(request: Request, interface: Interface, body: SiteBody) -> Response:
        """The events of an answer, from the site's passages only."""
        site = _allowed(sites.get(body.site), request, rates)
        where = Filter(languages=site.languages, tags=site.tags)
        events = service.chain.astream(body.question, body.turns(), where, site.language or interface)
        return EventStream(events, frames(for_owner=False))

    @app.post("/widget/feedback", status_code=204, include_in_schema=False)
    def feedback(request: Request, said: SiteFeedback) -> None:
        """Store what a visitor thinks of an answer."""
        _allowed(sites.get(said.site), request, rates)
        FeedbackFile(service.chain.backend.folder).add(said)


def _known(site: Site | None) -> Site:
    if site is None:
        raise Refusal(403, "no site with this key may ask; fix: [sites.KEY] in dragoman.toml")
    return site


def _allowed(site: Site | None, request: Request, rates: dict[str, Rate]) -> Site:
    """The site, where its pages may send this now."""
    site = _known(site)
    note(site=site.key)
    # The widget asks from a page of ours, wherever that is framed.
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refusal(403, "the widget's questions come from its own page; other programs have /api/v1/ask")
    if wait_s := rates[site.key].take(request.url.path):
        detail = f"too many requests from this site; expected: {site.per_minute} a minute"
        raise Refusal(429, detail, retry_after_s=wait_s)
    return site
