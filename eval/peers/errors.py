"""Errors of measuring peers."""

from __future__ import annotations


class PeerFailed(Exception):
    """A peer's process did not do its step; the message says which, and why."""

    def __init__(self, label: str, step: str, reason: str) -> None:
        super().__init__(f"{label}: {step} failed: {reason}")
        self.label, self.step, self.reason = label, step, reason
