"""What the passages that a system returned are worth: the project's own measures, by spans of the documents."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.gold import GoldItem, find_evidence
from eval.measures.citation import SpanIn, overlaps
from eval.measures.ndcg import ndcg
from eval.measures.percentiles import percentiles
from eval.measures.recall import recall
from eval.measures.reciprocal_rank import reciprocal_rank
from eval.peers.running import Ran
from eval.peers.sets import Trial
from index.documents import Span

MEASURES = ("recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10")
GROUPS = ("own", "cross", "all")  # the question's language is the document's; another; either

Hit = Mapping[str, Any]


class Judge:
    """Knows where the evidence of a trial stands, and where passages do."""

    def __init__(self, trial: Trial) -> None:
        self._documents = {document["id"]: document for document in trial.documents}
        self._items = trial.items
        self._evidence = {item.id: self._places(item) for item in trial.items}
        self._placed: dict[tuple[str, str], list[Span]] = {}

    @property
    def lost(self) -> list[str]:
        """Ids of the questions some of whose evidence is not in the documents; they are not measured."""
        return [name for name, evidence in self._evidence.items() if not all(evidence)]

    def quality(self, ranked: Mapping[str, Sequence[Hit]]) -> tuple[dict[str, dict[str, float]], int]:
        """Means of the measures by group, with `n`, and how many passages stand in no document.

        A passage counts as having found the evidence that it overlaps.
        """
        rows: dict[str, list[dict[str, float]]] = defaultdict(list)
        n_unplaced = 0
        for item in self._items:
            evidence = self._evidence[item.id]
            if not evidence or not all(evidence):
                continue
            hits = [self.spans(hit) for hit in ranked.get(item.id, ())]
            n_unplaced += sum(not spans for spans in hits)
            values = _values([_found(spans, evidence) for spans in hits], [wanted.grade for wanted in item.evidence])
            for group in self._groups(item, evidence[0][0][0]):
                rows[group].append(values)
        means = {
            group: {"n": len(own), **{name: round(statistics.fmean(row[name] for row in own), 4) for name in MEASURES}}
            for group, own in rows.items()
        }
        return means, n_unplaced

    def spans(self, hit: Hit) -> list[SpanIn]:
        """Where a passage stands: at the offsets it came with if they hold its text, else wherever the text does."""
        document = self._documents.get(str(hit["doc"]))
        if document is None:
            return []
        name, text, wanted = document["id"], document["text"], str(hit["text"])
        start, end = hit.get("start"), hit.get("end")
        if isinstance(start, int) and isinstance(end, int) and wanted and text[start:end] == wanted:
            return [(name, start, end)]
        if (name, wanted) not in self._placed:
            self._placed[name, wanted] = list(_exactly(text, wanted)) or find_evidence(text, wanted)
        return [(name, *span) for span in self._placed[name, wanted]]

    def _places(self, item: GoldItem) -> list[list[SpanIn]]:
        found = []
        for wanted in item.evidence:
            places: list[SpanIn] = []
            for name in filter(lambda name: _names(wanted.doc, name), self._documents):
                text = self._documents[name]["text"]
                spans = find_evidence(text, wanted.text) if wanted.text else [Span(0, len(text))]
                places += [(name, *span) for span in spans]
            found.append(places)
        return found

    def _groups(self, item: GoldItem, document: str) -> tuple[str, ...]:
        asked, held = item.lang.split("-")[0], self._documents[document]["lang"].split("-")[0]
        return ("all",) if not asked or not held else ("all", "own" if asked == held else "cross")


@dataclass(frozen=True, slots=True)
class Speed:
    """What a system took; `characters_per_s` is of the documents, whatever they were cut into."""

    n_passages: int
    passages_per_s: float
    characters_per_s: float
    ingest_cpu_s: float
    p50_ms: float
    p95_ms: float
    memory_mib: float
    disk_mib: float  # 0: nothing is kept, it is made anew each time
    cold_start_s: float


def speed(ran: Ran, trial: Trial) -> Speed:
    """The speed of a system in a trial."""
    ms = percentiles(ran.ms)
    return Speed(
        n_passages=ran.n_passages,
        passages_per_s=round(ran.n_passages / ran.ingest_s, 1),
        characters_per_s=round(trial.n_chars / ran.ingest_s),
        ingest_cpu_s=round(ran.ingest_cpu_s, 2),
        p50_ms=round(ms["p50"], 2),
        p95_ms=round(ms["p95"], 2),
        memory_mib=round(ran.memory_bytes / 2**20, 1),
        disk_mib=round(ran.disk_bytes / 2**20, 2),
        cold_start_s=round(ran.cold_start_s, 2),
    )


def _values(found: list[frozenset[int]], grades: list[int]) -> dict[str, float]:
    n = len(grades)
    return {
        **{f"recall@{k}": recall(found, n, k) for k in (1, 5, 10)},
        "mrr@10": reciprocal_rank(found, 10),
        "ndcg@10": ndcg(found, n, 10, grades),
    }


def _found(spans: Sequence[SpanIn], evidence: Sequence[Sequence[SpanIn]]) -> frozenset[int]:
    return frozenset(
        i for i, places in enumerate(evidence) if any(overlaps(span, place) for span in spans for place in places)
    )


def _exactly(text: str, wanted: str) -> Iterator[Span]:
    start = text.find(wanted) if wanted else -1
    while start >= 0:
        yield Span(start, start + len(wanted))
        start = text.find(wanted, start + 1)


def _names(wanted: str, document: str) -> bool:
    """Whether a gold question's `doc`, the end of a source, names the document of this id."""
    return wanted == document or document.endswith("/" + wanted) or wanted.endswith("#" + document)
