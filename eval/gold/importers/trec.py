"""Judgements and rankings in the files of trec_eval: `query 0 doc grade`, and `query Q0 doc rank score tag`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import regex

from eval.errors import GoldError

_T = TypeVar("_T", int, float)
_WHITE = regex.compile(r"[ \t]+")


class Ranked(NamedTuple):
    """A document as a system ranked it."""

    doc: str
    score: float


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Grade by document, by query; the second column is passed over, 0 and less is not relevant.

    Raises:
        GoldError: The file cannot be read or is empty, or a line has not four columns, a grade that is no whole
            number, or a document that the query has already.
    """
    found: dict[str, dict[str, int]] = {}
    for where, (query, _, doc, grade) in _rows(path, 4, "query 0 doc grade"):
        of_query = found.setdefault(query, {})
        if doc in of_query:
            raise GoldError(f"{where}: {doc} is judged twice for {query}; expected: one grade for each")
        of_query[doc] = _number(int, grade, f"{where}: the grade", "a whole number")
    return found


def read_run(path: Path) -> dict[str, list[Ranked]]:
    """The ranking of each query, best first: by score, and of one score by the id, greater first, as trec_eval does.

    The column with the rank is passed over, as trec_eval does.

    Raises:
        GoldError: The file cannot be read or is empty, or a line has not six columns, a score that is no number, or a
            document that the query has already.
    """
    found: dict[str, dict[str, float]] = {}
    for where, (query, _, doc, _, score, _) in _rows(path, 6, "query Q0 doc rank score tag"):
        of_query = found.setdefault(query, {})
        if doc in of_query:
            raise GoldError(f"{where}: {doc} is ranked twice for {query}; expected: each once")
        of_query[doc] = _number(float, score, f"{where}: the score", "a finite number")
    return {query: _ranking(scores) for query, scores in found.items()}


def write_qrels(qrels: Mapping[str, Mapping[str, int]], path: Path) -> None:
    """Write judgements that `read_qrels` reads as these.

    Raises:
        GoldError: A name is empty or has white space in it, or the file cannot be written.
    """
    _write([(query, "0", doc, str(grade)) for query, docs in qrels.items() for doc, grade in docs.items()], path)


def write_run(run: Mapping[str, Sequence[Ranked]], path: Path, tag: str) -> None:
    """Write rankings, given best first, that `read_run` reads as these; `tag` names the system.

    Raises:
        GoldError: A name is empty or has white space in it, a ranking is not in the order that its scores give, or the
            file cannot be written.
    """
    for query, ranking in run.items():
        if list(ranking) != _ranking(dict(ranking)):
            raise GoldError(f"the ranking of {query} is not by score, ties by greater id; expected: as read_run sorts")
    _write(
        [
            (query, "Q0", one.doc, str(rank), repr(float(one.score)), tag)
            for query, ranking in run.items()
            for rank, one in enumerate(ranking, 1)
        ],
        path,
    )


def _ranking(scores: Mapping[str, float]) -> list[Ranked]:
    return sorted((Ranked(*pair) for pair in scores.items()), key=lambda one: (one.score, one.doc), reverse=True)


def _rows(path: Path, n: int, shape: str) -> Iterator[tuple[str, list[str]]]:
    """(place, cells) of each line that is not blank."""
    try:
        lines = path.read_text("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise GoldError(f"{path} cannot be read ({error}); expected: lines of {shape}, in UTF-8") from error
    empty = True
    for number, line in enumerate(lines, 1):
        cells = _WHITE.split(line.strip(" \t"))
        if cells == [""]:
            continue
        if len(cells) != n:
            raise GoldError(f"{path}, line {number}: {len(cells)} columns; expected: {n}, {shape}")
        empty = False
        yield f"{path}, line {number}", cells
    if empty:
        raise GoldError(f"{path} is empty; expected: lines of {shape}")


def _number(kind: Callable[[str], _T], text: str, what: str, expected: str) -> _T:
    try:
        value = kind(text)
    except ValueError as error:
        raise GoldError(f"{what} is {text!r}; expected: {expected}") from error
    if not math.isfinite(value):
        raise GoldError(f"{what} is {text}; expected: {expected}")
    return value


def _write(rows: Sequence[Sequence[str]], path: Path) -> None:
    for row in rows:
        for cell in row:
            if not cell or _UNFIT.search(cell):
                raise GoldError(f"{cell!r} cannot stand in {path.name}; expected: a name without white space")
    try:
        path.write_text("".join(" ".join(row) + "\n" for row in rows), "utf-8", newline="\n")
    except (OSError, UnicodeEncodeError) as error:
        raise GoldError(f"{path} cannot be written ({error}); expected: a folder that may be written to") from error


_UNFIT = regex.compile(r"\s")
