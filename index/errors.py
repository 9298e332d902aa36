"""Errors of reading, storing and searching: each says found, expected, remedy."""

from __future__ import annotations


class Problem(Exception):
    """What was found, what was expected, how to fix it."""

    def __init__(self, found: str, expected: str = "", remedy: str = "") -> None:
        self.found, self.expected, self.remedy = found, expected, remedy
        parts = [found, f"expected: {expected}" if expected else "", f"fix: {remedy}" if remedy else ""]
        super().__init__("; ".join(part for part in parts if part))

    def __reduce__(self) -> tuple[type[Problem], tuple[str, str, str]]:
        return type(self), (self.found, self.expected, self.remedy)  # crosses the parser process


class IndexProblem(Problem):
    """Base of this package's errors."""


class ReadError(IndexProblem):
    """One source could not be read; the others are unaffected."""


class TooLarge(ReadError):
    """A source is over a named limit."""


class UnsafeUrl(ReadError):
    """A URL points where it must not: a private address, another scheme, too many redirects."""


class AliasesUnusable(IndexProblem):
    """A file of names is not one."""


class EncoderUnavailable(IndexProblem):
    """An encoder by this name cannot be had here."""


class CrossEncoderUnavailable(IndexProblem):
    """The reranker of this name is missing here, or cannot be used."""


class EncoderMismatch(IndexProblem):
    """The index was made with another encoder than the one at hand."""


class SettingsMismatch(IndexProblem):
    """The index was made with other settings than those asked for."""


class StoreError(IndexProblem):
    """The index on disk cannot be used as it is."""


class FormatTooNew(StoreError):
    """The index was written by a newer version of this program."""


class FormatTooOld(StoreError):
    """The index was written by an older version of this program, in a format that is not read any more."""


class IndexLocked(StoreError):
    """Another process is writing to this index."""


class IndexMissing(StoreError):
    """There is no index where one was looked for."""


class StoreDamaged(StoreError):
    """The store itself (not a derived file) fails its integrity check."""


class StoreFull(StoreError):
    """The disk is full; what was committed before is kept."""
