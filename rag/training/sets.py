"""Published sets and our own as examples; each reader takes a folder and yields what it holds."""

from __future__ import annotations

import csv
import io
import json
import lzma
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNKNOWN = -1
SUPPORTED, CONTRADICTED, NOT_MENTIONED = range(3)  # as in rag.training.model.LABELS
_LABELS = {
    **dict.fromkeys(("supported", "e", "entailment", "SUPPORTS"), SUPPORTED),
    **dict.fromkeys(("contradicted", "c", "contradiction", "REFUTES"), CONTRADICTED),
    **dict.fromkeys(("not-mentioned", "n", "neutral"), NOT_MENTIONED),
}
MAX_PASSAGE_CHARS = 900  # a longer one is cut to a window around the answer


@dataclass(frozen=True, slots=True)
class Example:
    """A question or claim with a passage, and what is known of the two.

    `passage[start:end]` is the answer; both are -1 where the passage holds none. `answerable` is 1, 0 or -1 for
    unknown; `label` is one of SUPPORTED, CONTRADICTED, NOT_MENTIONED, or -1 where `text` is no claim.
    """

    text: str
    passage: str
    title: str = ""
    start: int = -1
    end: int = -1
    answerable: int = UNKNOWN
    label: int = UNKNOWN
    origin: str = ""  # the set
    group: str = ""  # passages of one group are near each other: negatives come from them


def natural(folder: Path) -> Iterator[Example]:
    """One set of our own natural questions and claims."""
    passages = {row["id"]: row for row in _lines(folder / "passages.jsonl")}
    for row in _lines(folder / "items.jsonl"):
        own = passages[row["passage"]]
        answer = row["answer"]
        start = own["text"].find(answer) if answer else -1
        if answer and start < 0:
            continue
        end = start + len(answer) if answer else -1
        yield Example(
            row["question"],
            own["text"],
            own["title"],
            start,
            end,
            int(bool(answer)),
            origin="natural",
            group=folder.name,
        )
    for row in _lines(folder / "claims.jsonl"):
        own = passages[row["passage"]]
        yield Example(row["claim"], own["text"], own["title"], label=_LABELS[row["label"]], origin="natural-claims")


def squad(folder: Path) -> Iterator[Example]:
    """A set in the form of SQuAD, nested or one question a record; wrong offsets are left out."""
    for path in sorted(folder.iterdir()):
        if "_v1." in path.name and "thquad" in str(folder):  # its offsets are wrong
            continue
        for number, content in enumerate(_contents(path)):
            for title, context, record in _questions(content):
                yield from _squad_example(folder.name, f"{path.name}/{number}/{title}", title, context, record)


def _squad_example(origin: str, group: str, title: str, context: str, record: dict[str, Any]) -> Iterator[Example]:
    answers = record.get("answers") or []
    if isinstance(answers, dict):  # {"text": [...], "answer_start": [...]}
        starts = answers.get("answer_start") or answers.get("answer_begin_position") or []
        answers = [{"text": t, "answer_start": s} for t, s in zip(answers.get("text") or [], starts, strict=False)]
    question = str(record["question"])
    if not answers or record.get("is_impossible"):
        yield Example(question, context[:MAX_PASSAGE_CHARS], title, answerable=0, origin=origin, group=group)
        return
    text, start = str(answers[0].get("text", "")), int(answers[0].get("answer_start", -1))
    if text and context[start : start + len(text)] != text:
        start = context.find(text) if context.count(text) == 1 else -1
    if text and start >= 0:
        passage, start = _window(context, start, len(text))
        yield Example(question, passage, title, start, start + len(text), 1, origin=origin, group=group)


def _questions(content: Any, title: str = "") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(title, context, record) of every question in a parsed file, however it is nested."""
    if isinstance(content, list):
        for part in content:
            yield from _questions(part, title)
    elif isinstance(content, dict):
        title = str(content.get("title") or title)
        context = content.get("context")
        if isinstance(context, str) and "qas" in content:
            yield from ((title, context, qa) for qa in content["qas"] if "question" in qa)
        elif isinstance(context, str) and "question" in content:
            yield title, context, content
        else:
            for part in content.values():
                if isinstance(part, list | dict):
                    yield from _questions(part, title)


def afriqa(folder: Path) -> Iterator[Example]:
    """Questions in African languages over English and French passages, and the same in the passage's language."""
    for path in sorted(folder.glob("data__gold_passages__*.json.xz")):
        for record in _records(_text(path)):
            answer = record.get("answer_pivot") or {}
            starts, texts = answer.get("answer_start") or [-1], answer.get("text") or [""]
            context, start, text = str(record["context"]), int(starts[0]), str(texts[0])
            if start < 0 or not text or context[start : start + len(text)] != text:
                continue
            passage, start = _window(context, start, len(text))
            for question in (record.get("question_lang"), record.get("question_translated")):
                if question:
                    title = str(record.get("title") or "")
                    yield Example(
                        str(question), passage, title, start, start + len(text), 1, origin="afriqa", group=title
                    )


def inference(folder: Path) -> Iterator[Example]:
    """Pairs of premise and hypothesis: the hypothesis is a claim about the premise."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("NOTICE", "UPSTREAM")):
            continue
        rows = (
            csv.DictReader(io.StringIO(_text(path)), delimiter="\t") if ".csv" in path.name else _records(_text(path))
        )
        for row in rows:
            premise = _premise(row)
            claim = row.get("hypothesis") or row.get("claim") or row.get("text")
            label = _LABELS.get(str(row.get("gold_label") or row.get("label")))
            if premise and claim and label is not None:
                yield Example(str(claim), str(premise)[:MAX_PASSAGE_CHARS], label=label, origin=folder.name)


def _premise(row: Mapping[str, Any]) -> str:
    """What a claim is about, by the names of several sets."""
    evidence = row.get("gold_evidence") or ()
    return str(row.get("premise") or row.get("evidence") or " ".join(one["text"] for one in evidence))


Read = Callable[[Path], Iterator[Example]]

# folder under the data, its reader, and how many of its examples are taken at most
SETS: tuple[tuple[str, Read, int], ...] = (
    *((f"natural-train/{name}", natural, 10_000) for name in "abcdefghi"),
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
    ("qa/afriqa", afriqa, 4_000),
    ("qp/pquad-fa", squad, 2_000),
    ("qp/heb-qa", squad, 2_000),
    ("qp/arcd-ar", squad, 1_200),
    ("qa/farstail-fa", inference, 2_000),
    ("qa/klue-nli-ko", inference, 2_000),
    ("qa/indonli-id", inference, 2_000),
    ("qa/fm2-en", inference, 1_500),
    ("qa/fever-symmetric-en", inference, 1_500),
)


def overlaps(data: Path) -> dict[str, tuple[str, ...]]:
    """Beginnings of texts that also stand in a set for measuring, by set: what begins so is left out."""
    found: dict[str, list[str]] = {}
    for row in csv.reader((data / "qa" / "OVERLAP.tsv").open(encoding="utf-8"), delimiter="\t", quoting=csv.QUOTE_NONE):
        if len(row) >= 3:
            found.setdefault(row[0], []).append(row[2].strip())
    return {name: tuple(beginnings) for name, beginnings in found.items()}


def _window(context: str, start: int, length: int) -> tuple[str, int]:
    """At most MAX_PASSAGE_CHARS of `context` around an answer, cut at spaces or full stops, and where it is there."""
    if len(context) <= MAX_PASSAGE_CHARS:
        return context, start
    first = max(0, min(start - MAX_PASSAGE_CHARS // 3, len(context) - MAX_PASSAGE_CHARS))
    while 0 < first < start and context[first - 1] not in " \n。．.":
        first += 1
    return context[first : max(first + MAX_PASSAGE_CHARS, start + length)], start - first


def _contents(path: Path) -> Iterator[Any]:
    """The parsed JSON in a file: plain, compressed, or the files of an archive."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            texts = [archive.read(name).decode("utf-8") for name in archive.namelist() if ".json" in name]
    elif ".json" in path.name:
        texts = [_text(path)]
    else:
        return
    for text in texts:
        try:
            yield json.loads(text)
        except json.JSONDecodeError:
            yield list(_records(text))


def _text(path: Path) -> str:
    content = path.read_bytes()
    return (lzma.decompress(content) if path.suffix == ".xz" else content).decode("utf-8-sig")


def _records(text: str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON list, or of JSON lines."""
    if text.lstrip().startswith("["):
        yield from json.loads(text)
    else:
        yield from (json.loads(line) for line in text.splitlines() if line.strip())


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)
