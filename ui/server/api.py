"""The HTTP API: /api/v1."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Path, Query, Request, Response, UploadFile
from fastapi.security import HTTPBearer

from rag.answer import answer_json
from ui.render import search_json
from ui.server.article import document_json, find_document
from ui.server.bodies import AskBody, Interface, SearchBody
from ui.server.documents import Documents
from ui.server.errors import Refusal
from ui.server.feedback import Feedback, FeedbackFile
from ui.server.gate import Service
from ui.server.sse import EventStream, answer_of, event_json, framed, public

_MAX_FILES = 20  # of one request
_Offset = Annotated[int, Query(ge=0, le=2**31)]
_DocId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["5c9d3f0a8b7e6142"])]


def router(service: Service) -> APIRouter:
    """The routes of the API. The gate checks the keys; here they are only described."""
    bearer = HTTPBearer(auto_error=False, description="A key of `dragoman key add`, where the server asks for one.")
    routes = APIRouter(prefix="/api/v1", dependencies=[Depends(bearer)])
    _add_questions(routes, service)
    _add_documents(routes, service)

    @routes.post("/feedback", tags=["feedback"], status_code=204)
    def send_feedback(feedback: Feedback) -> None:
        """Store what you think of an answer, in a file of the index folder."""
        FeedbackFile(service.chain.backend.folder).add(feedback)

    return routes


def _add_questions(routes: APIRouter, service: Service) -> None:
    chain = service.chain

    @routes.post("/ask", tags=["questions"], response_model=None)
    async def ask(request: Request, interface: Interface, body: AskBody) -> Response | dict[str, Any]:
        """One cited answer, in the shape of `dragoman ask --json`; `history` is oldest first.

        As a stream: `question`, `passages`, then `delta`, `sentence` and `warnings` as they come, `citations` and
        `done` with the whole answer; or it ends early with `error`.
        """
        events = chain.astream(body.question, body.turns(), body.filter.as_filter(), interface)
        if body.stream or "text/event-stream" in request.headers.get("accept", ""):
            return EventStream(events, lambda event: framed(event.name, event_json(event)))
        return dict(public(answer_json(await answer_of(events))))

    @routes.post("/search", tags=["questions"], response_model=None)
    def search(body: SearchBody) -> dict[str, Any]:
        """Passages, in the shape of `dragoman search --json`."""
        found = chain.retrieve(body.question, body.k, body.filter.as_filter())
        return dict(public(search_json(found, explain=body.explain)))


def _add_documents(routes: APIRouter, service: Service) -> None:
    settings = service.settings
    documents = Documents(service.chain.backend, service.chain.encoder, settings.max_upload_bytes)

    def check_changes_allowed() -> None:
        if not settings.allow_upload:
            raise Refusal(403, "documents cannot be changed over HTTP; fix: allow_upload = true in dragoman.toml")

    changing = [Depends(check_changes_allowed)]

    @routes.get("/documents", tags=["documents"], response_model=None)
    def list_documents(offset: _Offset = 0, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> dict[str, Any]:
        """The documents, in the order of ingest."""
        return documents.page(offset, limit)

    @routes.post(
        "/documents",
        tags=["documents"],
        dependencies=changing,
        max_body_size=settings.max_upload_bytes + settings.max_body_bytes,
        form_limits={"max_files": _MAX_FILES, "max_fields": 0},
    )
    async def add_documents(
        files: Annotated[list[UploadFile], File(min_length=1, max_length=_MAX_FILES)],
    ) -> dict[str, list[dict[str, Any]]]:
        """Add files, or bring them up to date; scope `ingest`. A sandbox reads each, and its content decides."""
        sent = [(file.filename or "", file.file) for file in files]
        return {"files": [asdict(one) for one in await asyncio.to_thread(list, documents.adding(sent))]}

    @routes.get("/documents/{doc_id}", tags=["documents"], response_model=None)
    def get_document(doc_id: _DocId) -> dict[str, Any]:
        """A document with its text, in which `start` and `end` of a citation count code points."""
        return document_json(doc_id, find_document(service.chain.backend, doc_id))

    @routes.delete("/documents/{doc_id}", tags=["documents"], status_code=204, dependencies=changing)
    def remove_document(doc_id: _DocId) -> None:
        """Remove a document for good; scope `ingest`."""
        if not documents.remove(doc_id):
            raise Refusal(404, "there is no such document")
