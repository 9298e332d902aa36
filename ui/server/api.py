"""The JSON API: /api/v1."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from rag.as_json import answer_json
from ui.server.bodies import NO_FILTER, NO_HISTORY, History, Question, Where, checked, turns_of
from ui.server.service import Service
from ui.show import search_json


def router(service: Service) -> APIRouter:
    """The routes of the API."""
    routes = APIRouter(prefix="/api/v1")
    chain = service.chain

    @routes.post("/ask")
    def ask(question: Question, where: Where = NO_FILTER, history: History = NO_HISTORY) -> dict[str, Any]:
        """One cited answer, in the shape of `dragoman ask --json`; `history` is oldest first."""
        return answer_json(chain.invoke(checked(question), turns_of(history), where.as_filter()))

    @routes.post("/search")
    def search(
        question: Question,
        k: Annotated[int, Body(ge=1, le=100)] = 10,
        where: Where = NO_FILTER,
        explain: Annotated[bool, Body()] = False,
    ) -> dict[str, Any]:
        """Passages, in the shape of `dragoman search --json`."""
        return search_json(chain.retrieve(checked(question), k, where.as_filter()), explain=explain)

    return routes
