"""`dragoman ask` without a question: a conversation in the terminal, one start-up for all of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from ui.commands.asking import show_answer
from ui.terminal import say, write

if TYPE_CHECKING:
    from index.store.base import Filter
    from rag.answer import Answer
    from rag.answerers.base import Turn
    from rag.chain import Chain

_HELP = "Ask in any language. /sources: the passages of the last answer; /new: begin again; /quit: end."


def converse(chain: Chain, where: Filter) -> None:
    """Answer each line of the input, follow-ups too, until `/quit` or its end."""
    from rag.answerers.base import Turn

    say(_HELP)
    turns: list[Turn] = []
    last: Answer | None = None
    for line in _lines():
        if line == "/quit":
            return
        if line == "/new":
            turns, last = [], None
        elif line == "/sources":
            _show_sources(last)
        elif line.startswith("/"):
            say(_HELP)
        elif (answer := _answered(chain, line, where, turns)) is not None:
            last = answer
            turns.append(Turn(line, answer.text))


def _lines() -> Iterator[str]:
    """The lines of the input that are not empty."""
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        with suppress(ImportError):
            import readline  # noqa: F401 - lines can be edited, and called back
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            if line := input("> " if is_terminal else "").strip():
                yield line


def _answered(chain: Chain, question: str, where: Filter, turns: list[Turn]) -> Answer | None:
    """The answer, printed; None where it failed or was stopped, which ends no conversation."""
    from index.errors import IndexProblem
    from rag.errors import AnswerProblem

    try:
        return show_answer(chain, question, where, turns)
    except KeyboardInterrupt:
        say("stopped")
    except (IndexProblem, AnswerProblem, ValueError) as error:
        say(f"error: {error}")
    return None


def _show_sources(answer: Answer | None) -> None:
    """The found passages of an answer, as `dragoman search` shows them."""
    from ui.render import passage_lines

    if answer is None or not answer.retrieved:
        say("there are no passages yet; ask first")
        return
    for rank, item in enumerate(answer.retrieved, 1):
        write("\n".join(passage_lines(rank, item)) + "\n")
