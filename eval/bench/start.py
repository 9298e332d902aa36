"""How long a cold start takes, each beside a bare interpreter."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from index.build import ingest
from index.encoders import load_encoder

SAMPLES = Path(__file__).parent.parent.parent / "ui" / "samples" / "articles"
_ROUNDS = 5


def starts(scratch: Path) -> Iterator[dict[str, Any]]:
    """Seconds, the median of a few, of commands over the sample articles, and how many times a bare interpreter's."""
    index = scratch / "index"
    ingest(index, [str(SAMPLES)], load_encoder("embedded"))
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
