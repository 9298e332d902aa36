"""A gold file put to a chain from beginning to end: continued where it was stopped, kept, summed up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eval.gold import GoldItem
from eval.runs.ask import ask_all
from eval.runs.folder import (
    FinishedRun,
    about_run,
    add_row,
    begin,
    finish,
    is_finished,
    read_about,
    runs_in,
    unfinished_run,
)
from eval.runs.rows import Row
from eval.runs.summary import summarise
from rag.chain import Chain

RUNS = "runs"  # the folder of runs, in the folder of their index


def run_gold(
    chain: Chain,
    items: Sequence[GoldItem],
    shape: Mapping[str, Any],
    folder: Path | None,
    *,
    n_workers: int = 1,
    on_row: Callable[[Row], None] | None = None,
) -> FinishedRun:
    """The run of `items`; questions that an unfinished run in `folder` has answered are not asked again.

    Args:
        chain: Asked.
        items: The questions.
        shape: All that the rows depend on, as `shape_of` gives it; `retrieval_only` among it.
        folder: Where the run is kept; nowhere if None.
        n_workers: Questions asked at once.
        on_row: Called with each row, those that were there already included.

    Raises:
        RunUnusable: Another run lies in `folder`.
    """
    kept = {row.item.id: row for row in begin(folder, shape)} if folder else {}
    rows = {item.id: kept[item.id] for item in items if item.id in kept and kept[item.id].item == item}
    if on_row:
        for row in rows.values():
            on_row(row)

    def add(row: Row) -> None:
        rows[row.item.id] = row
        if folder:
            add_row(folder, row)
        if on_row:
            on_row(row)

    missing = [item for item in items if item.id not in rows]
    ask_all(chain, missing, retrieval_only=shape["retrieval_only"], n_workers=n_workers, on_row=add)
    ordered = [rows[item.id] for item in items]
    summary = summarise(ordered)
    if folder:
        finish(folder, summary)
    about = read_about(folder) if folder else about_run(shape)
    return FinishedRun(folder or Path("run"), about, ordered, summary)


def shape_of(chain: Chain, gold: Path, items: Sequence[GoldItem], session: Mapping[str, Any]) -> dict[str, Any]:
    """What the rows of a run depend on: the questions, the index, the settings; `session` is added to it."""
    stats, settings = chain.backend.stats(), chain.settings
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
        **session,
    }


def new_folder(runs: Path, gold: Path, shape: Mapping[str, Any]) -> Path:
    """Where a run is kept by default: the unfinished one of this shape, or a new folder named by time and gold file."""
    if path := unfinished_run(runs, shape):
        return path
    stem = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}-{gold.stem[:60]}"
    names = [stem, *(f"{stem}-{number}" for number in range(2, 100))]
    return next(path for name in names if not (path := runs / name).exists())


def last_run(runs: Path, gold_name: str, *, but: Path) -> Path | None:
    """The last finished run of a gold file of this name, other than `but`."""
    found = [path for path, about in runs_in(runs).items() if about["shape"].get("gold") == gold_name]
    return next((path for path in reversed(found) if path != but and is_finished(path)), None)


def named_run(runs: Path, name: str) -> Path:
    """The folder of the run that is called so: a path, or its name in `runs`."""
    path = Path(name)
    return path if path.exists() or not (runs / name).exists() else runs / name
