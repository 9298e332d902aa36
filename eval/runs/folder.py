"""A run on disk: a folder with what shaped it, a row a question, and the summary; resumable, and never half-written.

`run.json` says what was run and with what; `questions.jsonl` has a row of each question, written as they come;
`summary.json` is there once the run is finished. What a kill leaves behind is gone on with.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from eval.errors import RunUnusable
from eval.runs.rows import Row, read_row, row_json

FORMAT = 1
_RUN, _ROWS, _SUMMARY = "run.json", "questions.jsonl", "summary.json"
_PACKAGES = ("dragoman", "numpy", "faiss-cpu", "langchain-core", "torch", "sentence-transformers")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """An open run; `shape` is all that its rows depend on."""

    path: Path
    shape: Mapping[str, Any]

    @classmethod
    def begin(cls, path: Path, shape: Mapping[str, Any]) -> RunFolder:
        """A new run in `path`, or the unfinished one of the same shape that lies there.

        Raises:
            RunUnusable: A finished run lies there, or one of another shape, or something else does.
        """
        shape = _as_stored(shape)
        if (path / _RUN).exists():
            own = read_about(path)
            if (path / _SUMMARY).exists():
                raise RunUnusable(f"{path} holds a finished run; to mend: name another folder, or remove it")
            differ = sorted(name for name in {*own["shape"], *shape} if own["shape"].get(name) != shape.get(name))
            if differ:
                raise RunUnusable(
                    f"{path} holds an unfinished run of another kind ({', '.join(differ)} differ);"
                    " to mend: name another folder, or remove it"
                )
            return cls(path, shape)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunUnusable(f"{path} is there and is no run; to mend: name a folder that is not there yet")
        path.mkdir(parents=True, exist_ok=True)
        about = {
            "format": FORMAT,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "shape": shape,
            "versions": versions(),
        }
        _write(path / _RUN, about)
        return cls(path, shape)

    def rows(self) -> dict[str, Row]:
        """The rows that are there, by the id of their question; one that was cut off is left out."""
        return {row.item.id: row for row in _read_rows(self.path)}

    def add(self, row: Row) -> None:
        """Keep a row, whole and at once."""
        line = json.dumps(row_json(row), ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
        with (self.path / _ROWS).open("ab") as file:
            if file.tell() and not _ends_whole(self.path / _ROWS):
                file.write(b"\n")  # what a kill cut off stays a line of its own, which is not read
            file.write(line)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the summary: the run is finished."""
        _write(self.path / _SUMMARY, summary)


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run read back."""

    path: Path
    about: Mapping[str, Any]
    rows: Sequence[Row]
    summary: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.path.name


def read_run(path: Path) -> FinishedRun:
    """The finished run in `path`.

    Raises:
        RunUnusable: There is none, or it is not finished, or it is damaged, or of a newer version.
    """
    about = read_about(path)
    try:
        summary = json.loads((path / _SUMMARY).read_text("utf-8"))
    except FileNotFoundError:
        raise RunUnusable(
            f"the run in {path} is not finished; to mend: run the same command again, which goes on from there"
        ) from None
    except (OSError, ValueError) as error:
        raise RunUnusable(f"the run in {path} cannot be read ({error}); to mend: run it again") from error
    return FinishedRun(path, about, _read_rows(path), summary)


def finished_runs(folder: Path) -> list[Path]:
    """The folders of finished runs in `folder`, oldest first."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if (path / _SUMMARY).is_file() and (path / _RUN).is_file()]
    return sorted(found, key=lambda path: (read_about(path).get("started", ""), path.name))


def is_unfinished(path: Path, shape: Mapping[str, Any]) -> bool:
    """Whether an unfinished run of this shape lies in `path`."""
    if not (path / _RUN).is_file() or (path / _SUMMARY).exists():
        return False
    try:
        return bool(read_about(path)["shape"] == _as_stored(shape))
    except RunUnusable:
        return False


def _as_stored(shape: Mapping[str, Any]) -> dict[str, Any]:
    """`shape` as it comes back from disk."""
    stored: dict[str, Any] = json.loads(json.dumps(shape, ensure_ascii=False, sort_keys=True, default=str))
    return stored


def versions() -> dict[str, str]:
    """Of Python and of the packages that shape the figures; those that are installed."""
    found = {"python": platform.python_version(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def read_about(path: Path) -> dict[str, Any]:
    """What a run says of itself.

    Raises:
        RunUnusable: There is none, or it is damaged, or of another version.
    """
    try:
        about: dict[str, Any] = json.loads((path / _RUN).read_text("utf-8"))
    except FileNotFoundError:
        raise RunUnusable(f"there is no run in {path}; expected: a folder with {_RUN}") from None
    except (OSError, ValueError) as error:
        raise RunUnusable(f"the run in {path} cannot be read ({error}); to mend: run it again") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT or not isinstance(about.get("shape"), dict):
        raise RunUnusable(f"the run in {path} was written by another version; to mend: run it again")
    return about


def _read_rows(path: Path) -> list[Row]:
    try:
        lines = (path / _ROWS).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    rows: dict[str, Row] = {}
    for number, line in enumerate(lines, 1):
        try:
            row = read_row(json.loads(line), f"{path / _ROWS}, line {number}")
        except (ValueError, KeyError, TypeError):  # cut off by a kill, or empty
            continue
        rows[row.item.id] = row
    return list(rows.values())


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _write(path: Path, values: Mapping[str, Any]) -> None:
    """Write beside and rename over: a reader sees a whole file or none."""
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", "utf-8")
    beside.replace(path)
