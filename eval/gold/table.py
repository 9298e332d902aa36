"""Gold questions as a table: a header, then one question a row.

The columns are id, question, lang, answerable (true or false), answers, evidence_doc, evidence_text, tags and, where a
grade is not 1, evidence_grade; others are passed over. A cell of the last five holds several values as `one | other`.
Inside a value `|` is written `\\|` and `\\` is written `\\\\`; a cell of one single `\\` holds one empty value. The
n-th text belongs to the n-th document; a single document is that of every text. An empty evidence_text is the whole
document.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import regex

from eval.gold.entry import Entry, truth
from eval.gold.items import GoldItem

_NEEDED = ("id", "question", "lang", "answerable")
_COLUMNS = (*_NEEDED, "answers", "evidence_doc", "evidence_text", "tags")
_GRADE = "evidence_grade"
_ESCAPED_OR_BAR = regex.compile(r"\\(?P<escaped>[\\|])| ?\| ?")
_EMPTY_VALUE = "\\"


def entries(text: str, delimiter: str) -> Iterator[Entry]:
    """The rows of a table as entries; only the header's problem where that cannot be used."""
    rows = _rows(text, delimiter)
    line, header, problem = next(rows, (1, [], ""))
    names = [name.strip().casefold() for name in header]
    problem = problem or _header_problem(names)
    if problem:
        yield Entry(line, problem=problem)
        return
    for begin, cells, broken in rows:
        why = broken or _too_long(cells, len(names))
        yield Entry(begin, problem=why) if why else _row_entry(begin, dict(zip(names, cells, strict=False)))


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str], str]]:
    """(line where it begins, cells, problem) of each row that is not blank."""
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = rows.line_num + 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, [], f'not CSV ({error}); expected: cells with a quote in quotes, and that quote as ""'
            continue
        if any(cell.strip() for cell in cells):
            yield line, cells, ""


def _header_problem(names: Sequence[str]) -> str:
    missing = [name for name in _NEEDED if name not in names]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if missing:
        return f"the header has no {', '.join(missing)}; expected: the columns {','.join(_COLUMNS)}"
    return f"the header has {', '.join(twice)} twice; expected: each column once" if twice else ""


def _too_long(cells: Sequence[str], n: int) -> str:
    return f"{len(cells)} cells; expected: {n}, as the header has; to mend: quote the cells" if any(cells[n:]) else ""


def _row_entry(line: int, row: dict[str, str]) -> Entry:
    values: dict[str, Any] = {name: row[name] for name in _NEEDED if row.get(name)}
    if "answerable" in values:
        values["answerable"] = truth(values["answerable"])
    values |= {name: _split(row.get(name, "")) for name in ("answers", "tags")}
    docs, texts, grades = (_split(row.get(name, "")) for name in ("evidence_doc", "evidence_text", _GRADE))
    docs = docs * len(texts) if len(docs) == 1 and len(texts) > 1 else docs
    texts, grades = texts or [""] * len(docs), grades or ["1"] * len(docs)
    if not len(docs) == len(texts) == len(grades):
        found = f"{len(docs)} documents, {len(texts)} texts and {len(grades)} grades of evidence"
        return Entry(line, problem=f"{found}; expected: as many of each; to mend: write a | inside a text as \\|")
    values["evidence"] = [
        {"doc": doc, "text": text, "grade": grade} for doc, text, grade in zip(docs, texts, grades, strict=True)
    ]
    return Entry(line, values)


def _split(cell: str) -> list[str]:
    """The values of a cell; an empty one has none."""
    if cell in ("", _EMPTY_VALUE):
        return [""] if cell else []
    values, position = [""], 0
    for match in _ESCAPED_OR_BAR.finditer(cell):
        values[-1] += cell[position : match.start()] + (match["escaped"] or "")
        if not match["escaped"]:
            values.append("")
        position = match.end()
    values[-1] += cell[position:]
    return values


def _joined(values: Iterable[str]) -> str:
    """The cell that `_split` reads as `values`."""
    escaped = [value.replace("\\", "\\\\").replace("|", "\\|") for value in values]
    return _EMPTY_VALUE if escaped == [""] else " | ".join(escaped)


def written(items: Sequence[GoldItem], delimiter: str) -> str:
    """The table that `entries` reads as `items`."""
    graded = any(evidence.grade != 1 for item in items for evidence in item.evidence)
    out = io.StringIO(newline="")
    # The writer quotes a cell with \n or \r only where they are its line end.
    rows = csv.writer(out, delimiter=delimiter, lineterminator="\r\n")
    rows.writerow((*_COLUMNS, _GRADE) if graded else _COLUMNS)
    for item in items:
        cells = (item.answers, [e.doc for e in item.evidence], [e.text for e in item.evidence], item.tags)
        grades = [_joined(str(e.grade) for e in item.evidence)] if graded else []
        answerable = str(item.answerable).lower()
        rows.writerow((item.id, item.question, item.lang, answerable, *map(_joined, cells), *grades))
    return out.getvalue()
