"""Sets in the shape of SQuAD: XQuAD, MLQA, KorQuAD 1.0, DRCD, CMRC 2018, JSQuAD, and SQuAD 2.0 with its unanswerable.

`{"data": [{"title", "paragraphs": [{"context", "qas": [{"id", "question", "answers": [{"text", "answer_start"}],
"is_impossible"}]}]}]}`; `answer_start` counts Unicode code points of the context.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from eval.errors import GoldError
from eval.gold.anchor import unique_span
from eval.gold.importers.corpus import CorpusDocument, Imported, Note, NoteKind, load_json, source_end
from eval.gold.items import Evidence, GoldItem, find_evidence
from index.read.clean import normalise

_HEADING = " [SEP] "  # between an article's title and its text in JSQuAD, where the title may be the answer


class _Paragraph(NamedTuple):
    where: str
    title: str
    values: dict[str, Any]


class _Place(NamedTuple):
    """Where an answer stands in a stored text, and whether that is where the file says."""

    start: int
    end: int
    as_told: bool


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    lang: str
    document_lang: str
    corpus: str
    documents: dict[str, CorpusDocument] = field(default_factory=dict)  # by text
    taken: set[str] = field(default_factory=set)  # their ids
    items: dict[str, GoldItem] = field(default_factory=dict)  # by id
    notes: list[Note] = field(default_factory=list)


def read_squad(path: Path, lang: str, *, document_lang: str = "", corpus: str = "") -> Imported:
    """The questions of a file, each with the place of its first answer, and a document for every context.

    An item has one evidence, since several annotators' answers are alternatives: the first answer that stands where
    the file says, or else the first that stands anywhere, at the place nearest to that. Where its text occurs more
    than once, the evidence is widened until it does not. What is repaired or dropped is in the notes.

    Args:
        path: The file.
        lang: Language of the questions; the ids end in it, so that parallel sets can be put together.
        document_lang: Language of the contexts, where it is another (MLQA).
        corpus: Name of the file that the documents are to be written to; by default the file's own with `.jsonl`.

    Raises:
        GoldError: The file cannot be read, is of another shape, or gives no question.
    """
    reading = _Reading(lang, document_lang or lang, corpus or f"{path.stem}.jsonl")
    for paragraph in _paragraphs(load_json(path), path):
        _take(paragraph, reading)
    if not reading.items:
        first = "".join(f" ({note.where}: {note.what})" for note in reading.notes[:1])
        raise GoldError(f"{path} gives no question{first}; expected: {_SHAPE}")
    documents, items = tuple(reading.documents.values()), tuple(reading.items.values())
    return Imported(reading.corpus, items, documents, tuple(reading.notes))


_SHAPE = "the shape of SQuAD, data > paragraphs > context and qas"


def _paragraphs(data: Any, path: Path) -> Iterator[_Paragraph]:
    articles = data.get("data") if isinstance(data, dict) else None
    if not isinstance(articles, list):
        raise GoldError(f"{path} has no list data; expected: {_SHAPE}")
    for i, article in enumerate(articles):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not isinstance(paragraphs, list):
            raise GoldError(f"{path}: data[{i}] has no list paragraphs; expected: {_SHAPE}")
        for j, values in enumerate(paragraphs):
            where = f"data[{i}].paragraphs[{j}]"
            if not isinstance(values, dict) or not isinstance(values.get("context"), str):
                raise GoldError(f"{path}: {where} has no context; expected: {_SHAPE}")
            if not isinstance(values.get("qas"), list):
                raise GoldError(f"{path}: {where} has no list qas; expected: {_SHAPE}")
            yield _Paragraph(where, str(article.get("title") or "").replace("_", " ").strip(), values)


def _take(paragraph: _Paragraph, reading: _Reading) -> None:
    """Add a paragraph's document and questions."""
    context = paragraph.values["context"]
    text = _stored(context)
    if not text:
        reading.notes.append(Note(NoteKind.DROPPED, paragraph.where, "its context is empty"))
        return
    if text not in reading.documents:
        name = _document_id(paragraph.values.get("id"), reading)
        reading.documents[text] = CorpusDocument(name, text, paragraph.title, reading.document_lang)
        reading.taken.add(name)
    for k, asked in enumerate(paragraph.values["qas"]):
        where = f"{paragraph.where}.qas[{k}]"
        if not isinstance(asked, dict) or not str(asked.get("question") or "").strip():
            reading.notes.append(Note(NoteKind.DROPPED, where, "it has no question"))
        elif asked.get("is_impossible") is True:
            _add(asked, (), (), where, reading)
        else:
            _take_answers(asked, context, reading.documents[text], where, reading)


def _stored(context: str) -> str:
    """A context as the index stores it, a heading on a line of its own."""
    return normalise(context.replace(_HEADING, "\n\n", 1))


def _document_id(own: Any, reading: _Reading) -> str:
    """The file's own id of a context where it has one, else the context's number."""
    name = str(own or "")
    return name if name and name not in reading.taken else f"p{len(reading.documents) + 1:05d}"


def _take_answers(asked: dict[str, Any], context: str, document: CorpusDocument, where: str, reading: _Reading) -> None:
    """Add an answerable question, or note why not."""
    answers = [one for one in asked.get("answers") or () if _is_answer(one)]
    placed = [(one, place) for one in answers if (place := _place(document.text, context, one))]
    if not placed:
        said = ", ".join(dict.fromkeys(repr(one["text"]) for one in answers)) or "none"
        reading.notes.append(Note(NoteKind.DROPPED, where, f"no answer stands in its context (answers: {said})"))
        return
    answer, place = min(placed, key=lambda pair: not pair[1].as_told)
    if not place.as_told:
        what = f"{answer['text']!r} stands at {place.start}; its answer_start is {answer.get('answer_start')}"
        reading.notes.append(Note(NoteKind.REPAIRED, where, what))
    start, end = unique_span(document.text, place.start, place.end)
    evidence = Evidence(source_end(reading.corpus, document.id), document.text[start:end])
    _add(asked, tuple(dict.fromkeys(one["text"].strip() for one in answers)), (evidence,), where, reading)


def _add(
    asked: dict[str, Any], answers: tuple[str, ...], evidence: tuple[Evidence, ...], where: str, reading: _Reading
) -> None:
    name = _new_id(f"{asked.get('id') or where}-{reading.lang}", where, reading)
    reading.items[name] = GoldItem(name, str(asked["question"]), reading.lang, bool(evidence), answers, evidence)


def _is_answer(answer: Any) -> bool:
    return isinstance(answer, dict) and isinstance(answer.get("text"), str) and bool(answer["text"].strip())


def _place(text: str, context: str, answer: dict[str, Any]) -> _Place | None:
    """Where in `text`, the context as stored, the answer stands: nearest to its place; None where nowhere."""
    wanted = normalise(answer["text"])
    told = answer.get("answer_start")
    start = told + len(answer["text"]) - len(answer["text"].lstrip()) if isinstance(told, int) else -1
    # The sign keeps white space at the end of the beginning, as the text behind it does.
    expected = len(_stored(context[:start] + "x")) - 1 if 0 < start <= len(context) else start
    if start >= 0 and text.startswith(wanted, expected):
        return _Place(expected, expected + len(wanted), as_told=True)
    places = find_evidence(text, wanted)
    if not places:
        return None
    return _Place(*min(places, key=lambda span: abs(span.start - expected)), as_told=False)


def _new_id(name: str, where: str, reading: _Reading) -> str:
    """`name`, or where that is taken, the first of `name.2`, `name.3` ... that is not."""
    if name not in reading.items:
        return name
    free = next(other for n in range(2, len(reading.items) + 3) if (other := f"{name}.{n}") not in reading.items)
    reading.notes.append(Note(NoteKind.RENAMED, where, f"the id {name} occurs twice; this one is now {free}"))
    return free
