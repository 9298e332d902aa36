"""Published sets as gold questions and the documents that they bring: SQuAD's shape, and BEIR's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import regex

from eval.errors import GoldError
from eval.gold.files import read_entries, read_text
from eval.gold.items import Evidence, GoldItem, find_evidence
from index.documents import Span
from index.read.clean import normalise
from index.text.language import detect_language

_HEADING = " [SEP] "  # between an article's title and its text in JSQuAD, where the title may be the answer
_SQUAD = "the shape of SQuAD: data > paragraphs > context and qas"


@dataclass(frozen=True, slots=True)
class CorpusDocument:
    """A document as `dragoman index` reads it from a line of a JSON lines file; `id` is its `#part` there."""

    id: str
    text: str
    title: str = ""
    lang: str = ""


@dataclass(slots=True)
class Published:
    """Questions, documents, and a line for each question that was left out; `corpus` is the file of the documents."""

    corpus: str = "corpus.jsonl"
    items: list[GoldItem] = field(default_factory=list)
    documents: list[CorpusDocument] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def read_published(path: Path, language: str = "") -> Published:
    """A folder in BEIR's shape, or a file in SQuAD's; `language` is that of the questions, by default detected.

    Raises:
        GoldError: It is neither, or gives no question.
    """
    found = read_beir(path, language) if path.is_dir() else read_squad(path, language, document_lang="")
    if not found.items:
        first = f" ({found.left_out[0]})" if found.left_out else ""
        raise GoldError(f"{path} gives no question{first}; expected: {_SQUAD}; or a folder as of BEIR")
    return found


def write_corpus(found: Published, folder: Path) -> Path:
    """Write the documents for `dragoman index`, one JSON object a line; returns the path of the file."""
    path = folder / found.corpus
    lines = (json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in found.documents)
    path.write_text("".join(lines), "utf-8")
    return path


def read_squad(path: Path, lang: str = "", *, document_lang: str | None = None) -> Published:
    """XQuAD, MLQA, KorQuAD 1.0, DRCD, CMRC 2018, JSQuAD, SQuAD 1.1 and 2.0: a document for every context.

    Several annotators' answers are alternatives, so an item has one evidence: the first answer that stands where
    the file says, or else the nearest answer. It is widened until it stands in one place.

    Args:
        path: The file.
        lang: Language of the questions, by default detected; the ids end in it, since parallel sets share their ids.
        document_lang: Language of the contexts; by default that of the questions, empty for unknown.
    """
    found = Published(corpus=f"{path.stem}.jsonl")
    own_lang = lang if document_lang is None else document_lang
    documents: dict[str, CorpusDocument] = {}
    items: dict[str, GoldItem] = {}
    try:
        data = json.loads(read_text(path))
        for title, own in [(one.get("title"), own) for one in data["data"] for own in one["paragraphs"]]:
            text = normalise(own["context"].replace(_HEADING, "\n\n", 1))
            document = CorpusDocument(f"p{len(documents) + 1:05d}", text, str(title or "").replace("_", " "), own_lang)
            document = documents.setdefault(text, document)
            for asked in own["qas"]:
                item = _question(found, asked, own["context"], document, lang)
                name = item.id if item.id not in items else f"{item.id}.{len(items)}"
                if item.evidence or not item.answerable:
                    items[name] = replace(item, id=name)
                else:
                    found.left_out.append(f"{name}: no answer stands in its context")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise GoldError(f"{path}: {type(error).__name__}: {error}; expected: {_SQUAD}") from error
    found.items, found.documents = list(items.values()), list(documents.values())
    return found


def _question(
    found: Published, asked: Mapping[str, Any], context: str, document: CorpusDocument, lang: str
) -> GoldItem:
    """The item of a question; answerable without evidence where no answer stands in the context."""
    question = str(asked.get("question") or "")
    own_lang = lang or detect_language(question) or "und"
    name = f"{asked['id']}-{own_lang}"
    if asked.get("is_impossible") is True:
        return GoldItem(name, question, own_lang, False, (), ())
    answers = [answer for answer in asked.get("answers") or () if answer["text"].strip()]
    places = [place for answer in answers if (place := _place(document.text, context, answer))]
    texts = tuple(dict.fromkeys(answer["text"].strip() for answer in answers))
    if not places or not question.strip():
        return GoldItem(name, question, own_lang, True, texts, ())
    _, start, end = min(places, key=lambda place: place[0])
    start, end = unique_span(document.text, start, end)
    evidence = Evidence(f"{found.corpus}#{document.id}", document.text[start:end])
    return GoldItem(name, question, own_lang, True, texts, (evidence,))


def _place(text: str, context: str, answer: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """(distance, start, end) of the answer in `text`, the context as stored, nearest to where the file says."""
    start = answer.get("answer_start")
    start = max(0, start) if isinstance(start, int) else 0
    start += len(answer["text"]) - len(answer["text"].lstrip())
    # The letter keeps white space at the end of the beginning, as the text behind it does.
    expected = len(normalise(context[:start].replace(_HEADING, "\n\n", 1) + "x")) - 1
    spans = find_evidence(text, normalise(answer["text"]))
    return min(((abs(start - expected), start, end) for start, end in spans), default=None)


_SIGN = r"[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
# A word; of scripts without spaces a character with its marks; any other sign.
_UNIT = regex.compile(rf"{_SIGN}\p{{M}}*|(?:(?!{_SIGN})[\p{{L}}\p{{M}}\p{{N}}])+|\S")


def unique_span(text: str, start: int, end: int) -> Span:
    """[start, end) of `text`, widened by words after and before in turn until it stands in one place only."""
    units = [match.span() for match in _UNIT.finditer(text)]
    before = [unit[0] for unit in units if unit[0] < start]
    after = [unit[1] for unit in reversed(units) if unit[1] > end]
    is_after = True
    while find_evidence(text, text[start:end]) != [Span(start, end)]:
        if after and (is_after or not before):
            end = after.pop()
        else:
            start = before.pop()
        is_after = not is_after
    return Span(start, end)


def read_beir(folder: Path, lang: str = "") -> Published:
    """A folder with corpus.jsonl, queries.jsonl and qrels/test.tsv, or dev.tsv (Thakur et al. 2021).

    The evidence is whole documents with their grades. Documents of grade 0 and less are not relevant.
    """
    found = Published()
    for values in _json_lines(folder / "corpus.jsonl"):
        title, text = str(values.get("title") or "").strip(), str(values.get("text") or "")
        found.documents.append(CorpusDocument(str(values["_id"]), text if text.strip() else title, title))
    known = {document.id for document in found.documents}
    grades = _grades(folder)
    for values in _json_lines(folder / "queries.jsonl"):
        name, question = str(values["_id"]), str(values.get("text") or "")
        relevant = {doc: grade for doc, grade in grades.get(name, {}).items() if doc in known}
        if not relevant or not question.strip():
            found.left_out.append(f"query {name}: no relevant document")
            continue
        evidence = tuple(Evidence(f"{found.corpus}#{doc}", "", grade) for doc, grade in relevant.items())
        found.items.append(GoldItem(name, question, lang or detect_language(question) or "und", True, (), evidence))
    return found


def _grades(folder: Path) -> dict[str, dict[str, int]]:
    """The grades of relevant documents, by query."""
    path = next((path for name in ("test", "dev") if (path := folder / "qrels" / f"{name}.tsv").is_file()), None)
    if path is None:
        raise GoldError(f"{folder} has no judgements; expected: qrels/test.tsv or qrels/dev.tsv")
    grades: dict[str, dict[str, int]] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        cells = line.split("\t")
        if len(cells) != 3 or not cells[2].strip().lstrip("-").isdecimal():
            if number > 1 and line.strip():  # the first may be a header
                raise GoldError(f"{path}, line {number}: {line[:80]!r}; expected: query, document and grade, by tabs")
        elif int(cells[2]) > 0:
            grades.setdefault(cells[0], {})[cells[1]] = int(cells[2])
    return grades


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    for entry in read_entries(path):
        if not isinstance(entry.values, dict) or not str(entry.values.get("_id", "")):
            raise GoldError(
                f"{path}, line {entry.line}: {entry.problem or 'no _id'}; expected: objects with _id and text"
            )
        yield entry.values
