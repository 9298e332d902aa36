"""Output of the commands: data on stdout, messages and progress on stderr, nothing that drives the terminal."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from index.report import Progress

# JSON escapes the C0 controls by itself; U+009B begins a command on a terminal just as ESC [ does.
_C1 = re.compile(r"[\x7f-\x9f]")
_EVERY_S = 5.0  # between two lines of progress where there is no terminal


def out(payload: Any, as_json: bool, text: str) -> None:
    """Write data to stdout: JSON with `--json`, else text."""
    if as_json:
        escaped = _C1.sub(
            lambda match: f"\\u{ord(match.group()):04x}", json.dumps(payload, ensure_ascii=False, indent=2)
        )
        sys.stdout.write(escaped + "\n")
        sys.stdout.flush()
    else:
        write(f"{text}\n")


def write(text: str) -> None:
    """Write text to stdout at once."""
    sys.stdout.write(without_controls(text))
    sys.stdout.flush()


def say(text: str) -> None:
    """Write a message to stderr."""
    sys.stderr.write(without_controls(text) + "\n")


def without_controls(text: str) -> str:
    """`text` without terminal control characters: a document must not drive the terminal."""
    return "".join(char for char in text if char in "\n\t" or (char.isprintable() or char == "\u200d"))


def use_utf8() -> None:
    """Answers are in every script: never fail because of the terminal's encoding."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace")


@contextmanager
def progress_bar() -> Iterator[Callable[[Progress], None]]:
    """Shows the progress of an ingest, on stderr."""
    with _bar("reading") as update:
        yield lambda progress: update(progress.n_files_done, progress.n_files, _progress_text(progress))


@contextmanager
def contextual_bar() -> Iterator[Callable[[int, int, float], None]]:
    """Shows how many passages have a contextual vector, on stderr."""
    with _bar("contextual vectors") as update:

        def show(done: int, total: int, seconds: float) -> None:
            left_s = (total - done) * seconds / done
            text = f"contextual vectors: {done:,}/{total:,} passages, {left_s:.0f} s left; the index can be searched"
            update(done, total, text)

        yield show


def _progress_text(progress: Progress) -> str:
    eta = f", {progress.eta_s:.0f} s left" if progress.n_files > 1 and progress.n_files_done else ""
    return (
        f"{progress.n_files_done}/{progress.n_files} files, {progress.n_documents:,} documents, "
        f"{progress.n_passages:,} passages, {progress.passages_per_s:,.0f}/s{eta}"
    )


@contextmanager
def counter(total: int, noun: str) -> Iterator[Callable[[], None]]:
    """Counts to `total`, on stderr."""
    started, done = time.monotonic(), 0
    with _bar(noun) as update:

        def count() -> None:
            nonlocal done
            done += 1
            left_s = (total - done) * (time.monotonic() - started) / done
            update(done, total, f"{done}/{total} {noun}, {left_s:.0f} s left")

        yield count


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int | None, str], None]]:
    """Shows (done, total, text): a bar on a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        last = time.monotonic()

        def line(done: int, total: int | None, text: str) -> None:
            nonlocal last
            if time.monotonic() - last >= _EVERY_S and done != total:
                last = time.monotonic()
                say(text)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    with Bar(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total, text: bar.update(task, completed=done, total=total, description=text)
