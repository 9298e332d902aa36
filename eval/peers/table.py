"""The figures as Markdown tables that also read well in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eval.peers.measure import MEASURES

_SPEED = {
    "n_passages": ("passages", "{:,.0f}"),
    "passages_per_s": ("passages/s", "{:,.0f}"),
    "characters_per_s": ("characters/s", "{:,.0f}"),
    "ingest_cpu_s": ("CPU s", "{:,.1f}"),
    "p50_ms": ("p50 ms", "{:.1f}"),
    "p95_ms": ("p95 ms", "{:.1f}"),
    "memory_mib": ("memory MiB", "{:,.0f}"),
    "disk_mib": ("disk MiB", "{:,.1f}"),
    "cold_start_s": ("cold start s", "{:.1f}"),
}
_COMPARED = ("characters_per_s", "ingest_cpu_s", "p50_ms", "p95_ms", "memory_mib", "disk_mib", "cold_start_s")
_GROUPS = {
    "own": "Questions in the document's own language",
    "cross": "Questions in another language than the document's",
    "all": "All questions",
}


def as_text(figures: Mapping[str, Any]) -> str:
    """All tables of all sets, those of quality first, then speed, ratios and what failed."""
    return "\n\n".join(block for name, part in figures["sets"].items() for block in _blocks(name, part)) + "\n"


def _blocks(name: str, part: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"# {name}: {part['about']}\n{part['n_documents']:,} documents, {part['n_chars']:,} characters, "
        f"{part['n_questions']:,} questions"
    )
    done = {label: row for label, row in part["systems"].items() if "failed" not in row}
    bases = [label for label, row in done.items() if row["peer"] == "dragoman"]
    for group in _groups(done):
        yield f"{_GROUPS[group]}:\n\n{_quality(done, group, bases)}"
    if part["timed"] and done:
        yield f"Speed:\n\n{_speed(done)}"
        for base in bases if len(done) > 1 else ():
            yield f"As many times as {base}:\n\n{_ratios(done, base)}"
    failed = [f"- {label}: {row['failed']}" for label, row in part["systems"].items() if "failed" in row]
    if failed:
        yield "Failed:\n\n" + "\n".join(failed)


def _groups(done: Mapping[str, Any]) -> list[str]:
    """The groups that have questions: the two by language, or all where no languages are known."""
    there = {group for row in done.values() for group in row["quality"]}
    return [group for group in ("own", "cross") if group in there] or sorted(there)


def _quality(done: Mapping[str, Any], group: str, bases: Sequence[str]) -> str:
    """Measures by system, and nDCG as a share of that of each of Dragoman's own rows."""
    rows = []
    for label, row in done.items():
        values = row["quality"][group]
        ratios = [_ratio(values["ndcg@10"], done[base]["quality"][group]["ndcg@10"]) for base in bases]
        rows.append([label, f"{values['n']}", *(f"{values[name]:.3f}" for name in MEASURES), *ratios])
    return grid(["", "n", *MEASURES, *(f"nDCG : {base}" for base in bases)], rows)


def _speed(done: Mapping[str, Any]) -> str:
    rows = [
        [label, *(_cell(row["speed"][key], form) for key, (_, form) in _SPEED.items())] for label, row in done.items()
    ]
    return grid(["", *(title for title, _ in _SPEED.values())], rows)


def _ratios(done: Mapping[str, Any], base: str) -> str:
    rows = [
        [label, *(_ratio(row["speed"][key], done[base]["speed"][key]) for key in _COMPARED)]
        for label, row in done.items()
        if label != base
    ]
    return grid(["", *(_SPEED[key][0] for key in _COMPARED)], rows)


def _cell(value: float, form: str) -> str:
    return form.format(value) if value else "-"


def _ratio(value: float, base: float) -> str:
    """Two significant digits."""
    if not value or not base:
        return "-"
    ratio = value / base
    return f"{ratio:.0f}" if ratio >= 100 else f"{ratio:.2g}"


def grid(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns padded to one width, all but the first to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [header, rule, *rows]
    return "\n".join(
        "| "
        + " | ".join(_padded(cell, width, i) for i, (cell, width) in enumerate(zip(line, widths, strict=True)))
        + " |"
        for line in lines
    )


def _padded(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)
