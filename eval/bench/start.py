"""How long a cold start takes, each beside a bare interpreter."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from eval.latency.articles import sentence_pools, write_articles
from index.encoders import load_encoder
from index.ingest import ingest

_CHARS = 100_000  # of the articles that are asked
_ROUNDS = 5


def starts(data: Path, scratch: Path) -> Iterator[dict[str, Any]]:
    """Seconds, the median of a few, of commands over a small index, and how many times a bare interpreter's."""
    index = scratch / "index"
    write_articles(scratch / "articles.jsonl", sentence_pools(data), _CHARS, seed=0)
    ingest(index, [str(scratch / "articles.jsonl")], load_encoder("embedded"))
    commands = {
        "a bare interpreter": ("-c", "pass"),
        "dragoman --version": ("-m", "ui.cli", "--version"),
        "dragoman list": ("-m", "ui.cli", "list", "--index", str(index)),
        "dragoman ask": ("-m", "ui.cli", "ask", "Kimchi?", "--index", str(index)),
    }
    times = {name: median(_seconds(command) for _ in range(_ROUNDS)) for name, command in commands.items()}
    bare = times["a bare interpreter"]
    for name, seconds in times.items():
        yield {"command": name, "seconds": round(seconds, 4), "times_bare": round(seconds / bare, 2)}


def _seconds(arguments: tuple[str, ...]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)  # noqa: S603 - our own commands
    return time.perf_counter() - started
