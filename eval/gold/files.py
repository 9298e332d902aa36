"""Gold files: JSON lines (one object a line), and CSV (a header, then one question a row).

The columns of CSV are id, question, lang, answerable (true or false), answers, evidence_doc, evidence_text, tags, need.
A cell holds several answers, documents, texts or tags as `one | other`; inside a value `|` is written `\\|`. The n-th
text belongs to the n-th document; a single document is that of every text. Cells may be parted by commas, semicolons
or tabs.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex

from eval.errors import GoldError
from eval.gold.items import GoldItem, as_item, as_values

_MAX_BYTES = 256 * 2**20
_MAX_SHOWN = 20  # broken lines
_TABLES = (".csv", ".tsv")
_COLUMNS = ("id", "question", "lang", "answerable", "answers", "evidence_doc", "evidence_text", "tags", "need")
_BAR = regex.compile(r"(?<!\\) ?\| ?")


@dataclass(frozen=True, slots=True)
class Entry:
    """The unchecked values of one question, or the `problem` that prevents reading them; `line` counts from 1."""

    line: int
    values: Any = None
    problem: str = ""


def read_gold(path: Path) -> list[GoldItem]:
    """The questions in a gold file; a file that is not `.csv` or `.tsv` is read as JSON lines.

    Raises:
        GoldError: An entry is broken, an id occurs twice, or there is no question at all; all broken lines are named.
    """
    items: dict[str, GoldItem] = {}
    broken: list[str] = []
    for entry in read_entries(path):
        where = f"{path}, line {entry.line}"
        try:
            if entry.problem:
                raise GoldError(f"{where}: {entry.problem}")
            item = as_item(entry.values, where)
            if item.id in items:
                raise GoldError(f"{where}: the id {item.id!r} occurs twice; expected: ids used once")
            items[item.id] = item
        except GoldError as error:
            broken.append(str(error))
    if broken:
        more = f"\nand {len(broken) - _MAX_SHOWN} more" if len(broken) > _MAX_SHOWN else ""
        raise GoldError("\n".join(broken[:_MAX_SHOWN]) + more)
    if not items:
        raise GoldError(f"{path} holds no question; expected: JSON lines, or a header and rows")
    return list(items.values())


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of a gold file in order, broken ones with their problem.

    Raises:
        GoldError: The file as a whole cannot be read.
    """
    text = read_text(path)
    return _table_entries(text) if path.suffix.lower() in _TABLES else _json_entries(text)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, without a byte order mark.

    Raises:
        GoldError: It cannot be read, or is too large.
    """
    try:
        if (size := path.stat().st_size) > _MAX_BYTES:
            raise GoldError(f"{path} has {size / 2**20:.0f} MiB; expected: at most {_MAX_BYTES // 2**20}; split it")
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise GoldError(f"{path} cannot be read ({error}); expected: text in UTF-8") from error


def write_gold(items: Iterable[GoldItem], path: Path) -> None:
    """Write JSON lines that `read_gold` reads as these items; the file is replaced as a whole."""
    beside = path.with_name(f"{path.name}.tmp")
    beside.write_text("".join(json.dumps(as_values(item), ensure_ascii=False) + "\n" for item in items), "utf-8")
    beside.replace(path)


def _json_entries(text: str) -> Iterator[Entry]:
    # splitlines would also split at a U+2028 inside a string
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield Entry(number, json.loads(line))
        except (ValueError, RecursionError) as error:
            yield Entry(number, problem=f"not JSON ({error}); expected: one object a line")


def _table_entries(text: str) -> Iterator[Entry]:
    header = text.lstrip().partition("\n")[0]
    delimiter = next((sign for sign in ("\t", ",", ";") if sign in header), ",")
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        rows.fieldnames = [name.strip().casefold() for name in rows.fieldnames or ()]
        if missing := [name for name in _COLUMNS[:4] if name not in rows.fieldnames]:
            yield Entry(1, problem=f"the header has no {', '.join(missing)}; expected: {','.join(_COLUMNS)}")
            return
        for row in rows:
            cells = [cell for cell in row.values() if isinstance(cell, str)]
            if any(cell.strip() for cell in cells):
                yield _row_entry(rows.line_num - sum(cell.count("\n") for cell in cells), row)
    except csv.Error as error:
        yield Entry(rows.reader.line_num, problem=f"not CSV ({error}); expected: quotes in a quoted cell doubled")


def _row_entry(line: int, row: dict[Any, Any]) -> Entry:
    if any(row.pop(None, None) or ()):
        return Entry(line, problem="more cells than the header has; fix: put the cells in quotes")
    values = {name: cell for name, cell in row.items() if name in _COLUMNS and not name.startswith("evidence") and cell}
    answerable = str(values.get("answerable", "")).strip().casefold()
    values["answerable"] = {"true": True, "false": False}.get(answerable, values.get("answerable"))
    values |= {name: _split(row.get(name)) for name in ("answers", "tags")}
    docs, texts = _split(row.get("evidence_doc")), _split(row.get("evidence_text"))
    docs = docs * len(texts) if len(docs) == 1 and texts else docs
    texts = texts or [""] * len(docs)
    if len(docs) != len(texts):
        return Entry(line, problem=f"{len(docs)} documents, {len(texts)} texts; expected: as many; write | as \\|")
    return Entry(line, {**values, "evidence": [{"doc": d, "text": t} for d, t in zip(docs, texts, strict=True)]})


def _split(cell: str | None) -> list[str]:
    """The values of a cell; an empty one has none."""
    return [value.replace("\\|", "|") for value in _BAR.split(cell)] if cell else []
