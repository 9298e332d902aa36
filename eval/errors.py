"""Errors of evaluation."""

from __future__ import annotations


class GoldError(ValueError):
    """A gold file has a line that cannot be used; the message names it."""


class SetMissing(ValueError):
    """An evaluation set is not where it was looked for; the message says what was expected."""


class RunUnusable(ValueError):
    """A run's folder cannot be used as asked; the message says what mends it."""


class ServerFailed(ValueError):
    """A server that is measured did not start; the message says how it ended."""
