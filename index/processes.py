"""Other processes that do one thing after another that they are sent."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.resource_tracker import ensure_running
from typing import Any


class OtherProcess:
    """A process with a pipe of its own, which ends when its pipe does; used by one thread at a time.

    (The standard library's pool of processes waits for ever if one is killed while it writes a result.)
    """

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        """Start it; there `make` gives what is done with each message. It crosses over, as the messages do."""
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make), daemon=True)
        with _interrupts_held():
            self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid or 0

    def ask(self, message: Any) -> Any:
        """What comes of `message` there.

        Raises:
            EOFError, OSError: The process has died.
            Exception: What was raised there.
        """
        self._connection.send(message)
        outcome, raised = self._connection.recv()
        if raised is not None:
            raise raised
        return outcome

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.kill()
        self._process.join()
        with suppress(ValueError):  # two threads that wait for one dead process: the second cannot see that it is
            self._process.close()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start no process that Ctrl+C reaches: a terminal sends it to all of them, and ours is the one to act on it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    ensure_running()  # multiprocessing's own helper: starting it would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, make: Callable[[], Callable[[Any], Any]]) -> None:
    """What the process does until nobody is at the other end any more."""
    done_with: Callable[[Any], Any] | None = None
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            return
        answer: tuple[Any, Exception | None]
        try:
            done_with = done_with or make()
            answer = done_with(message), None
        except Exception as error:  # noqa: BLE001 - raised where it was asked for
            answer = None, error
        try:
            _send(connection, answer)
        except OSError:
            return


def _send(connection: Connection, answer: tuple[Any, Exception | None]) -> None:
    try:
        connection.send(answer)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - not everything can cross over
        told = answer[1] or error
        connection.send((None, RuntimeError(f"{type(told).__name__}: {told}")))
