"""What is wrong with a gold file, all of it at once: by itself, and against the documents that it asks about."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import regex

from eval.errors import GoldError
from eval.gold.corpus import Corpus, file_of
from eval.gold.files import read_entries
from eval.gold.items import FIELDS, Evidence, GoldItem, Need, as_item, problems_of
from eval.measures.answers import contains, contains_all
from index.text.language import dominant_script, script_of


class Severity(StrEnum):
    """Whether the file can be used with a problem: not with an error."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: where, what, and how to fix it. `line` is 0 and `id` empty where it has none."""

    severity: Severity
    line: int
    id: str
    what: str
    fix: str = ""


_Found = tuple[Severity, str, str]  # what is wrong with an entry, and how to fix it


def validate(path: Path, corpus: Corpus | None = None) -> list[Problem]:
    """All problems of a gold file, in the order of its lines; none is raised.

    Without an error `read_gold` reads the file and, if the documents are given, finds every evidence.
    """
    problems: list[Problem] = []
    lines: dict[Any, int] = {}  # where each id, and each question of a language, was first
    n_entries = 0
    try:
        for entry in read_entries(path):
            n_entries += 1
            name = _printable(str(entry.values.get("id", ""))) if isinstance(entry.values, dict) else ""
            broken = [entry.problem] if entry.problem else list(problems_of(entry.values))
            found = [(Severity.ERROR, *_parted(one)) for one in broken]
            if not broken:
                item = as_item(entry.values, "")
                found = [*_unread(entry.values), *_repeated(item, entry.line, lines), *_check(item, corpus)]
            problems += [Problem(one, entry.line, name, _printable(what), _printable(fix)) for one, what, fix in found]
    except GoldError as error:
        return [Problem(Severity.ERROR, 0, "", str(error))]
    if not n_entries:
        problems.append(Problem(Severity.ERROR, 0, "", f"{path} holds no question", "write at least one"))
    return problems


def _parted(problem: str) -> tuple[str, str]:
    what, _, expected = problem.partition("; expected: ")
    return what, expected


def _unread(values: dict[str, Any]) -> Iterator[_Found]:
    if unread := [name for name in values if name not in FIELDS]:
        yield Severity.WARNING, f"{', '.join(unread)} is not read", f"the fields are {', '.join(FIELDS)}"


def _repeated(item: GoldItem, line: int, lines: dict[Any, int]) -> Iterator[_Found]:
    if (first := lines.setdefault(item.id, line)) != line:
        yield Severity.ERROR, f"the id is that of line {first}", "use each id once"
    words = " ".join(unicodedata.normalize("NFKC", item.question).casefold().split())
    if (first := lines.setdefault((item.lang, words), line)) != line:
        yield Severity.WARNING, f"the question is that of line {first}", "ask it once"


# BCP 47 (RFC 5646) without extensions: language, script, region, variants, private use.
_TAG = regex.compile(
    r"[a-z]{2,3}(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?(?:-(?:[a-z\d]{5,8}|\d[a-z\d]{3}))*(?:-x(?:-[a-z\d]{1,8})+)?",
    regex.IGNORECASE,
)
_MEANT = {"kr": "ko", "jp": "ja", "cn": "zh-Hans", "tw": "zh-Hant", "zh_cn": "zh-Hans", "zh_tw": "zh-Hant", "ua": "uk"}


def _check(item: GoldItem, corpus: Corpus | None) -> Iterator[_Found]:
    tag = f"write {_MEANT.get(item.lang.casefold(), 'a tag such as ko, zh-Hant or pt-BR')}"
    if not _TAG.fullmatch(item.lang):
        yield Severity.ERROR, f"lang {item.lang!r} is no BCP 47 tag", tag
    elif not script_of(item.lang):
        yield Severity.WARNING, f"lang {item.lang!r} is no known language", tag
    if corpus:
        for evidence in item.evidence:
            yield from _evidence(evidence, corpus)
    if not item.answerable and (item.answers or item.evidence):
        fix = "say that it is answerable, or leave them out"
        yield Severity.WARNING, "not answerable, but with answers or evidence", fix
    elif item.answerable:
        yield from _answers(item)


def _evidence(evidence: Evidence, corpus: Corpus) -> Iterator[_Found]:
    sources = [document.source for document in corpus.named(evidence.doc)]
    n_places = len(corpus.places(evidence))
    shown = f"{evidence.doc}: {_short(evidence.text)}"
    if not sources:
        yield Severity.ERROR, f"there is no document {evidence.doc}", "give the end of a source, after a slash"
    elif len({file_of(source) for source in sources}) > 1:
        what = f"{len(sources)} sources end in {evidence.doc}: {', '.join(sources[:3])}"
        yield Severity.ERROR, what, "give more of the path"
    elif not n_places:
        yield Severity.ERROR, f"the evidence is not in {shown}", "copy the span from the document as it is stored"
    elif n_places > 1 and evidence.text:
        yield Severity.WARNING, f"the evidence stands in {n_places} places of {shown}", "add words before or after it"


def _answers(item: GoldItem) -> Iterator[_Found]:
    said = " \n".join(evidence.text for evidence in item.evidence)
    are_in = contains_all if item.need is Need.ALL else contains
    is_whole = not all(evidence.text for evidence in item.evidence)  # a whole document: not looked through
    if not item.answers or not said or is_whole or are_in(said, item.answers, item.lang):
        return
    shown = " | ".join(item.answers)
    fix = "add the answer as the document words it, or choose the span that says it"
    if dominant_script(shown) != dominant_script(said):
        fix = "nothing, if it is a translation of the evidence"
    missing = "not every answer stands" if item.need is Need.ALL else "no answer stands"
    yield Severity.WARNING, f"{missing} in the evidence: {_short(shown)}", fix


def _short(text: str, max_chars: int = 60) -> str:
    return repr(text if len(text) <= max_chars else text[: max_chars - 1] + "…")


def _printable(text: str) -> str:
    """`text` with lone surrogates, which no terminal can show, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
