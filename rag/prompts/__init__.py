"""Prompts as text files, and pure functions around them."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Sequence
from importlib.resources import files

from index.search import ScoredPassage
from index.text.language import detect_language
from rag.phrases import english_name

REFUSAL = "NO_ANSWER"


def language_name(tag: str) -> str:
    """The English name of a language, for a prompt; the tag itself where none is known."""
    return english_name(tag) or "the language of the question"


def new_fence() -> str:
    """A line that no document can contain on purpose: random for each request."""
    return f"=====passages-{secrets.token_hex(8)}====="


def system_prompt(language: str, example_key: str, fence: str) -> str:
    """The instructions for one request."""
    return _template("answer.txt").format(
        language_name=language_name(language), example_key=example_key, refusal=REFUSAL, fence=fence
    )


def condense_prompt(question: str, turns: Sequence[tuple[str, str]]) -> str:
    """The instruction to write a follow-up so that it stands alone; `turns` are (question, answer), oldest first."""
    fence = new_fence()
    lines = [line for asked, said in turns for line in (f"Question: {_one_line(asked)}", f"Answer: {said[:600]}")]
    return _template("condense.txt").format(
        language_name=language_name(detect_language(question)),
        fence=fence,
        conversation="\n".join(lines).replace(fence, " "),
        question=question,
    )


def insistence(language: str) -> str:
    """The instruction to a model that has answered in another language."""
    name = language_name(language)
    return f"Answer in {name} and in no other language: your last answer was not in {name}."


def user_prompt(question: str, keys: dict[str, ScoredPassage], fence: str) -> str:
    """The fenced passages, then the question."""
    lines = []
    for key, scored in keys.items():
        passage = scored.passage
        about = ", ".join(filter(None, (_one_line(passage.title), passage.date, passage.language)))
        lines += [f"[{key}] ({about})", passage.text, ""]
    quoted = "\n".join(lines).replace(fence, " ")
    return "\n".join([fence, quoted, fence, "", f"Question: {question}"])


def _one_line(text: str, max_chars: int = 200) -> str:
    return " ".join(text.split())[:max_chars]


@functools.cache
def _template(name: str) -> str:
    return files("rag.prompts").joinpath(name).read_text("utf-8")
