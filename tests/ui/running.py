"""The command line and the server, run and looked at."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from index.ingest import ingest
from index.store.sqlite import EmbeddedBackend
from rag.answerers.base import Answerer, Task
from rag.chain import Chain, ChainSettings
from rag.events import Delta, Event
from rag.testing import HashEncoder, WordReader
from ui.server.keys import KeyFile, Scope


def indexed(folder: Path, texts: Mapping[str, str]) -> Path:
    """A small index of these files, by name, made with the encoder for tests."""
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    ingest(folder / "index", [str(folder / name) for name in texts], HashEncoder(), n_workers=1)
    return folder / "index"


@contextmanager
def small_chain(folder: Path, texts: Mapping[str, str], answerer: Answerer | None = None) -> Iterator[Chain]:
    """A chain over such an index, that answers every question."""
    backend = EmbeddedBackend(indexed(folder, texts))
    yield Chain(backend, HashEncoder(), answerer, ChainSettings(min_relevance=0.0), reader=WordReader())
    backend.close()


def feedback_in(folder: Path) -> list[Any]:
    """All feedback that was stored beside an index."""
    return [json.loads(line) for line in (folder / "feedback.jsonl").read_text("utf-8").splitlines()]


def with_key(folder: Path, *scopes: Scope) -> dict[str, str]:
    """The header with a new key."""
    return {"Authorization": f"Bearer {KeyFile(folder).add('-'.join(scopes), scopes)}"}


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


@dataclass(frozen=True)
class Served:
    """A server in a process of its own."""

    address: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def told(self) -> str:
        """All that it has written so far."""
        return self.log.read_text("utf-8")

    @property
    def told_json(self) -> list[dict[str, Any]]:
        """The same where its log is JSON."""
        return [json.loads(line) for line in self.told.splitlines()]


@contextmanager
def served(
    folder: Path, *arguments: object, code: str = "", settings: Mapping[str, Any] | None = None
) -> Iterator[Served]:
    """`dragoman serve` on a free port in an empty `folder`, or `code`, which is given the port as its first argument.

    `settings` are those of [server]. It is killed at the end where it still runs.
    """
    port = free_port()
    command: Sequence[object] = [sys.executable, "-m", "ui.cli", "serve", "--port", port, *arguments]
    if code:
        command = [sys.executable, "-c", code, port, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DRAGOMAN_")}
    environment |= {f"DRAGOMAN_SERVER_{name.upper()}": str(value) for name, value in (settings or {}).items()}
    environment |= {"PYTHONPATH": str(Path(__file__).parent.parent.parent)}
    folder.mkdir(exist_ok=True)
    log = folder / "server.log"
    with log.open("wb") as opened:
        process = subprocess.Popen(list(map(str, command)), cwd=folder, env=environment, stdout=opened, stderr=opened)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(process, address, log)
        yield Served(address, process, log)
    finally:
        process.kill()
        process.wait()


def wait_until(met: Callable[[], bool]) -> None:
    """Until it comes true, with a limit that only a hang reaches."""
    end = time.monotonic() + 60
    while not met():
        assert time.monotonic() < end
        time.sleep(0.01)


def wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text("utf-8")
        try:
            if httpx.get(f"{address}/readyz", trust_env=False, timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"not ready: {log.read_text('utf-8')}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def events_of(text: str) -> list[tuple[str, Any]]:
    """Name and data of each event of a stream, read as its specification says."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


class Endless:
    """An answerer that goes on until its stream is closed, as a model that writes and writes."""

    def __init__(self) -> None:
        self.n, self.begun, self.closed = 0, threading.Event(), threading.Event()

    def answer(self, task: Task) -> Iterator[Event]:
        try:
            while True:
                self.n += 1
                time.sleep(0.01)
                yield Delta("and ")
                self.begun.set()
        finally:
            self.closed.set()
