"""The routes of the widget: the loader, the page in the iframe, its questions and its feedback, and /embed."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from index.search import MAX_QUESTION_CHARS
from index.store.base import Filter
from rag.phrases import Part, accepted, best_language, direction
from ui.server.addresses import Addresses
from ui.server.bodies import NO_HISTORY, History, Question, checked, turns_of
from ui.server.feedback import Feedback, FeedbackFile, FeedbackFull, Opinion
from ui.server.gate import told
from ui.server.limits import Rate
from ui.server.logs import note
from ui.server.service import Service
from ui.server.settings import Site
from ui.server.sse import EventStream
from ui.server.widget import pages
from ui.server.widget.sites import check
from ui.server.widget.stream import frames

_log = logging.getLogger(__name__)
_LOADER_AGE_S = 300  # a page of another site has a new loader after five minutes
_FILE_AGE_S = 365 * 86_400  # of files whose address changes with them
_FILES = ("frame.js", "frame.css", "refusal.css", "embed.js", "embed.css", "preview.js", "preview.css")
_Key = Annotated[str, Query(max_length=200)]
_Tag = Annotated[str, Query(max_length=100)]
_OriginText = Annotated[str, Query(max_length=500)]
_SiteKey = Annotated[str, Body(max_length=200)]


class SpanBody(BaseModel):
    """A span that the answer cites."""

    model_config = ConfigDict(extra="forbid")

    doc_id: Annotated[str, Field(max_length=500)]
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]


class FeedbackBody(BaseModel):
    """What a visitor says of an answer, and of which."""

    model_config = ConfigDict(extra="forbid")

    site: Annotated[str, Field(max_length=200)]
    kind: Opinion
    question: Annotated[str, Field(max_length=MAX_QUESTION_CHARS)]
    answer: Annotated[str, Field(max_length=20_000)] = ""
    citations: Annotated[list[SpanBody], Field(max_length=50)] = []

    def as_feedback(self) -> Feedback:
        """The same, as it is kept."""
        spans = tuple(span.model_dump() for span in self.citations)
        return Feedback(opinion=self.kind, question=self.question, answer=self.answer, spans=spans)


def router(service: Service) -> APIRouter:
    """The routes of the widget."""
    routes = APIRouter(include_in_schema=False)
    _add_frame(routes, service)
    _add_questions(routes, service)
    _add_embed(routes, service)
    _add_files(routes)
    return routes


def _add_files(routes: APIRouter) -> None:
    @routes.get("/widget.js")
    @routes.get("/widget.v1.js")
    def loader(request: Request) -> Response:
        """The script that other people's pages load; they may check it by its hash, so it may be read by any."""
        headers = {"Access_Control_Allow_Origin": "*", "Cross_Origin_Resource_Policy": "cross-origin"}
        return pages.file_response(request, "widget.js", _LOADER_AGE_S, **headers)

    @routes.get("/widget/{name}")
    @routes.get("/embed/{name}")
    def file(request: Request, name: str) -> Response:
        if name not in _FILES:
            raise HTTPException(404)
        return pages.file_response(request, name, _FILE_AGE_S)


def _add_frame(routes: APIRouter, service: Service) -> None:
    sites = service.settings.sites

    @routes.get("/widget/frame")
    def frame(
        request: Request, site: _Key = "", lang: _Tag = "", page: _Tag = "", theme: _Tag = "", origin: _OriginText = ""
    ) -> HTMLResponse:
        """The page in the iframe; `lang` is what the host chose, `page` the language of its page."""
        found = sites.get(site)
        of_browser = accepted(request.headers.get("accept-language", ""))
        language = best_language([lang, found.language if found else "", page, *of_browser], Part.WIDGET)
        if found is None or not found.enabled:
            return pages.refusal_page(language, 403 if found else 404, site)
        return pages.frame_page(found, language, theme, pages.spoken_with(found, origin, _own_origin(request)))

    @routes.get("/widget/words")
    def other_words(lang: _Tag) -> dict[str, Any]:
        """The page's words in another language."""
        language = best_language([lang], Part.WIDGET)
        return {"lang": language, "dir": direction(language), "words": pages.words(language)}


def _add_questions(routes: APIRouter, service: Service) -> None:
    sites = service.settings.sites
    # The gate counts by address; these count all visitors of a site together.
    questions = {key: Rate(site.per_minute) for key, site in sites.items()}
    opinions = {key: Rate(site.per_minute) for key, site in sites.items()}

    @routes.post("/widget/ask")
    async def ask(request: Request, site: _SiteKey, question: Question, history: History = NO_HISTORY) -> Response:
        """The events of an answer, from the site's passages alone."""
        found = _may_ask(sites.get(site), request)
        turns, asked = turns_of(history), checked(question)
        wait_s = questions[site].take(site)
        if wait_s:
            return told(429, f"too many questions on this site; expected: {found.per_minute} a minute", wait_s)
        where = Filter(languages=found.languages, tags=found.tags)
        return EventStream(service.chain.astream(asked, turns, where), frames())

    @routes.post("/widget/feedback")
    async def feedback(request: Request, said: FeedbackBody) -> Response:
        """Keeps what a visitor says of an answer."""
        found = _may_ask(sites.get(said.site), request)
        wait_s = opinions[said.site].take(said.site)
        if wait_s:
            return told(429, f"too many opinions on this site; expected: {found.per_minute} a minute", wait_s)
        try:
            await asyncio.to_thread(FeedbackFile(service.chain.backend.folder).add, said.as_feedback())
        except FeedbackFull:
            return told(507, "there is no room for more feedback")
        _log.info("feedback of the widget: %s", said.kind)
        return Response(status_code=204)


def _add_embed(routes: APIRouter, service: Service) -> None:
    sites, addresses = service.settings.sites, Addresses(service.settings.trusted_proxies)

    @routes.get("/embed")
    def embed(request: Request) -> HTMLResponse:
        """Builds the snippet; who sits at the server itself may choose among its sites, others must know a key."""
        return pages.embed_page(list(sites.values()) if addresses.is_this_machine(request.scope) else [])

    @routes.get("/embed/preview")
    def preview() -> HTMLResponse:
        return pages.preview_page()

    @routes.get("/embed/check")
    def embed_check(request: Request, site: _Key = "", origin: _OriginText = "", format: _Tag = "") -> Response:
        """Whether pages of `origin` may embed the widget; a browser gets a page, all others JSON."""
        found = check(sites, site, origin, request.url.scheme)
        if format != "json" and "text/html" in request.headers.get("accept", ""):
            return pages.check_page(found)
        return JSONResponse(pages.check_json(found), headers={"Cache-Control": "no-store"})


def _may_ask(site: Site | None, request: Request) -> Site:
    if site is None or not site.enabled:
        raise HTTPException(403, "no site by this key may ask; to mend: see /embed/check")
    note(site=site.key)
    # The widget asks from a page of ours, wherever that is framed.
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, "the widget's questions come from its own page; other programs have /api/v1/ask")
    return site


def _own_origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"
