"""Errors of evaluation."""

from __future__ import annotations


class GoldError(ValueError):
    """A gold file has a line that cannot be used; the message names it."""


class PackageMissing(ValueError):
    """A library that evaluation needs is not installed; the message says how to install it."""


class SetMissing(ValueError):
    """An evaluation set is not where it was looked for; the message says what was expected."""


class RunUnusable(ValueError):
    """A run's folder cannot be used as asked; the message says how to fix it."""


class ServerFailed(ValueError):
    """A server that is measured did not start; the message says how it ended."""


class PeerFailed(ValueError):
    """Another library did not do what was asked; the message says which one, and why."""
