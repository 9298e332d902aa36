"""Errors of answering: each says found, expected, remedy."""

from __future__ import annotations

from index.errors import Problem


class AnswerProblem(Problem):
    """Base of this package's errors."""


class ModelUnavailable(AnswerProblem):
    """A chat model by this name cannot be had here."""


class ModelFailed(AnswerProblem):
    """The chat model did not answer; `is_final` where asking again would take as long."""

    def __init__(self, found: str, expected: str = "", remedy: str = "", *, is_final: bool = False) -> None:
        super().__init__(found, expected, remedy)
        self.is_final = is_final


class PromptTooLong(ModelFailed):
    """The prompt is longer than the chat model's context."""
