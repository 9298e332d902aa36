"""The HTTP API: /api/v1."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, File, Path, Query, Request, Response, UploadFile
from fastapi.security import HTTPBearer

from ui.render import answer_json, search_json
from ui.server.bodies import NO_FILTER, NO_HISTORY, History, Interface, Question, Where, turns_of
from ui.server.documents import Documents, Upload
from ui.server.errors import Refusal
from ui.server.feedback import Feedback, FeedbackFile, gold_drafts
from ui.server.gate import Service
from ui.server.sse import EventStream, answer_of, event_json, framed, public

_MAX_FILES = 20  # of one request
_Streamed = Annotated[bool, Body(description="Events as they come; so does `Accept: text/event-stream`.")]
_Offset = Annotated[int, Query(ge=0, le=2**31)]
_DocId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", examples=["5c9d3f0a8b7e6142"])]


def router(service: Service) -> APIRouter:
    """The routes of the API. The gate checks the keys; here they are only described."""
    bearer = HTTPBearer(auto_error=False, description="A key of `dragoman key add`, where the server asks for one.")
    routes = APIRouter(prefix="/api/v1", dependencies=[Depends(bearer)])
    _add_questions(routes, service)
    if service.chain is not None:
        _add_documents(routes, service)
        _add_feedback(routes, FeedbackFile(service.chain.backend.folder))
    return routes


def _add_questions(routes: APIRouter, service: Service) -> None:
    chain = service.chain

    @routes.post("/ask", tags=["questions"], response_model=None)
    async def ask(
        request: Request,
        interface: Interface,
        question: Question,
        where: Where = NO_FILTER,
        history: History = NO_HISTORY,
        stream: _Streamed = False,
    ) -> Response | dict[str, Any]:
        """One cited answer, in the shape of `dragoman ask --json`; `history` is oldest first.

        As a stream: `question`, `passages`, then `delta`, `sentence` and `warnings` as they come, `citations` and
        `done` with the whole answer; or it ends early with `error`.
        """
        events = chain.astream(question, turns_of(history), where.as_filter(), interface)
        if stream or "text/event-stream" in request.headers.get("accept", ""):
            return EventStream(events, lambda event: framed(event.name, event_json(event)))
        return dict(public(answer_json(await answer_of(events))))

    @routes.post("/search", tags=["questions"], response_model=None)
    def search(
        question: Question,
        k: Annotated[int, Body(ge=1, le=100)] = 10,
        where: Where = NO_FILTER,
        explain: Annotated[bool, Body()] = False,
    ) -> dict[str, Any]:
        """Passages, in the shape of `dragoman search --json`."""
        found = chain.retrieve(question, k, where.as_filter())
        return dict(public(search_json(found, explain=explain)))


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
        uploads = [Upload(file.filename or "", file.file, file.size or 0) for file in files]
        if any(upload.size > settings.max_upload_bytes for upload in uploads):
            raise Refusal(413, f"a file is over {settings.max_upload_bytes:,} bytes")
        added = await asyncio.to_thread(list, documents.adding(uploads))
        return {"files": [asdict(one) for one in added]}

    @routes.delete("/documents/{doc_id}", tags=["documents"], status_code=204, dependencies=changing)
    def remove_document(doc_id: _DocId) -> None:
        """Remove a document for good; scope `ingest`."""
        if not documents.remove(doc_id):
            raise Refusal(404, "there is no such document")


def _add_feedback(routes: APIRouter, file: FeedbackFile) -> None:
    @routes.post("/feedback", tags=["feedback"], status_code=204)
    def say(feedback: Feedback) -> None:
        """Store what you think of an answer."""
        file.add(feedback)

    @routes.get("/feedback", tags=["feedback"])
    def said(offset: _Offset = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, list[Feedback]]:
        """The feedback, oldest first; scope `admin`."""
        return {"feedback": list(islice(file.all(), offset, offset + limit))}

    @routes.get("/feedback/gold", tags=["feedback"], response_class=Response)
    def gold() -> Response:
        """Gold drafts made from the feedback, as lines of JSON that `dragoman eval` reads; scope `admin`."""
        lines = [json.dumps(item, ensure_ascii=False) + "\n" for item in gold_drafts(file.all())]
        return Response("".join(lines).encode("utf-8", "replace"), media_type="application/x-ndjson")
