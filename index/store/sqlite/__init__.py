"""The embedded backend: one SQLite file."""

from index.store.sqlite.backend import EmbeddedBackend
from index.store.sqlite.writer import Writer

__all__ = ["EmbeddedBackend", "Writer"]
