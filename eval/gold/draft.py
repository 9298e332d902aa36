"""Gold questions that a model writes from an index, each checked against its document, for a person to edit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from importlib.resources import files
from itertools import count, islice
from typing import Any, Protocol

from eval.gold.anchor import unique_span
from eval.gold.corpus import Documents
from eval.gold.items import Evidence, GoldItem, find_evidence
from eval.measures.answers import contains
from index.store.base import StoredDocument
from index.text.language import detect_language, same_language
from rag.prompts import language_name, new_fence

TAG = "draft"
_PASSAGE_CHARS = 1_200
_MAX_CALLS_A_DRAFT = 3


class Model(Protocol):
    """Instructions and a passage in, text out."""

    def complete(self, system: str, text: str) -> str: ...


def draft(model: Model, index: Documents, n: int) -> Iterator[GoldItem]:
    """Up to `n` questions about the documents, which take turns, each in the language of its document.

    A draft is kept where its quote stands in the passage, its answer in the quote but not in the question, and the
    question is in the language asked for. At most three passages a draft are tried. Errors of the model pass through.
    """
    tried = islice(_passages(index), n * _MAX_CALLS_A_DRAFT)
    drafts = (_drafted(model, document, text, passage) for document, text, passage in tried)
    return islice((item for item in drafts if item is not None), n)


def _passages(index: Documents) -> Iterator[tuple[StoredDocument, str, str]]:
    """(document, its text, a passage of it): the first passage of every document, then the second ..."""
    documents = list(index.documents())
    for number in count():
        longer = []
        for document in documents:
            text = index.text(document.doc_id) or ""
            if passage := text[number * _PASSAGE_CHARS :][:_PASSAGE_CHARS].strip():
                longer.append(document)
                yield document, text, passage
        documents = longer
        if not documents:
            return


def _drafted(model: Model, document: StoredDocument, text: str, passage: str) -> GoldItem | None:
    fence, language = new_fence(), document.language  # the fence is random: a passage cannot hold it on purpose
    template = files("eval.gold").joinpath("draft.txt").read_text("utf-8")
    system = template.format(fence=fence, language_name=language_name(language))
    values = _object(model.complete(system, f"{fence}\n{document.title}\n\n{passage}\n{fence}"))
    question, answer, quote = (" ".join(str(values.get(name, "")).split()) for name in ("question", "answer", "quote"))
    spans = find_evidence(passage, quote)
    if not spans or not contains(quote, [answer], language) or contains(question, [answer], language):
        return None
    if not same_language(detect_language(question), language):
        return None
    span = unique_span(text, *find_evidence(text, quote)[0])
    name = "draft-" + hashlib.sha256(f"{document.source}\n{question}".encode("utf-8", "replace")).hexdigest()[:12]
    evidence = (Evidence(document.source, text[span.start : span.end]),)
    return GoldItem(name, question, language, True, (answer,), evidence, (TAG,))


def _object(reply: str) -> dict[str, Any]:
    """The JSON object of a reply, whatever stands around it; empty where there is none."""
    try:
        values = json.loads(reply[reply.find("{") : reply.rfind("}") + 1])
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}
