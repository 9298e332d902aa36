"""Parsing PDF and DOCX in a process of its own, with limits of time and memory.

Their parsers can be made to run for ever or to eat all memory; a limit then costs
that file, not the run. One process serves many files and is replaced after a failure.
"""

from __future__ import annotations

import multiprocessing as mp
import os
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from index.documents import Article
from index.errors import ReadError
from index.settings import Limits


class ParserProcess:
    """A worker that parses one file at a time; usable as a context manager.

    Invariant: after any failure the worker is gone, and the next call starts a fresh one.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: Any = None
        self._connection: Connection | None = None

    def parse(self, kind: str, data: bytes) -> Article:
        """The article in `data`; `kind` is `pdf` or `docx`.

        Raises:
            ReadError: What the reader says, or that it ran over its time or memory.
        """
        connection = self._start()
        try:
            connection.send((kind, data))
        except OSError:  # it was ended from outside since the last file, which is not this one's fault
            self.close()
            connection = self._start()
            connection.send((kind, data))
        if not connection.poll(self._limits.parse_timeout_s):
            self.close()
            limit = f"{self._limits.parse_timeout_s:.0f} s"
            raise ReadError(f"a {kind} that took over {limit} to parse", f"at most {limit}", "open and save it anew")
        try:
            result = connection.recv()
        except (EOFError, OSError) as error:
            self.close()
            limit = f"{self._limits.parse_memory_bytes // 2**20} MiB"
            raise ReadError(
                f"a {kind} whose parser stopped (out of memory?)",
                f"one that parses in {limit}",
                "open and save it anew",
            ) from error
        if isinstance(result, ReadError):
            raise result
        if not isinstance(result, Article):
            raise ReadError(f"a damaged {kind} ({result})", f"a readable {kind}", "open and save it anew")
        return result

    def _start(self) -> Connection:
        if self._connection is None:
            context = mp.get_context("spawn")
            self._connection, theirs = context.Pipe()
            # Not a daemon child of an interactive shell: it must die with us, which daemon=True does.
            self._process = context.Process(target=_serve, args=(theirs, self._limits), daemon=True)
            self._process.start()
            theirs.close()
        return self._connection

    def close(self) -> None:
        """End the worker, if one runs."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None

    def __enter__(self) -> ParserProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _serve(connection: Connection, limits: Limits) -> None:
    _limit_memory(limits.parse_memory_bytes)
    while True:
        try:
            kind, data = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(_parse(kind, data, limits))


def _parse(kind: str, data: bytes, limits: Limits) -> Article | ReadError | str:
    from index.read.docx import read_docx
    from index.read.pdf import read_pdf

    reader = {"pdf": read_pdf, "docx": read_docx}[kind]
    try:
        return reader(data, limits)
    except ReadError as error:
        return error
    except MemoryError:
        os._exit(1)
    except Exception as error:  # noqa: BLE001 - the border of the sandbox: any failure of a parser is the file's
        return f"{type(error).__name__}: {str(error)[:200]}"


def _limit_memory(n_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit; the timeout still holds
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (n_bytes if hard < 0 else min(n_bytes, hard), hard))
