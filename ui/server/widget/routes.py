"""The routes of the widget: the loader, the page in the iframe, its questions and its feedback, and /embed."""

from __future__ import annotations

from importlib.resources import files as package_files
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import Field
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from index.store.base import Filter
from rag.phrases import Part, accepted, best_language, direction
from ui.server.bodies import NO_HISTORY, FeedbackBody, History, Question, checked, turns_of
from ui.server.errors import Refusal
from ui.server.feedback import FeedbackFile
from ui.server.limits import Rate
from ui.server.logs import note
from ui.server.service import Service, is_this_machine
from ui.server.settings import Site
from ui.server.sse import EventStream
from ui.server.widget.pages import (
    check_page,
    embed_page,
    frame_page,
    loader,
    message_origin,
    preview_page,
    refusal_page,
    words,
)
from ui.server.widget.sites import problems_of
from ui.server.widget.stream import frames

_Key = Annotated[str, Query(max_length=200)]
_Tag = Annotated[str, Query(max_length=100)]
_OriginText = Annotated[str, Query(max_length=500)]
_SiteKey = Annotated[str, Body(max_length=200)]


class SiteFeedbackBody(FeedbackBody):
    """What a visitor thinks of an answer, on which site."""

    site: Annotated[str, Field(max_length=200)]


def files() -> Mount:
    """The scripts and styles of the widget's own pages."""
    return Mount("/widget/static", StaticFiles(directory=str(package_files("ui.server.widget").joinpath("static"))))


def router(service: Service) -> APIRouter:
    """The routes of the widget."""
    routes = APIRouter(include_in_schema=False)
    _add_frame(routes, service)
    _add_questions(routes, service)
    _add_embed(routes, service)
    return routes


def _add_frame(routes: APIRouter, service: Service) -> None:
    sites = service.settings.sites

    @routes.get("/widget.js")
    @routes.get("/widget.v1.js")
    def script() -> Response:
        """The loader; pages may check it by its hash, so any may read it, and have a new one after five minutes."""
        headers = {
            "cache-control": "public, max-age=300",
            "cross-origin-resource-policy": "cross-origin",
            "access-control-allow-origin": "*",
        }
        return Response(loader(), media_type="text/javascript", headers=headers)

    @routes.get("/widget/frame")
    def frame(
        request: Request, site: _Key = "", lang: _Tag = "", page: _Tag = "", theme: _Tag = "", origin: _OriginText = ""
    ) -> HTMLResponse:
        """The page; its language is the snippet's, the site's, that of the page around it, or the browser's."""
        found = sites.get(site)
        of_browser = accepted(request.headers.get("accept-language", ""))
        language = best_language([lang, found.language if found else "", page, *of_browser], Part.WIDGET)
        if found is None or not found.enabled:
            return refusal_page(language, 403 if found else 404, site)
        own = f"{request.url.scheme}://{request.url.netloc}"
        return frame_page(found, language, theme, message_origin(found, origin, own))

    @routes.get("/widget/words")
    def other_words(lang: _Tag) -> dict[str, Any]:
        """The page's phrases in another language."""
        language = best_language([lang], Part.WIDGET)
        return {"lang": language, "dir": direction(language), "words": words(language)}


def _add_questions(routes: APIRouter, service: Service) -> None:
    sites = service.settings.sites
    # The gate counts by address; these count all visitors of a site together.
    questions = {key: Rate(site.per_minute) for key, site in sites.items()}
    opinions = {key: Rate(site.per_minute) for key, site in sites.items()}

    @routes.post("/widget/ask")
    async def ask(request: Request, site: _SiteKey, question: Question, history: History = NO_HISTORY) -> Response:
        """The events of an answer, from the site's passages only."""
        found, turns, asked = _allowed(sites.get(site), request), turns_of(history), checked(question)
        _count(questions[site], found)
        where = Filter(languages=found.languages, tags=found.tags)
        return EventStream(service.chain.astream(asked, turns, where), frames())

    @routes.post("/widget/feedback", status_code=204)
    def feedback(request: Request, said: SiteFeedbackBody) -> None:
        """Store what a visitor thinks of an answer."""
        _count(opinions[said.site], _allowed(sites.get(said.site), request))
        said.store(FeedbackFile(service.chain.backend.folder))


def _add_embed(routes: APIRouter, service: Service) -> None:
    sites = service.settings.sites

    @routes.get("/embed")
    def embed(request: Request) -> HTMLResponse:
        """Build the snippet; a user of the server's machine may choose among its sites, others must know a key."""
        return embed_page(list(sites.values()) if is_this_machine(request.scope) else [])

    @routes.get("/embed/preview")
    def preview() -> HTMLResponse:
        return preview_page()

    @routes.get("/embed/check")
    def check(request: Request, site: _Key = "", origin: _OriginText = "", format: _Tag = "") -> Response:
        """Whether pages of `origin` may embed the widget; a browser gets a page, a program JSON."""
        problems = problems_of(sites, site, origin, request.url.scheme)
        if format != "json" and "text/html" in request.headers.get("accept", ""):
            return check_page(site, origin, problems)
        found = {"site": site, "origin": origin, "allowed": not problems}
        return JSONResponse(found | {"problems": [problem._asdict() for problem in problems]})


def _allowed(site: Site | None, request: Request) -> Site:
    if site is None or not site.enabled:
        raise Refusal(403, "no site with this key may ask; fix: see /embed/check")
    note(site=site.key)
    # The widget asks from a page of ours, wherever that is framed.
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Refusal(403, "the widget's questions come from its own page; other programs have /api/v1/ask")
    return site


def _count(rate: Rate, site: Site) -> None:
    if wait_s := rate.take(site.key):
        detail = f"too many requests from this site; expected: {site.per_minute} a minute"
        raise Refusal(429, detail, retry_after_s=wait_s)
