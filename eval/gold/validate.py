"""What is wrong with a gold file, all of it at once, by itself and against the documents that it asks about."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import regex

from eval.errors import GoldError
from eval.gold.entry import Entry
from eval.gold.fields import (
    Found,
    Severity,
    check_fields,
    check_language,
    error,
    short,
    unread_fields,
    usable_evidence,
    warning,
)
from eval.gold.formats import read_entries
from eval.gold.items import Evidence, GoldItem, as_item, find_evidence
from eval.gold.nearest import Folded, fold, nearest
from eval.measures.answer_text import contains
from index.text.language import dominant_script


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: where, what, and what mends it. `line` is 0 and `id` empty where it has none."""

    severity: Severity
    line: int
    id: str
    what: str
    remedy: str


def validate(path: Path, documents: Mapping[str, str] | None = None) -> list[Problem]:
    """All problems of a gold file, in the order of its lines; none is raised.

    Without an error `read_gold` reads the file and every evidence is found.

    Args:
        path: JSON lines, CSV or YAML.
        documents: Stored text by source, as an index has them; None checks the file alone.
    """
    state = _State(None if documents is None else _Corpus(documents))
    problems: list[Problem] = []
    try:
        for entry in read_entries(path):
            name = _id_of(entry)
            for severity, what, remedy in _check(entry, state):
                problems.append(Problem(severity, entry.line, name, _printable(what), _printable(remedy)))
    except GoldError as problem:
        return [Problem(Severity.ERROR, 0, "", str(problem), "give a file that can be read")]
    if not state.n_entries:
        problems.append(Problem(Severity.ERROR, 0, "", f"{path} holds no question", "write one at least"))
    return problems


class _Corpus:
    """Documents by what a gold file may call them: the whole source, or its end after a slash or a number sign."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self.texts = documents
        self._named: dict[str, list[str]] = defaultdict(list)
        self._folded: dict[str, Folded] = {}
        for source in documents:
            for name in (source, *(source[match.end() :] for match in _PART_END.finditer(source))):
                self._named[name].append(source)

    def named(self, doc: str) -> list[str]:
        """The sources that `doc` may mean."""
        return self._named.get(doc, [])

    def folded(self, source: str) -> Folded:
        """A document as `nearest` compares it, made once."""
        if source not in self._folded:
            self._folded[source] = fold(self.texts[source])
        return self._folded[source]


_PART_END = regex.compile("[/#]")


@dataclass(slots=True)
class _State:
    """What earlier entries said."""

    corpus: _Corpus | None
    n_entries: int = 0
    ids: dict[str, int] = field(default_factory=dict)  # the line of each
    questions: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)  # by language and words


def _check(entry: Entry, state: _State) -> Iterator[Found]:
    state.n_entries += 1
    if entry.problem:
        yield _as_error(entry.problem)
        return
    if not isinstance(entry.values, dict):
        yield error(f"{type(entry.values).__name__}, not an object", "write an object with id, question, ...")
        return
    broken = list(check_fields(entry.values))
    yield from broken
    yield from _repeated_id(entry, state)
    yield from unread_fields(entry.values)
    if isinstance(lang := entry.values.get("lang"), str) and lang.strip():
        yield from check_language(lang)
    if state.corpus is not None:
        for evidence in usable_evidence(entry.values):
            yield from _evidence(evidence, state.corpus)
    if not any(found.severity is Severity.ERROR for found in broken):
        yield from _check_item(entry, state)


def _check_item(entry: Entry, state: _State) -> Iterator[Found]:
    """What can be said of a question whose fields are sound."""
    try:
        item = as_item(entry.values, "")
    except GoldError as problem:
        yield _as_error(str(problem).removeprefix(": "))
        return
    yield from _repeated_question(item, entry.line, state)
    yield from _answers(item, state.corpus)


def _as_error(message: str) -> Found:
    what, _, expected = message.partition("; expected: ")
    return error(what, f"expected: {expected}" if expected else "mend it, or leave the question out")


def _repeated_id(entry: Entry, state: _State) -> Iterator[Found]:
    name = _id_of(entry)
    if name and name in state.ids:
        yield error(f"the id is that of line {state.ids[name]}", "use each id once")
    state.ids.setdefault(name, entry.line)


def _repeated_question(item: GoldItem, line: int, state: _State) -> Iterator[Found]:
    words = " ".join(unicodedata.normalize("NFKC", item.question).casefold().split())
    first = state.questions.setdefault((item.lang, words), (item.id, line))
    if first[1] != line:
        yield warning(f"the question is that of {first[0]}, line {first[1]}", "ask it once")


# --- answers and evidence -----------------------------------------------------------------------------------


def _answers(item: GoldItem, corpus: _Corpus | None) -> Iterator[Found]:
    if not item.answerable:
        if item.answers or item.evidence:
            yield warning("not answerable, but with answers or evidence", "say answerable, or leave them out")
        return
    said = " \n".join(text for evidence in item.evidence for text in _said(evidence, corpus))
    if not item.answers or not said or contains(said, item.answers, item.lang):
        return
    shown = " | ".join(item.answers)
    if dominant_script(shown) != dominant_script(said):
        remedy = "nothing, where it is a translation of what stands there"
    else:
        remedy = "add the answer as the document words it, or choose the span that says it"
    yield warning(f"no answer stands in the evidence: {short(shown)}", remedy)


def _said(evidence: Evidence, corpus: _Corpus | None) -> list[str]:
    """What an evidence says: its text, or that of the whole document."""
    if evidence.text or corpus is None:
        return [evidence.text]
    return [corpus.texts[source] for source in corpus.named(evidence.doc)]


def _evidence(evidence: Evidence, corpus: _Corpus) -> Iterator[Found]:
    sources = corpus.named(evidence.doc)
    if not sources:
        yield error(f"there is no document {evidence.doc}", "give the end of a source, from a slash on")
        return
    if len(sources) > 1:
        shown = ", ".join(sources[:3]) + (", ..." if len(sources) > 3 else "")
        yield error(f"{len(sources)} sources end in {evidence.doc}: {shown}", "give more of the path")
    if not evidence.text:
        return
    n_places = sum(len(find_evidence(corpus.texts[source], evidence.text)) for source in sources)
    if not n_places:
        yield _missing(evidence, sources[0], corpus)
    elif n_places > 1 and len(sources) == 1:
        what = f"the evidence stands in {n_places} places of {evidence.doc}: {short(evidence.text)}"
        yield warning(what, "take in words before or behind it")


def _missing(evidence: Evidence, source: str, corpus: _Corpus) -> Found:
    what = f"the evidence is not in {evidence.doc}: {short(evidence.text)}"
    near = nearest(corpus.folded(source), evidence.text)
    if near is None:
        return error(what, "copy the span from the document as it is stored")
    start, end = near.span
    other = "with other punctuation or case" if near.likeness == 1 else f"nearest ({near.likeness:.0%})"
    return error(what, f"copy what stands at {start}, {other}: {short(corpus.texts[source][start:end], 200)}")


# --- showing ------------------------------------------------------------------------------------------------


def _id_of(entry: Entry) -> str:
    name = entry.values.get("id", "") if isinstance(entry.values, dict) else ""
    return _printable(str(name)) if isinstance(name, str | int) else ""


def _printable(text: str) -> str:
    """`text` with lone surrogates, which no terminal can show, as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
