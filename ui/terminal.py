"""How the commands talk: data on stdout, talk and progress on stderr, nothing that drives the terminal."""

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


def out(payload: Any, as_json: bool, text: str) -> None:
    """Data to stdout: JSON with `--json`, else text."""
    from ui.render import without_controls

    shown = _C1.sub(_escaped, json.dumps(payload, ensure_ascii=False, indent=2)) if as_json else without_controls(text)
    sys.stdout.write(shown + "\n")
    sys.stdout.flush()


# JSON escapes the C0 controls by itself; U+009B begins a command on a terminal just as ESC [ does.
_C1 = re.compile(r"[\x7f-\x9f]")


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def say(text: str) -> None:
    """Talk to stderr."""
    from ui.render import without_controls

    sys.stderr.write(without_controls(text) + "\n")


def use_utf8() -> None:
    """Answers are in every script: never fail for the terminal's encoding."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace")


@contextmanager
def progress_bar() -> Iterator[Callable[[Progress], None] | None]:
    """A bar on a terminal, a line now and then elsewhere; both on stderr."""
    if not sys.stderr.isatty():
        last = time.monotonic()

        def line(progress: Progress) -> None:
            nonlocal last
            if time.monotonic() - last >= 5:
                last = time.monotonic()
                say(_progress_text(progress))

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    with Bar(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def update(progress: Progress) -> None:
            bar.update(
                task, total=progress.n_files, completed=progress.n_files_done, description=_progress_text(progress)
            )

        yield update


def _progress_text(progress: Progress) -> str:
    eta = f", {progress.eta_s:.0f} s left" if progress.n_files > 1 and progress.n_files_done else ""
    return (
        f"{progress.n_files_done}/{progress.n_files} files, {progress.n_documents:,} documents, "
        f"{progress.n_passages:,} passages, {progress.passages_per_s:,.0f}/s{eta}"
    )


@contextmanager
def counter(total: int, noun: str) -> Iterator[Callable[[], None]]:
    """Counts to `total`: a bar on a terminal, a line now and then elsewhere; both on stderr."""
    if not sys.stderr.isatty():
        started = last = time.monotonic()
        done = 0

        def count() -> None:
            nonlocal last, done
            done += 1
            now = time.monotonic()
            if now - last >= 5 and done < total:
                last = now
                say(f"{done}/{total} {noun}, {(total - done) * (now - started) / done:.0f} s left")

        yield count
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(noun, total=total)
        yield lambda: bar.advance(task)
