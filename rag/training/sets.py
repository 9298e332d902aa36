"""Published sets and our own as examples; each reader takes a folder and yields what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from index.training.squad import parsed, read_records, read_squad

UNKNOWN = -1
_LABELS = {  # as in rag.training.model.Scores
    **dict.fromkeys(("supported", "e", "entailment", "SUPPORTS"), 0),
    **dict.fromkeys(("contradicted", "c", "contradiction", "REFUTES"), 1),
    **dict.fromkeys(("not-mentioned", "n", "neutral"), 2),
}
_MAX_PASSAGE_CHARS = 900  # a longer one is cut to a window around the answer


@dataclass(frozen=True, slots=True)
class Example:
    """A question or claim with a passage, and what is known of the two.

    `passage[start:end]` is the answer; both are -1 where the passage holds none. `answerable` is 1, 0 or -1 for
    unknown; `label` is 0 (supported), 1 (contradicted), 2 (not mentioned), or -1 where `text` is no claim.
    """

    text: str
    passage: str
    title: str = ""
    start: int = -1
    end: int = -1
    answerable: int = UNKNOWN
    label: int = UNKNOWN
    natural: bool = False  # written for this project


def natural(folder: Path) -> Iterator[Example]:
    """One set of our own natural questions and claims."""
    passages = {row["id"]: row for row in parsed((folder / "passages.jsonl").read_bytes())}
    for row in parsed((folder / "items.jsonl").read_bytes()):
        own, answer = passages[row["passage"]], row["answer"] or ""
        start = own["text"].find(answer) if answer else -1
        if start >= 0 or not answer:
            end = start + len(answer) if answer else -1
            yield Example(row["question"], own["text"], own["title"], start, end, int(bool(answer)), natural=True)
    for row in parsed((folder / "claims.jsonl").read_bytes()):
        own = passages[row["passage"]]
        yield Example(row["claim"], own["text"], own["title"], label=_LABELS[row["label"]], natural=True)


def squad(folder: Path) -> Iterator[Example]:
    """A set in the form of SQuAD."""
    for one in read_squad(folder):
        if one.start < 0:
            yield Example(one.question, one.context[:_MAX_PASSAGE_CHARS], one.title, answerable=0)
        else:
            passage, start = _window(one.context, one.start, len(one.answer))
            yield Example(one.question, passage, one.title, start, start + len(one.answer), 1)


def inference(folder: Path) -> Iterator[Example]:
    """Pairs of premise and hypothesis: the hypothesis is a claim about the premise."""
    for row in read_records(folder):
        evidence = row.get("evidence") or " ".join(one["text"] for one in row.get("gold_evidence", ()))
        premise = row.get("premise") or evidence
        claim = row.get("hypothesis") or row.get("claim") or row.get("text")
        label = _LABELS.get(row.get("gold_label") or row.get("label"))
        if premise and claim and label is not None:
            yield Example(str(claim), str(premise)[:_MAX_PASSAGE_CHARS], label=label)


Read = Callable[[Path], Iterator[Example]]

# folder under the data, its reader, and how many of its examples are taken at most
SETS: tuple[tuple[str, Read, int], ...] = (
    *((f"natural-train/{name}", natural, 10_000) for name in "abcdefghijklmnopq"),
    ("qa/jaquad-train-ja", squad, 2_500),
    ("qa/squadshifts-en", squad, 2_500),
    ("qa/cmrc-train-pseudo-zh", squad, 3_000),
    ("qa/iapp-wiki-th", squad, 2_000),
    ("qa/thquad-tr", squad, 1_200),
    ("qa/piaf-fr", squad, 2_000),
    ("qa/poquad-pl", squad, 2_000),
    ("qa/kazqad-kk", squad, 500),
    ("qa/amqa-am", squad, 500),
    ("qa/norquad-nb", squad, 600),
    ("qa/faquad-pt", squad, 600),
    ("qa/squad-en-sample", squad, 1_500),
    ("qp/pquad-fa", squad, 2_000),
    ("qp/heb-qa", squad, 2_000),
    ("qp/arcd-ar", squad, 1_200),
    ("qa/klue-nli-ko", inference, 2_000),
    ("qa/indonli-id", inference, 2_000),
    ("qa/fm2-en", inference, 1_500),
    ("qa/fever-symmetric-en", inference, 1_500),
)


def overlaps(data: Path) -> dict[str, tuple[str, ...]]:
    """Beginnings of texts that also stand in a set for measuring, by set: what begins so is left out."""
    found: dict[str, tuple[str, ...]] = {}
    for line in (data / "qa" / "OVERLAP.tsv").read_text("utf-8").splitlines():
        name, _, beginning = line.split("\t")[:3]
        found[name] = (*found.get(name, ()), beginning.strip())
    return found


def _window(context: str, start: int, length: int) -> tuple[str, int]:
    """A part of `context` around an answer, begun at a space or full stop, and where the answer is in it."""
    if len(context) <= _MAX_PASSAGE_CHARS:
        return context, start
    first = max(0, min(start - _MAX_PASSAGE_CHARS // 3, len(context) - _MAX_PASSAGE_CHARS))
    while 0 < first < start and context[first - 1] not in " \n。．.":
        first += 1
    return context[first : max(first + _MAX_PASSAGE_CHARS, start + length)], start - first
