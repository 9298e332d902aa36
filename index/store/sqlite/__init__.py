"""The embedded backend: one SQLite file, and FAISS files derived from it."""

from index.store.sqlite.backend import EmbeddedBackend
from index.store.sqlite.doctor import examine, repair
from index.store.sqlite.writer import Writer

__all__ = ["EmbeddedBackend", "Writer", "examine", "repair"]
