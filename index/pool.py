"""A pool of processes with limits of time and memory, on `concurrent.futures.ProcessPoolExecutor`."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

_GRACE_S = 10.0  # after its limit of time, until a process ends itself


class ProcessDied(Exception):
    """A process ended before it answered: it was over its time or its memory, or something killed it."""


@dataclass(frozen=True, slots=True)
class Task:
    """A call on its way: the file of its result, and the executor that it was given to."""

    future: Future[None]
    path: Path
    executor: ProcessPoolExecutor

    def done(self) -> bool:
        """Whether the result is there, or never comes."""
        return self.future.done()


class Pool:
    """Runs functions in other processes; a context manager, used by one thread.

    No process is started before the first call. After a process died, the next call starts new ones.
    """

    def __init__(
        self, n_processes: int, limit_s: float, limit_bytes: int, set_up: Callable[[], None] | None = None
    ) -> None:
        """Note the limits.

        Args:
            n_processes: At most.
            limit_s: Seconds of one call.
            limit_bytes: Memory that a process may take after `set_up`.
            set_up: Called once in each process.
        """
        self._n, self._limit_s = n_processes, limit_s
        self._set_up = (limit_bytes, set_up)
        self._executor: ProcessPoolExecutor | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self._numbers = itertools.count()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Task:
        """Start a call; function, arguments and result are pickled."""
        try:
            return self._submit(function, arguments)
        except BrokenExecutor:  # a process was killed while it had nothing to do
            self.close()
            return self._submit(function, arguments)

    def _submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Task:
        if self._executor is None or self._folder is None:
            self._folder = TemporaryDirectory(prefix="dragoman-")
            self._executor = ProcessPoolExecutor(
                self._n, get_context("spawn"), initializer=_begin, initargs=(Path(self._folder.name), *self._set_up)
            )
        path = Path(self._folder.name) / str(next(self._numbers))
        with _interrupts_held():
            future = self._executor.submit(_call, path, self._limit_s, function, arguments)
        return Task(future, path, self._executor)

    def result(self, task: Task) -> Any:
        """The result of a call.

        Raises:
            ProcessDied: The process died. Other calls that it or its neighbours had begun are lost too.
            Exception: What the function raised.
        """
        try:
            task.future.result(self._limit_s + 2 * _GRACE_S)
            packed = task.path.read_bytes()
        except (BrokenExecutor, CancelledError, TimeoutError, FileNotFoundError) as error:
            if task.executor is self._executor:
                self.close()
            raise ProcessDied from error
        task.path.unlink()
        return pickle.loads(packed)  # noqa: S301 - our own

    @property
    def has_started(self) -> bool:
        """Whether a process of the present ones could be set up."""
        return self._folder is not None and any(Path(self._folder.name).glob("pid-*"))

    def close(self) -> None:
        """End all processes."""
        executor, folder, self._executor, self._folder = self._executor, self._folder, None, None
        if executor is None or folder is None:
            return
        for path in Path(folder.name).glob("pid-*"):
            with suppress(ProcessLookupError):
                os.kill(int(path.name.removeprefix("pid-")), signal.SIGTERM)
        executor.shutdown(wait=True, cancel_futures=True)
        folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start no process that Ctrl+C reaches: a terminal sends it to all of them, and this one acts on it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows, where the processes themselves ignore it
        yield
        return
    ensure_running()  # multiprocessing's own helper: starting it would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(folder: Path, limit_bytes: int, set_up: Callable[[], None] | None) -> None:
    """Set up a process of the pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if set_up is not None:
        set_up()
    _limit_memory(limit_bytes)
    (folder / f"pid-{os.getpid()}").touch()


def _end_with_parent() -> None:
    """A pool's process waits for calls for ever, also when its parent was killed."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _call(path: Path, limit_s: float, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Write the result of a call into a file.

    A pool waits for ever where a process is killed while it sends a long result through the pool's pipe.
    """
    _end_in(limit_s)
    try:
        path.write_bytes(pickle.dumps(function(*arguments), protocol=pickle.HIGHEST_PROTOCOL))
    except MemoryError:
        os._exit(1)
    finally:
        _end_in(0)


def _end_in(seconds: float) -> None:
    """Let the system end this process then, whatever it does; 0 takes it back."""
    if hasattr(signal, "setitimer"):  # not on Windows, where the owner's time limit holds alone
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit_memory(n_bytes: int) -> None:
    """Let this process take `n_bytes` besides what it has."""
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    except (ImportError, OSError):  # no such limit there; that of time still holds
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = used + n_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most if hard < 0 else min(most, hard), hard))
