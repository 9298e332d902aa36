"""Reading in a process of its own, with limits of time and memory.

A reader of a format can be made to run for ever or to take all memory. A limit costs that file, not the ingest.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from index.documents import Document
from index.errors import ReadError
from index.pool import Pool, ProcessDied
from index.settings import Limits

Documents = list[Document | ReadError]


class Sandbox(AbstractContextManager["Sandbox"]):
    """Reads one file at a time; a context manager, because it may hold a process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._pool = Pool(1, limits.parse_timeout_s, limits.parse_memory_bytes)

    def read(self, file_type: str, reader: Callable[..., Documents], *arguments: object) -> Documents:
        """What `reader` returns for `arguments` and the limits, called in the process.

        Raises:
            ReadError: The reader's own, or the file took more than its time or memory.
        """
        try:
            documents: Documents = self._pool.result(self._pool.submit(reader, *arguments, self._limits))
        except ProcessDied as error:
            raise ReadError(
                f"a {file_type} whose reader was stopped",
                f"one that is read in {self._limits.parse_timeout_s:.0f} s and "
                f"{self._limits.parse_memory_bytes // 2**20} MiB of memory",
                "split it, or open and save it again",
            ) from error
        except (ReadError, OSError):
            raise
        except Exception as error:
            raise ReadError(
                f"a damaged {file_type} ({type(error).__name__}: {str(error)[:200]})",
                f"a readable {file_type}",
                "open and save it again",
            ) from error
        return documents

    def __exit__(self, *_: object) -> None:
        self._pool.close()
