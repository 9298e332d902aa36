"""A pool of processes with limits of time and memory, on `concurrent.futures.ProcessPoolExecutor`."""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import active_children, connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path
from typing import Any

_starting = threading.Lock()


class ProcessDied(Exception):
    """A process ended before it answered: it was over its time or its memory, or something killed it."""


class Pool(AbstractContextManager["Pool"]):
    """Runs functions in other processes; used by one thread.

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
        self._processes: set[BaseProcess] = set()  # of the executor
        self._futures: set[Future[Path]] = set()  # of the executor

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Path]:
        """Start a call; function, arguments and result are pickled. `result` takes what this returns."""
        if not all(process.is_alive() for process in self._processes):
            self.close()  # killed while it had nothing to do, which is not this call's fault
        try:
            return self._submit(function, arguments)
        except BrokenExecutor:
            self.close()
            return self._submit(function, arguments)

    def _submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Path]:
        if self._executor is None:
            self._results = tempfile.TemporaryDirectory(prefix="dragoman-")
            self._executor = ProcessPoolExecutor(self._n, get_context("spawn"), _begin, self._set_up)
        with _interrupts_held():
            before = active_children()
            future = self._executor.submit(_call, self._results.name, self._limit_s, function, arguments)
            self._processes.update(child for child in active_children() if child not in before)
        self._futures.add(future)
        return future

    def result(self, future: Future[Path]) -> Any:
        """The result of a call.

        Raises:
            ProcessDied: A process died, and the calls under way are lost.
            Exception: What the function raised.
        """
        try:
            path = future.result()
            packed = path.read_bytes()
        except (BrokenExecutor, CancelledError, FileNotFoundError) as error:
            if future in self._futures:
                self.close()
            raise ProcessDied from error
        path.unlink()
        self._futures.discard(future)
        return pickle.loads(packed)  # noqa: S301 - our own

    def close(self) -> None:
        """End all processes."""
        if self._executor is None:
            return
        for process in self._processes:
            process.terminate()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor = None
        self._results.cleanup()
        self._processes.clear()
        self._futures.clear()

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start no process that Ctrl+C reaches: a terminal sends it to all of them, and this one acts on it."""
    with _starting:
        if not hasattr(signal, "pthread_sigmask"):  # Windows, where the processes themselves ignore it
            yield
            return
        ensure_running()  # multiprocessing's own helper: starting it would let interrupts through again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(limit_bytes: int, set_up: Callable[[], None] | None) -> None:
    """Set up a process of the pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if set_up is not None:
        set_up()
    _limit_memory(limit_bytes)


def _end_with_parent() -> None:
    """A pool's process waits for calls for ever, also when its parent was killed."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _call(folder: str, limit_s: float, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Path:
    """The file that holds the pickled result.

    A pool waits for ever where a process is killed while it sends a long result through the pool's pipe.
    """
    with Path(os.devnull).open("w") as nowhere:
        faulthandler.dump_traceback_later(limit_s, exit=True, file=nowhere)  # from a thread that needs no interpreter
        try:
            packed = pickle.dumps(function(*arguments), protocol=pickle.HIGHEST_PROTOCOL)
            with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
                file.write(packed)
            return Path(file.name)
        except MemoryError:
            os._exit(1)
        finally:
            faulthandler.cancel_dump_traceback_later()


def _limit_memory(n_bytes: int) -> None:
    """Let this process take `n_bytes` besides what it has."""
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    except (ImportError, OSError):  # no such limit there; that of time still holds
        return
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = used + n_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))
