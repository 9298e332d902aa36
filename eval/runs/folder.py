"""A run on disk: a folder with what shaped it, a row a question, and the summary; resumable, and never half-written.

`run.json` names the questions, the index and the settings. `questions.jsonl` has a row of each question, written as
they come. `summary.json` is there once the run is finished. A run that was killed is continued.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from eval.errors import RunUnusable
from eval.runs.rows import Row, read_row, row_json

FORMAT = 2
_RUN, _ROWS, _SUMMARY = "run.json", "questions.jsonl", "summary.json"
_PACKAGES = ("dragoman", "numpy", "faiss-cpu", "ir-measures", "langchain-core", "torch", "sentence-transformers")


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run read back; `about` holds `started`, `versions`, and `shape`: all that its rows depend on."""

    path: Path
    about: Mapping[str, Any]
    rows: Sequence[Row]
    summary: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path.name


def begin(path: Path, shape: Mapping[str, Any]) -> list[Row]:
    """Begin a run in `path`, or continue the unfinished one of this shape; the rows that it has already.

    Raises:
        RunUnusable: A finished run lies there, or one of another shape, or something else does.
    """
    if is_finished(path):
        raise RunUnusable(f"{path} holds a finished run; fix: name another folder, or remove it")
    if (path / _RUN).exists():
        own, wanted = read_about(path)["shape"], as_stored(shape)
        if differ := sorted(name for name in {*own, *wanted} if own.get(name) != wanted.get(name)):
            found = f"{path} holds an unfinished run with other settings ({', '.join(differ)})"
            raise RunUnusable(f"{found}; fix: name another folder, or remove it")
        return _read_rows(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunUnusable(f"{path} is there and is no run; fix: name a new folder")
    path.mkdir(parents=True, exist_ok=True)
    _write(path / _RUN, _about(shape))
    return []


def add_row(path: Path, row: Row) -> None:
    """Append a row, at once."""
    line = json.dumps(row_json(row), ensure_ascii=False).encode("utf-8", "replace")
    # The line end comes first: a line that a kill cut off is ended by it, and not read.
    with (path / _ROWS).open("ab") as file:
        file.write(b"\n" + line)


def finish(path: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary: the run is finished."""
    _write(path / _SUMMARY, summary)


def read_run(path: Path) -> FinishedRun:
    """The finished run in `path`.

    Raises:
        RunUnusable: There is none, or it is not finished, or it is damaged, or of another version.
    """
    about = read_about(path)
    if not is_finished(path):
        raise RunUnusable(f"the run in {path} is not finished; fix: run the same command again, which continues it")
    return FinishedRun(path, about, _read_rows(path), _read(path / _SUMMARY))


def runs_in(folder: Path) -> dict[Path, dict[str, Any]]:
    """What the runs in `folder` say of themselves, oldest first; those of another version are left out."""
    found = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(RunUnusable):
            found[path] = read_about(path)
    return dict(sorted(found.items(), key=lambda pair: (str(pair[1].get("started")), pair[0].name)))


def is_finished(path: Path) -> bool:
    """Whether the run in `path` has its summary."""
    return (path / _SUMMARY).exists()


def read_about(path: Path) -> dict[str, Any]:
    """What a run says of itself.

    Raises:
        RunUnusable: There is none, or it is damaged, or of another version.
    """
    if not (path / _RUN).exists():
        raise RunUnusable(f"there is no run in {path}; expected: a folder with {_RUN}")
    about = _read(path / _RUN)
    if about.get("format") != FORMAT or not isinstance(about.get("shape"), dict):
        raise RunUnusable(f"the run in {path} was written by another version; fix: run it again")
    return about


def as_stored(shape: Mapping[str, Any]) -> dict[str, Any]:
    """A shape as it is read back from disk."""
    stored: dict[str, Any] = json.loads(json.dumps(shape, sort_keys=True, default=str))
    return stored


def _about(shape: Mapping[str, Any]) -> dict[str, Any]:
    versions = {"python": platform.python_version(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return {"format": FORMAT, "started": started, "shape": as_stored(shape), "versions": versions}


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RunUnusable(f"{path} cannot be read ({error}); fix: run it again") from error


def _read_rows(path: Path) -> list[Row]:
    lines = (path / _ROWS).read_bytes().split(b"\n") if (path / _ROWS).exists() else []
    rows: dict[str, Row] = {}
    for line in lines:
        with suppress(ValueError):  # cut off by a kill, or empty
            row = read_row(line)
            rows[row.item.id] = row
    return list(rows.values())


def _write(path: Path, values: Mapping[str, Any]) -> None:
    """Write beside and rename over: a reader sees a whole file or none."""
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", "utf-8")
    beside.replace(path)
