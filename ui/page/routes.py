"""What the page's scripts ask the server for: answers, facts about the articles; and what readers think."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request, Response

from rag.chain import Chain
from ui.page.corpus import Corpus, starters
from ui.page.shell import language_of
from ui.server.bodies import ConversationBody, FilterBody
from ui.server.feedback import Feedback, FeedbackFile
from ui.server.shown import frames
from ui.server.sse import EventStream


class PageBody(ConversationBody):
    """A question on the page."""

    filter: FilterBody = FilterBody()


def add_routes(app: FastAPI, chain: Chain, corpus: Corpus) -> None:
    """Add them; the gate asks for the key, which browsers send as a password."""

    @app.post("/page/ask", include_in_schema=False)
    async def ask(request: Request, body: PageBody) -> Response:
        """The events of an answer."""
        language = language_of(request)
        events = chain.astream(body.question, body.turns(), body.filter.as_filter(), language)
        return EventStream(events, frames(for_owner=True))

    @app.post("/page/feedback", status_code=204, include_in_schema=False)
    def feedback(said: Feedback) -> None:
        """Store what a reader thinks of an answer."""
        FeedbackFile(chain.backend.folder).add(said)

    @app.get("/page/facts", include_in_schema=False)
    def facts(request: Request) -> dict[str, Any]:
        """How many articles there are, their languages, the newest date, and what one could begin with."""
        found = corpus.facts()
        first = starters(found, language_of(request))
        return {"n": found.n, "languages": found.languages, "newest": found.newest, "starters": first}
