"""What is wrong with a gold file, all of it at once: by itself, and against the documents that it asks about."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import regex

from eval.errors import GoldError
from eval.gold.corpus import Corpus, file_of
from eval.gold.files import Entry, read_entries
from eval.gold.items import FIELDS, Evidence, GoldItem, Need, as_item
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


class _Found(NamedTuple):
    severity: Severity
    what: str
    fix: str = ""


@dataclass(slots=True)
class _Seen:
    """The entries so far."""

    ids: dict[str, int] = field(default_factory=dict)  # the line of each
    questions: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)  # by language and words


def validate(path: Path, corpus: Corpus | None = None) -> list[Problem]:
    """All problems of a gold file, in the order of its lines; none is raised.

    Without an error `read_gold` reads the file and, if the documents are given, finds every evidence.
    """
    seen, problems, n_entries = _Seen(), [], 0
    try:
        for entry in read_entries(path):
            n_entries += 1
            name = str(entry.values.get("id", "")) if isinstance(entry.values, dict) else ""
            for severity, what, fix in _check(entry, seen, corpus):
                problems.append(Problem(severity, entry.line, _printable(name), _printable(what), _printable(fix)))
    except GoldError as error:
        return [Problem(Severity.ERROR, 0, "", str(error))]
    if not n_entries:
        problems.append(Problem(Severity.ERROR, 0, "", f"{path} holds no question", "write at least one"))
    return problems


def _check(entry: Entry, seen: _Seen, corpus: Corpus | None) -> Iterator[_Found]:
    try:
        if entry.problem:
            raise GoldError(entry.problem)
        item = as_item(entry.values, "")
    except GoldError as error:
        what, _, expected = str(error).removeprefix(": ").partition("; expected: ")
        yield _Found(Severity.ERROR, what, expected)
        return
    if unread := [name for name in entry.values if name not in FIELDS]:
        yield _Found(Severity.WARNING, f"{', '.join(unread)} is not read", f"the fields are {', '.join(FIELDS)}")
    yield from _repeated(item, entry.line, seen)
    yield from _language(item.lang)
    if corpus is not None:
        for evidence in item.evidence:
            yield from _evidence(evidence, corpus)
    yield from _answers(item, corpus)


def _repeated(item: GoldItem, line: int, seen: _Seen) -> Iterator[_Found]:
    if (first := seen.ids.setdefault(item.id, line)) != line:
        yield _Found(Severity.ERROR, f"the id is that of line {first}", "use each id once")
    words = " ".join(unicodedata.normalize("NFKC", item.question).casefold().split())
    name, first = seen.questions.setdefault((item.lang, words), (item.id, line))
    if first != line:
        yield _Found(Severity.WARNING, f"the question is that of {name}, line {first}", "ask it once")


# BCP 47 (RFC 5646) without extensions: language, script, region, variants, private use.
_TAG = regex.compile(
    r"[a-z]{2,3}(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?(?:-(?:[a-z\d]{5,8}|\d[a-z\d]{3}))*(?:-x(?:-[a-z\d]{1,8})+)?",
    regex.IGNORECASE,
)
_MEANT = {"kr": "ko", "jp": "ja", "cn": "zh-Hans", "tw": "zh-Hant", "zh_cn": "zh-Hans", "zh_tw": "zh-Hant", "ua": "uk"}


def _language(lang: str) -> Iterator[_Found]:
    fix = f"write {_MEANT.get(lang.casefold(), 'a tag such as ko, zh-Hant or pt-BR')}"
    if not _TAG.fullmatch(lang):
        yield _Found(Severity.ERROR, f"lang {lang!r} is no BCP 47 tag", fix)
    elif not script_of(lang):
        yield _Found(Severity.WARNING, f"lang {lang!r} is no known language", fix)


def _evidence(evidence: Evidence, corpus: Corpus) -> Iterator[_Found]:
    sources = [document.source for document in corpus.named(evidence.doc)]
    if not sources:
        yield _Found(Severity.ERROR, f"there is no document {evidence.doc}", "give the end of a source, after a slash")
        return
    if len({file_of(source) for source in sources}) > 1:
        what = f"{len(sources)} sources end in {evidence.doc}: {', '.join(sources[:3])}"
        yield _Found(Severity.ERROR, what, "give more of the path")
    n_places = len(corpus.places(evidence))
    shown = f"{evidence.doc}: {_short(evidence.text)}"
    if not n_places:
        yield _Found(Severity.ERROR, f"the evidence is not in {shown}", _nearly(evidence, corpus))
    elif n_places > 1 and evidence.text:
        fix = "add words before or after it"
        yield _Found(Severity.WARNING, f"the evidence stands in {n_places} places of {shown}", fix)


def _nearly(evidence: Evidence, corpus: Corpus) -> str:
    """How to fix evidence that is not found: what stands there, where only case or punctuation differ."""
    wanted = _letters(unicodedata.normalize("NFC", evidence.text))
    for document in corpus.named(evidence.doc):
        text = corpus.text(document)
        places = [i for i, char in enumerate(text) if char.isalnum()]
        start = "".join(text[i].casefold()[0] for i in places).find(wanted)
        if wanted and start >= 0:
            stands = text[places[start] : places[start + len(wanted) - 1] + 1]
            return f"copy it with its punctuation and case: {_short(stands, 200)}"
    return "copy the span from the document as it is stored"


def _letters(text: str) -> str:
    return "".join(char.casefold()[0] for char in text if char.isalnum())


def _answers(item: GoldItem, corpus: Corpus | None) -> Iterator[_Found]:
    if not item.answerable:
        if item.answers or item.evidence:
            fix = "say that it is answerable, or leave them out"
            yield _Found(Severity.WARNING, "not answerable, but with answers or evidence", fix)
        return
    said = " \n".join(text for evidence in item.evidence for text in _texts(evidence, corpus))
    are_in = contains_all if item.need is Need.ALL else contains
    if not item.answers or not said or are_in(said, item.answers, item.lang):
        return
    shown = " | ".join(item.answers)
    fix = "add the answer as the document words it, or choose the span that says it"
    if dominant_script(shown) != dominant_script(said):
        fix = "nothing, if it is a translation of the evidence"
    missing = "not every answer stands" if item.need is Need.ALL else "no answer stands"
    yield _Found(Severity.WARNING, f"{missing} in the evidence: {_short(shown)}", fix)


def _texts(evidence: Evidence, corpus: Corpus | None) -> list[str]:
    """The text of an evidence, or that of the whole document."""
    if evidence.text or corpus is None:
        return [evidence.text]
    return [corpus.text(document) for document in corpus.named(evidence.doc)]


def _short(text: str, max_chars: int = 60) -> str:
    return repr(text if len(text) <= max_chars else text[: max_chars - 1] + "…")


def _printable(text: str) -> str:
    """`text` with lone surrogates, which no terminal can show, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
