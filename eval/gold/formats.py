"""Gold files: JSON lines, CSV and YAML to questions and back, by the suffix of the file's name.

JSON lines (`.jsonl`, `.ndjson`, `.json-lines`): one object a line. YAML (`.yaml`, `.yml`): a list of the same
objects, every scalar taken as the text that stands there (`lang: no` is Norwegian, `12:30` is no number).

CSV and TSV (`.csv`, `.tsv`): a header, then one question a row, as `eval.gold.table` says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path

from eval.errors import GoldError
from eval.gold import table, yaml_list
from eval.gold.entry import Entry
from eval.gold.items import GoldItem, as_item, as_values

_MAX_BYTES = 256 * 2**20  # of a gold file; MKQA in 26 languages is a fifth of that


class Format(StrEnum):
    """How a gold file is written."""

    JSON_LINES = "JSON lines"
    CSV = "CSV"
    TSV = "TSV"
    YAML = "YAML"


_SUFFIXES = {
    ".jsonl": Format.JSON_LINES, ".ndjson": Format.JSON_LINES, ".json-lines": Format.JSON_LINES,
    ".csv": Format.CSV, ".tsv": Format.TSV, ".yaml": Format.YAML, ".yml": Format.YAML,
}  # fmt: skip


def read_gold(path: Path) -> list[GoldItem]:
    """The questions in a gold file; one of another suffix is read as JSON lines.

    Raises:
        GoldError: An entry is broken, an id occurs twice, or there is no question at all.
    """
    items: list[GoldItem] = []
    seen: set[str] = set()
    for entry in read_entries(path):
        where = f"{path}, line {entry.line}"
        if entry.problem:
            raise GoldError(f"{where}: {entry.problem}")
        item = as_item(entry.values, where)
        if item.id in seen:
            raise GoldError(f"{where}: the id {item.id!r} occurs twice; expected: ids used once")
        seen.add(item.id)
        items.append(item)
    if not items:
        raise GoldError(f"{path} holds no question; expected: {_EXPECTED[_format_of(path)]}")
    return items


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of a gold file in order, broken ones with their problem.

    Raises:
        GoldError: The file as a whole cannot be read.
    """
    kind = _format_of(path)
    text = _text(path, kind)
    if kind is Format.YAML:
        return yaml_list.entries(text)
    return _json_entries(text) if kind is Format.JSON_LINES else table.entries(text, _delimiter(kind, text))


def write_gold(items: Sequence[GoldItem], path: Path) -> None:
    """Write a gold file that `read_gold` reads as these items; what stood there before is replaced at once.

    CSV begins with a byte order mark, without which spreadsheets take its Chinese and Korean for Latin.

    Raises:
        GoldError: There is no item, an id occurs twice, the suffix is unknown, or it cannot be written.
    """
    kind = _SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise GoldError(f"{path} ends in {path.suffix or 'no suffix'}; expected: one of {', '.join(_SUFFIXES)}")
    _check_all(items, path)
    beside = path.with_name(f"{path.name}.tmp")
    try:
        beside.write_bytes(_written(items, kind).encode("utf-8-sig" if kind in (Format.CSV, Format.TSV) else "utf-8"))
        beside.replace(path)
    except (OSError, UnicodeEncodeError) as error:
        beside.unlink(missing_ok=True)
        raise GoldError(f"{path} cannot be written ({error}); expected: text that UTF-8 can hold, a folder") from error


_EXPECTED = {
    Format.JSON_LINES: "one JSON object a line",
    Format.CSV: "a header and one question a row",
    Format.TSV: "a header and one question a row",
    Format.YAML: "a list of objects",
}


def _format_of(path: Path) -> Format:
    return _SUFFIXES.get(path.suffix.lower(), Format.JSON_LINES)


def _text(path: Path, kind: Format) -> str:
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise GoldError(f"{path} has {size / 2**20:.0f} MiB; expected: at most {_MAX_BYTES // 2**20}; split it")
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise GoldError(f"{path} cannot be read ({error}); expected: {kind} in UTF-8") from error


def _check_all(items: Sequence[GoldItem], path: Path) -> None:
    """Refuse what `read_gold` would not read back."""
    if not items:
        raise GoldError(f"no question to write to {path}; expected: one at least")
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise GoldError(f"{path}: the id {item.id!r} occurs twice; expected: ids used once")
        seen.add(item.id)


def _written(items: Sequence[GoldItem], kind: Format) -> str:
    values = [as_values(item) for item in items]
    if kind is Format.JSON_LINES:
        return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in values)
    if kind is Format.YAML:
        return yaml_list.written(values)
    return table.written(items, "\t" if kind is Format.TSV else ",")


def _json_entries(text: str) -> Iterator[Entry]:
    # splitlines would also split at a U+2028 inside a string
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield Entry(number, json.loads(line))
        except (ValueError, RecursionError) as error:
            yield Entry(number, problem=f"not JSON ({error}); expected: {_SHAPE}")


_SHAPE = "an object with id, question, lang, answerable, answers, evidence"


def _delimiter(kind: Format, text: str) -> str:
    """Of TSV the tab; of CSV the comma, or the semicolon that some spreadsheets save, where the header has no comma."""
    if kind is Format.TSV:
        return "\t"
    header = text.lstrip().partition("\n")[0]
    return ";" if ";" in header and "," not in header else ","
