"""Output of the commands: data on stdout, messages and progress on stderr, nothing that drives the terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from index.report import Progress as IngestProgress

_C1 = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
_EVERY_S = 5.0  # between two lines of progress where there is no terminal


def out(payload: Any, as_json: bool, text: str) -> None:
    """Write data to stdout: JSON with `--json`, else text."""
    if as_json:
        # JSON escapes the C0 controls by itself; U+009B begins a command on a terminal just as ESC [ does.
        text = json.dumps(payload, ensure_ascii=False, indent=2).translate(_C1)
        sys.stdout.write(f"{text}\n")
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
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


@contextmanager
def progress(noun: str) -> Iterator[Callable[..., None]]:
    """Shows how many of all `noun` are done, and the time left: a bar on a terminal, else a line now and then.

    The function is called with the number done, that of all, and what else is to be shown.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    started = shown = time.monotonic()
    console = Console(stderr=True)
    columns = BarColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(noun, total=None)

        def update(done: int, total: int, more: str = "") -> None:
            nonlocal shown
            now = time.monotonic()
            left = f", {(now - started) / done * (total - done):.0f} s left" if done else ""
            text = f"{done:,}/{total:,} {noun}{left}{more}"
            bar.update(task, completed=done, total=total, description=text)
            if bar.disable and now - shown >= _EVERY_S:
                shown = now
                say(text)

        yield update


@contextmanager
def ingest_progress() -> Iterator[Callable[[IngestProgress], None]]:
    """Shows the progress of an ingest."""
    with progress("files") as update:
        yield lambda one: update(one.n_files_done, one.n_files, f", {one.n_passages:,} passages")
