"""A gold set put to a chain from beginning to end: gone on with where it was stopped, kept, summed up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from eval.gold import GoldItem
from eval.runs.folder import FinishedRun, RunFolder, finished_runs, is_unfinished, read_about, read_run, versions
from eval.runs.rows import Row
from eval.runs.summary import summarise
from rag.chain import Chain

RUNS = "runs"  # the folder of runs, in the folder of their index


class Ask(Protocol):
    """Puts questions to a chain and tells of each row when it is there: `ask_all` or `ask_in_processes`, bound."""

    def __call__(self, items: Sequence[GoldItem], *, on_row: Callable[[Row], None]) -> list[Row]: ...


def run_gold(
    ask: Ask,
    items: Sequence[GoldItem],
    shape: Mapping[str, Any],
    folder: Path | None = None,
    *,
    price: tuple[float, float] | None = None,
    on_row: Callable[[Row], None] | None = None,
) -> FinishedRun:
    """The run of `items`; questions that an unfinished run in `folder` has answered are not asked again.

    Args:
        ask: Puts them to a chain.
        items: The questions.
        shape: All that the rows depend on, as `shape_of` gives it.
        folder: Where the run is kept; nowhere by default.
        price: Of a million tokens read and written.
        on_row: Told of each row, those that are there already among them.

    Raises:
        RunUnusable: Another run lies in `folder`.
    """
    kept = RunFolder.begin(folder, shape) if folder is not None else None
    done = kept.rows() if kept is not None else {}

    def add(row: Row) -> None:
        if kept is not None:
            kept.add(row)
        if on_row is not None:
            on_row(row)

    there = {item.id: done[item.id] for item in items if item.id in done and done[item.id].item == item}
    for row in there.values():
        if on_row is not None:
            on_row(row)
    missing = [item for item in items if item.id not in there]
    asked = ask(missing, on_row=add)
    rows = {**there, **{row.item.id: row for row in asked}}
    ordered = [rows[item.id] for item in items]
    summary = summarise(ordered, price)
    if kept is not None:
        kept.finish(summary)
        return read_run(kept.path)
    about = {"shape": dict(shape), "versions": versions(), "started": _now().isoformat(timespec="seconds")}
    return FinishedRun(Path("run"), about, ordered, summary)


def shape_of(chain: Chain, gold: Path, items: Sequence[GoldItem], named: Mapping[str, Any]) -> dict[str, Any]:
    """What the rows of a run depend on: the questions, the index, the settings; `named` are those of the session."""
    stats = chain.backend.stats()
    settings = chain.settings
    return {
        "gold": gold.name,
        "gold_sha256": hashlib.sha256(gold.read_bytes()).hexdigest(),
        "n_questions": len(items),
        "encoder": chain.encoder.name,
        "encoder_fingerprint": chain.encoder.fingerprint,
        "index_settings": chain.backend.settings.as_dict(),
        "index_generation": stats.generation,
        "n_documents": stats.n_documents,
        "n_passages": stats.n_passages,
        "k": settings.k,
        "min_relevance": settings.min_relevance,
        "search": asdict(settings.search),
        **named,
    }


def new_folder(runs: Path, gold: Path, shape: Mapping[str, Any]) -> Path:
    """Where a run is kept by default: the unfinished one of this shape, or a new folder named by time and gold file."""
    if runs.is_dir():
        for path in sorted(runs.iterdir(), reverse=True):
            if is_unfinished(path, shape):
                return path
    stem = f"{_now():%Y-%m-%dT%H-%M-%S}-{gold.stem[:60]}"
    found, number = runs / stem, 1
    while found.exists():
        number += 1
        found = runs / f"{stem}-{number}"
    return found


def last_run(runs: Path, gold_name: str, *, but: Path | None = None) -> Path | None:
    """The last finished run of a gold file of this name; None where there is none."""
    for path in reversed(finished_runs(runs)):
        if path != but and read_about(path)["shape"].get("gold") == gold_name:
            return path
    return None


def named_run(runs: Path, name: str) -> Path:
    """The folder of the run that is called so: a path, or its name in `runs`."""
    path = Path(name)
    return path if path.exists() or not (runs / name).exists() else runs / name


def _now() -> datetime:
    return datetime.now(UTC)
