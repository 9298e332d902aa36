"""The command line, run and looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document that stdout holds."""
        return json.loads(self.out)


def shell(*arguments: object, **options: Any) -> Ran:
    """The command, run in a process of its own."""
    command = [sys.executable, "-m", "ui.cli", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False, **options)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def assert_one_line_error(ran: Ran, *words: str) -> None:
    assert ran.code == 1
    assert ran.out == ""
    (line,) = ran.err.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line
