"""Other processes that do one thing after another that they are sent."""

from __future__ import annotations

import pickle
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.resource_tracker import ensure_running
from typing import Any

Work = Callable[[Any], Any]


class ProcessDied(Exception):
    """The other process has ended, or did not answer in time and was ended."""


class RaisedThere(Exception):
    """The traceback of what was raised in the other process: the cause of what is raised here."""


class OtherProcess:
    """A process with a pipe of its own, which ends when its pipe does; used by one thread at a time.

    (The standard library's pool of processes waits for ever if one is killed while it writes a result.)
    """

    def __init__(self, make: Callable[[], Work]) -> None:
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

    @property
    def has_ended(self) -> bool:
        """Whether it has died, or was closed."""
        return self._connection.closed or not self._process.is_alive()

    def ask(self, message: Any, limit_s: float | None = None) -> Any:
        """What comes of `message` there.

        Raises:
            ProcessDied: It has, or has been ended as it took longer than `limit_s`.
            Exception: What was raised there.
        """
        try:
            self._connection.send(message)
            if not self._connection.poll(limit_s):
                raise ProcessDied(f"no answer within {limit_s:.0f} s")
            outcome, raised, told = self._connection.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise ProcessDied(str(error) or type(error).__name__) from error
        except BaseException:
            self.close()  # or the answer to this would be taken for that to the next
            raise
        if raised is not None:
            raise raised from RaisedThere(told)
        return outcome

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        with suppress(ValueError):  # it is closed already
            self._process.kill()
            self._process.join()
            self._process.close()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start no process that Ctrl+C reaches: a terminal sends it to all of them, and ours is the one to act on it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows, where the process itself does not listen
        yield
        return
    ensure_running()  # multiprocessing's own helper: starting it would let interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, make: Callable[[], Work]) -> None:
    """What the process does until nobody is at the other end any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work: Work | None = None
    with suppress(Exception):  # raised again where it is told
        work = make()
    while True:
        try:
            message = connection.recv()
        except (EOFError, OSError):
            return
        try:
            work = work or make()
            answer = _packed(work(message))
        except Exception as error:  # noqa: BLE001 - raised where it was asked for
            answer = _raised(error)
        try:
            connection.send_bytes(answer)
        except OSError:
            return


def _packed(outcome: Any) -> bytes:
    return pickle.dumps((outcome, None, ""))


def _raised(error: Exception) -> bytes:
    """An error as it crosses over; one that does not come out as it went in is told of in words."""
    told = "".join(traceback.format_exception(error))
    try:
        packed = pickle.dumps((None, error, told))
        pickle.loads(packed)  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever a class of another's does there
        packed = pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}"), told))
    return packed
