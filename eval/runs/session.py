"""A gold file put to a chain from beginning to end: continued where it was stopped, kept, summed up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eval.gold import GoldItem
from eval.runs.ask import ask_each
from eval.runs.folder import FinishedRun, add_row, as_stored, begin, finish, is_finished, read_run, runs_in
from eval.runs.rows import Row
from eval.runs.summary import summarise
from rag.chain import Chain

RUNS = "runs"  # the folder of runs, in the folder of their index


def run_gold(
    chain: Chain,
    items: Sequence[GoldItem],
    shape: Mapping[str, Any],
    folder: Path,
    *,
    n_workers: int = 1,
    on_row: Callable[[Row], None] = lambda row: None,
) -> FinishedRun:
    """The run of `items`, kept in `folder`; questions that an unfinished run there has answered are not asked again.

    Args:
        chain: Asked.
        items: The questions.
        shape: All that the rows depend on, as `shape_of` gives it; `retrieval_only` among it.
        folder: Where the run is kept.
        n_workers: Questions asked at once.
        on_row: Called with each row, those that were there already included.

    Raises:
        RunUnusable: Another run lies in `folder`.
    """
    asked = set(items)
    rows = {row.item.id: row for row in begin(folder, shape) if row.item in asked}
    for row in rows.values():
        on_row(row)
    missing = [item for item in items if item.id not in rows]
    for row in ask_each(chain, missing, retrieval_only=shape["retrieval_only"], n_workers=n_workers):
        rows[row.item.id] = row
        add_row(folder, row)
        on_row(row)
    finish(folder, summarise([rows[item.id] for item in items]))
    return replace(read_run(folder), rows=[rows[item.id] for item in items])


def shape_of(chain: Chain, gold: Path, items: Sequence[GoldItem], session: Mapping[str, Any]) -> dict[str, Any]:
    """What the rows of a run depend on: the questions, the index, the settings; `session` is added to it."""
    stats, settings = chain.backend.stats(), chain.settings
    return {
        "gold": gold.name,
        "gold_sha256": hashlib.sha256(gold.read_bytes()).hexdigest(),
        "n_questions": len(items),
        "encoder": chain.encoder.name,
        "encoder_fingerprint": chain.encoder.fingerprint,
        "index_settings": asdict(chain.backend.settings),
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
    wanted = as_stored(shape)
    for path, about in reversed(runs_in(runs).items()):
        if about["shape"] == wanted and not is_finished(path):
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
