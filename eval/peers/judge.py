"""What the passages that a system returned are worth: by the spans of the documents that they overlap."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.gold import Corpus, GoldItem, find_evidence
from eval.measures.citation import SpanIn, overlaps
from eval.measures.ranking import ranking
from eval.runs.rows import Outcome, Row
from index.store.reading import Backend


class Judge:
    """The documents of an index, and the places of the evidence of questions in them."""

    def __init__(self, backend: Backend, items: Sequence[GoldItem]) -> None:
        corpus = Corpus(backend)
        self._documents = {one.doc_id: one for one in backend.documents()}
        self._texts = {name: corpus.text(one) for name, one in self._documents.items()}
        self._items = [item for item in items if item.answerable and item.evidence]
        self._places = {
            item.id: [
                [(document.doc_id, start, end) for document, start, end in corpus.places(one)] for one in item.evidence
            ]
            for item in self._items
        }

    def write(self, folder: Path) -> None:
        """Write `corpus.jsonl` and `questions.jsonl`, what the systems are given."""
        documents = [
            {"id": name, "title": one.title, "lang": one.language, "text": self._texts[name]}
            for name, one in self._documents.items()
        ]
        questions = [{"id": item.id, "question": item.question} for item in self._items]
        for name, rows in (("corpus", documents), ("questions", questions)):
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            (folder / f"{name}.jsonl").write_text(lines, "utf-8")

    def rows(self, ranked: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Row]:
        """A row of each question, as a run of `dragoman eval` has it."""
        return [self._row(item, ranked.get(item.id, ())) for item in self._items]

    def _row(self, item: GoldItem, hits: Sequence[Mapping[str, Any]]) -> Row:
        places = self._places[item.id]
        found = [
            frozenset(i for i, own in enumerate(places) if any(overlaps(a, b) for a in spans for b in own))
            for spans in map(self.spans, hits)
        ]
        values = ranking(found, [evidence.grade for evidence in item.evidence])
        first = next((self._documents[span[0]].language for own in places for span in own), "")
        outcome = Outcome.RETRIEVED if any(found) else Outcome.NOT_RETRIEVED
        return Row(item=item, outcome=outcome, document_language=first, values=values)

    def spans(self, hit: Mapping[str, Any]) -> list[SpanIn]:
        """Where the text of a passage stands in its document."""
        return [(hit["doc"], *span) for span in find_evidence(self._texts.get(hit["doc"], ""), hit["text"])]
