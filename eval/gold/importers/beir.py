"""Sets in the shape of BEIR (Thakur et al. 2021): a folder with corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import regex

from eval.errors import GoldError
from eval.gold.importers.corpus import CorpusDocument, Imported, Note, NoteKind, json_lines, source_end
from eval.gold.items import Evidence, GoldItem
from index.text.language import detect_language

_Grades = dict[str, dict[str, int]]  # by document, by query
_CORPUS, _QUERIES, _QRELS = "corpus.jsonl", "queries.jsonl", "qrels"


def read_beir(folder: Path, lang: str = "", *, split: str = "test", corpus: str = _CORPUS) -> Imported:
    """All documents, and the questions that have a relevant one; the evidence is whole documents with their grades.

    Documents that are not relevant (grade 0 or less) are left out of the evidence. Queries without a relevant document
    and judgements of documents that are not there are in the notes.

    Args:
        folder: The set.
        lang: Language of the queries and documents; by default each as it reads.
        split: Which file of judgements.
        corpus: Name of the file that the documents are to be written to. The set's own corpus.jsonl can be indexed as
            it is: the evidence names its documents.

    Raises:
        GoldError: A file is missing or broken, or no query has a relevant document.
    """
    documents, notes = _documents(folder / _CORPUS, lang)
    grades = _relevant(_split_file(folder, split), documents, notes)
    items = []
    for number, values in json_lines(folder / _QUERIES):
        where = f"{_QUERIES}, line {number}"
        query, text = _named(values, f"{folder / _QUERIES}, line {number}")
        if query not in grades:
            notes.append(Note(NoteKind.DROPPED, where, f"query {query} has no relevant document in {split}"))
            continue
        evidence = tuple(Evidence(source_end(corpus, doc), "", grade) for doc, grade in grades.pop(query).items())
        items.append(GoldItem(query, text, lang or detect_language(text), True, (), evidence))
    notes += [Note(NoteKind.DROPPED, f"{_QRELS}/{split}.tsv", f"query {query} is not there") for query in grades]
    if not items:
        raise GoldError(f"{folder} has no query with a relevant document in {split}; expected: judgements of its own")
    return Imported(corpus, tuple(items), tuple(documents.values()), tuple(notes))


def _documents(path: Path, lang: str) -> tuple[dict[str, CorpusDocument], list[Note]]:
    """Documents by id. One without text is its title; one without either is no document."""
    found: dict[str, CorpusDocument] = {}
    notes: list[Note] = []
    for number, values in json_lines(path):
        name, text = _named(values, f"{path}, line {number}")
        title = str(values.get("title") or "").strip()
        if name in found or not (text or title).strip():
            why = f"document {name} {'occurs twice' if name in found else 'is empty'}"
            notes.append(Note(NoteKind.DROPPED, f"{_CORPUS}, line {number}", why))
            continue
        found[name] = CorpusDocument(name, text if text.strip() else title, title, lang)
    if not found:
        raise GoldError(f"{path} has no document; expected: one object with _id and text a line")
    return found, notes


def _named(values: dict[str, Any], where: str) -> tuple[str, str]:
    name, text = values.get("_id", ""), values.get("text")
    if str(name) == "" or not isinstance(text, str):
        raise GoldError(f"{where}: no {'text' if str(name) else '_id'}; expected: an object with _id and text")
    return str(name), text


def _split_file(folder: Path, split: str) -> Path:
    path = folder / _QRELS / f"{split}.tsv"
    if not path.is_file():
        there = ", ".join(sorted(other.stem for other in path.parent.glob("*.tsv"))) or "no other"
        raise GoldError(f"there is no {path}; expected: judgements of that split; there is: {there}")
    return path


def _relevant(path: Path, documents: Mapping[str, CorpusDocument], notes: list[Note]) -> _Grades:
    """The grades of relevant documents, by query."""
    found: _Grades = {}
    for number, (query, doc, grade) in _judgements(path):
        if grade < 1:
            continue
        if doc not in documents:
            why = f"document {doc}, relevant to {query}, is not in {_CORPUS}"
            notes.append(Note(NoteKind.DROPPED, f"{_QRELS}/{path.name}, line {number}", why))
            continue
        found.setdefault(query, {})[doc] = grade
    return found


def _judgements(path: Path) -> Iterator[tuple[int, tuple[str, str, int]]]:
    """(line, (query, document, grade)); a header is passed over."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise GoldError(f"{path} cannot be read ({error}); expected: a table in UTF-8") from error
    for number, line in enumerate(lines, 1):
        cells = line.strip(" \r").split("\t")
        if cells == [""] or (number == 1 and cells[-1] == "score"):
            continue
        if len(cells) != 3 or not _WHOLE.fullmatch(cells[2].strip()):
            raise GoldError(
                f"{path}, line {number}: {line[:80]!r}; expected: query, document and a whole grade, by tabs"
            )
        yield number, (cells[0], cells[1], int(cells[2]))


_WHOLE = regex.compile(r"-?\d{1,9}")
