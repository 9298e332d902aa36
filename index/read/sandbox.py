"""Parsing in a process of its own, with limits of time and memory.

PDF and DOCX are always parsed there, files of others whatever their format: a parser can be made to run for ever or
to eat all memory, and a limit then costs that file, not the run. One process serves many files and is replaced after
a failure.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from index.documents import Article, Cleaned
from index.errors import ReadError, TooLarge
from index.settings import Limits

_ORPHAN_S = 10.0  # that a parser goes on over its time when nobody is left to end it


class Parser(Protocol):
    """What parses the formats that are not text."""

    def parse(self, kind: str, data: bytes) -> Article:
        """The article in `data`; `kind` is `pdf` or `docx`.

        Raises:
            ReadError: What the reader says.
        """
        ...


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
        article: Article = self._result(kind, _parse, kind, data)
        return article

    def documents(self, path: Path, source: str) -> list[Cleaned | ReadError]:
        """The documents of a file in any format, checked, read and cleaned in the worker.

        Raises:
            ReadError: It is not what its name says, cannot be read, or ran over its time or memory.
        """
        documents: list[Cleaned | ReadError] = self._result(path.suffix.lstrip("."), _documents, path, source)
        return documents

    def _result(self, kind: str, work: Callable[..., Any], *arguments: Any) -> Any:
        connection = self._start()
        try:
            connection.send((work, arguments))
        except OSError:  # it was ended from outside since the last file, which is not this one's fault
            self.close()
            connection = self._start()
            connection.send((work, arguments))
        if not connection.poll(self._limits.parse_timeout_s):
            self.close()
            limit = f"{self._limits.parse_timeout_s:.0f} s"
            raise ReadError(f"a {kind} that took over {limit} to parse", f"at most {limit}", "open and save it anew")
        try:
            result, problem = connection.recv()
        except (EOFError, OSError) as error:
            self.close()
            limit = f"{self._limits.parse_memory_bytes // 2**20} MiB"
            raise ReadError(
                f"a {kind} whose parser stopped (out of memory?)",
                f"one that parses in {limit}",
                "open and save it anew",
            ) from error
        if isinstance(problem, ReadError):
            raise problem
        if problem:
            raise ReadError(f"a damaged {kind} ({problem})", f"a readable {kind}", "open and save it anew")
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


class _Here:
    """Parses in the process that it is made in, which is the worker."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def parse(self, kind: str, data: bytes) -> Article:
        return _parse(self._limits, kind, data)


def _serve(connection: Connection, limits: Limits) -> None:
    _limit_memory(limits.parse_memory_bytes)
    while True:
        try:
            work, arguments = connection.recv()
        except (EOFError, OSError):
            return
        _end_in(limits.parse_timeout_s + _ORPHAN_S)
        outcome = _outcome(work, arguments, limits)
        _end_in(0)
        try:
            connection.send(outcome)
        except MemoryError:
            os._exit(1)


def _outcome(work: Callable[..., Any], arguments: tuple[Any, ...], limits: Limits) -> tuple[Any, ReadError | str]:
    """What came of the work, and what was wrong."""
    try:
        return work(limits, *arguments), ""
    except ReadError as error:
        return None, error
    except MemoryError:
        os._exit(1)
    except Exception as error:  # noqa: BLE001 - the border of the sandbox: any failure of a parser is the file's
        return None, f"{type(error).__name__}: {str(error)[:200]}"


def _parse(limits: Limits, kind: str, data: bytes) -> Article:
    from index.read.docx import read_docx
    from index.read.pdf import read_pdf

    reader = {"pdf": read_pdf, "docx": read_docx}[kind]
    return reader(data, limits)


def _documents(limits: Limits, path: Path, source: str) -> list[Cleaned | ReadError]:
    from index.read import Found, read_documents
    from index.read.kinds import check_kind

    check_kind(path)
    return [_to_send(one, limits) for one in read_documents(Found(path, source), _Here(limits), limits)]


def _to_send(one: Cleaned | ReadError, limits: Limits) -> Cleaned | ReadError:
    """Without what was removed, which nobody looks at, and no longer than may be stored: the asker must hold it."""
    if isinstance(one, ReadError):
        return one
    n_chars, most = len(one.document.text), limits.max_document_chars
    if n_chars > most:
        return TooLarge(f"{one.part} {n_chars:,} characters in one document".strip(), f"at most {most:,}", "split it")
    return replace(one, document=replace(one.document, removed=()))


def _limit_memory(n_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limit; the timeout still holds
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (n_bytes if hard < 0 else min(n_bytes, hard), hard))


def _end_in(seconds: float) -> None:
    """Have the system end this process then, also where who started it was killed and cannot; 0 takes it back."""
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_REAL, seconds)
