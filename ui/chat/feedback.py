"""What a reader of the page says of an answer, as the server's feedback."""

from __future__ import annotations

from collections.abc import Callable

from rag.answer import Answer
from ui.server.feedback import Feedback, Opinion

Store = Callable[[Feedback], None]
_MAX_CHARS = 20_000  # of a question or an answer
_OF_A_CITATION = ("n", "doc_id", "source", "start", "end", "quote")


def feedback_on(opinion: Opinion, question: str, said: str, answer: Answer | None) -> Feedback:
    """An opinion with all that is known of its answer: what was shown where the server has forgotten it."""
    if answer is None:
        return Feedback(opinion=opinion, question=question[:_MAX_CHARS], answer=said[:_MAX_CHARS])
    return Feedback(
        opinion=opinion,
        question=answer.question[:_MAX_CHARS],
        answer=answer.text[:_MAX_CHARS],
        language=answer.language,
        spans=tuple({name: getattr(citation, name) for name in _OF_A_CITATION} for citation in answer.citations),
    )
