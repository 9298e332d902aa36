"""What the tools give: as data, and as text for a model that reads only that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from index.errors import IndexProblem
from index.search import ScoredPassage, SearchResult
from rag.answer import Answer, Citation
from rag.chain import Chain
from rag.prompts import new_fence
from ui.render import inert, is_web_address, shown_source
from ui.server.mcp.shapes import (
    NOTICE,
    AnswerOutput,
    CitedSpan,
    FoundPassage,
    PassageOutput,
    SearchOutput,
    SentenceOutput,
    Span,
)
from ui.server.sources import without_folders

CONTEXT_CHARS = 500  # that are shown before and after what is read


def search_output(found: SearchResult) -> SearchOutput:
    """What a search found, as data."""
    results = [
        FoundPassage(**_span(item), text=item.passage.text, score=round(item.score, 6)) for item in found.passages
    ]
    return SearchOutput(language=found.language, results=results, warnings=_told(found.warnings))


def answer_output(answer: Answer) -> AnswerOutput:
    """An answer, as data."""
    return AnswerOutput(
        answer=answer.text,
        abstained=answer.abstained,
        reason=str(answer.reason),
        language=answer.language,
        answer_language=answer.answer_language,
        sentences=[
            SentenceOutput(text=one.text, verdict=str(one.verdict), citations=list(one.citations))
            for one in answer.sentences
        ],
        citations=[CitedSpan(**_span(one), n=one.n, quote=one.quote) for one in answer.citations],
        warnings=_told(answer.warnings),
    )


def passage_output(chain: Chain, doc_id: str, start: int, end: int) -> PassageOutput:
    """A part of an article, as data.

    Raises:
        IndexProblem: There is no such article, or it ends before `start`.
    """
    text = chain.backend.text(doc_id)
    if text is None:
        raise IndexProblem(
            f"there is no article {doc_id!r}", "an id that search_articles or ask_articles gave", "search again"
        )
    if start >= len(text):
        raise IndexProblem(f"the article has {len(text)} characters", f"a start before that, not {start}")
    end = min(end, len(text))
    return PassageOutput(
        doc_id=doc_id,
        start=start,
        end=end,
        n_chars=len(text),
        before=text[max(0, start - CONTEXT_CHARS) : start],
        text=text[start:end],
        after=text[end : end + CONTEXT_CHARS],
    )


def search_text(found: SearchResult) -> str:
    """The passages for a model that reads only text."""
    if not found.passages:
        return "\n".join(["No passages were found.", *_warned(found.warnings)])
    blocks = [f"{i}. {_place(_span(item))}\n{inert(item.passage.text)}" for i, item in enumerate(found.passages, 1)]
    head = f"{len(blocks)} passages, best first."
    return "\n".join([head, _quoted("\n\n".join(blocks)), *_warned(found.warnings)])


def answer_text(answer: Answer) -> str:
    """The answer and its citations for a model that reads only text."""
    if answer.abstained:
        return "\n".join([inert(answer.text), *_warned(answer.warnings)])
    cited = [f"[{one.n}] {_place(_span(one))}\n“{inert(one.quote)}”" for one in answer.citations]
    head = "The answer, then what its markers cite."
    return "\n".join([head, _quoted("\n\n".join([inert(answer.text), *cited])), *_warned(answer.warnings)])


def passage_text(output: PassageOutput) -> str:
    """A part of an article for a model that reads only text."""
    head = f"Characters {output.start}-{output.end} of {output.n_chars}, between what stands before and after them."
    return "\n".join([head, _quoted(inert(f"{output.before}⟦{output.text}⟧{output.after}"))])


def _span(item: ScoredPassage | Citation) -> dict[str, Any]:
    place = item.passage if isinstance(item, ScoredPassage) else item
    return {name: getattr(place, name) for name in Span.model_fields} | {"source": shown_source(place.source)}


def _place(span: dict[str, Any]) -> str:
    title = inert(" ".join(str(span["title"] or span["source"]).split()))
    url = span["url"] if is_web_address(span["url"]) else ""
    about = ", ".join(filter(None, (inert(span["language"]), inert(span["date"]), url)))
    return f"{title} ({about}); doc_id {span['doc_id']}, characters {span['start']}-{span['end']}"


def _quoted(text: str) -> str:
    """`text` between two lines that no article can have on purpose."""
    fence = new_fence()
    return "\n".join([f"{NOTICE} It stands between the two lines {fence}", fence, text.replace(fence, " "), fence])


def _told(warnings: Sequence[str]) -> list[str]:
    return [without_folders(warning) for warning in warnings]


def _warned(warnings: Sequence[str]) -> list[str]:
    return [f"Warning: {warning}" for warning in _told(warnings)]
