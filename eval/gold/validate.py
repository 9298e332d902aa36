"""What is wrong with a gold file, all of it at once: by itself, and against the documents that it asks about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from eval.errors import GoldError
from eval.gold.corpus import Corpus, file_of
from eval.gold.files import read_entries
from eval.gold.items import FIELDS, Evidence, GoldItem, Need, as_item, problems_of
from eval.measures.answers import contains, contains_all
from index.text.language import script_of


class Severity(StrEnum):
    """Whether the file can be used with a problem: not with an error."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong, as `found; expected: ...` or `found; fix: ...`. `line` is 0 where it is the file's."""

    severity: Severity
    line: int
    id: str
    what: str


def validate(path: Path, corpus: Corpus | None = None) -> list[Problem]:
    """All problems of a gold file, in the order of its lines; none is raised.

    Without an error `read_gold` reads the file and, if the documents are given, finds every evidence.
    """
    problems: list[Problem] = []
    lines: dict[str, int] = {}  # the first of each id
    try:
        for entry in read_entries(path):
            name = str(entry.values.get("id", "")) if isinstance(entry.values, dict) else ""
            broken = [entry.problem] if entry.problem else list(problems_of(entry.values))
            found = [(Severity.ERROR, what) for what in broken]
            if not broken:
                if (first := lines.setdefault(name, entry.line)) != entry.line:
                    found = [(Severity.ERROR, f"the id is that of line {first}; fix: use each id once")]
                found += _check(entry.values, as_item(entry.values, ""), corpus)
            problems += [Problem(one, entry.line, _printable(name), _printable(what)) for one, what in found]
    except GoldError as error:
        return [Problem(Severity.ERROR, 0, "", str(error))]
    return problems or ([] if lines else [Problem(Severity.ERROR, 0, "", f"{path} holds no question")])


def _check(values: dict[str, Any], item: GoldItem, corpus: Corpus | None) -> Iterator[tuple[Severity, str]]:
    if unread := [name for name in values if name not in FIELDS]:
        yield Severity.WARNING, f"{', '.join(unread)} is not read; expected: {', '.join(FIELDS)}"
    if not script_of(item.lang):
        yield Severity.WARNING, f"lang {item.lang!r} is no known language; expected: a tag such as ko or zh-Hant"
    if corpus:
        for evidence in item.evidence:
            yield from _evidence(evidence, corpus)
    if not item.answerable and (item.answers or item.evidence):
        yield Severity.WARNING, "not answerable, but with answers or evidence; fix: leave them out"
    said = " \n".join(evidence.text for evidence in item.evidence)
    are_in = contains_all if item.need is Need.ALL else contains
    is_span = all(evidence.text for evidence in item.evidence)  # not a whole document
    if item.answerable and item.answers and said and is_span and not are_in(said, item.answers, item.lang):
        shown = " | ".join(item.answers)
        yield Severity.WARNING, f"{item.need} of the answers must stand in the evidence, unless translated: {shown}"


def _evidence(evidence: Evidence, corpus: Corpus) -> Iterator[tuple[Severity, str]]:
    sources = [document.source for document in corpus.named(evidence.doc)]
    n_places, shown = len(corpus.places(evidence)), f"{evidence.doc}: {evidence.text[:60]!r}"
    if not sources:
        yield Severity.ERROR, f"there is no document {evidence.doc}; fix: give the end of a source, after a slash"
    elif len({file_of(source) for source in sources}) > 1:
        named = ", ".join(sources[:3])
        yield Severity.ERROR, f"{len(sources)} sources end in {evidence.doc}: {named}; fix: give more of the path"
    elif not n_places:
        yield Severity.ERROR, f"the evidence is not in {shown}; fix: copy the span from the document as it is stored"
    elif n_places > 1 and evidence.text:
        yield Severity.WARNING, f"the evidence stands in {n_places} places of {shown}; fix: add words around it"


def _printable(text: str) -> str:
    """`text` with lone surrogates, which no terminal can show, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
