"""More examples from examples: questions as people type them, and questions without an answer."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import regex

from index.text.language import detect_language, function_words
from rag.training.sets import Example

_NUMBER = regex.compile(r"\p{Nd}{2,}")
_NAME = regex.compile(r"(?<=\S )\p{Lu}\p{Ll}{2,}(?!\p{L})")  # not the first word
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")


def as_typed(example: Example, rng: random.Random) -> Example:
    """The same question as people type it: in lower case, as keywords, or with a typing error."""
    change = rng.choice((_lower, _keywords, _typo))
    return replace(example, text=change(example.text, rng) or example.text)


def _lower(text: str, rng: random.Random) -> str:
    return text.lower().rstrip(" ?？؟")


def _keywords(text: str, rng: random.Random) -> str:
    """The words of a question without its function words, of languages that put spaces between words."""
    words = _WORD.findall(text)
    common = function_words(detect_language(text))
    kept = [word for word in words if word.lower() not in common]
    return " ".join(kept) if 2 <= len(kept) < len(words) else ""


def _typo(text: str, rng: random.Random) -> str:
    """Two letters of a long word swapped."""
    words = [match.start() for match in _WORD.finditer(text) if len(match.group()) >= 5]
    if not words:
        return ""
    at = rng.choice(words) + rng.randrange(1, 4)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def near_miss(example: Example, names: Sequence[str], rng: random.Random) -> Example | None:
    """The question with another number or name, so that the passage does not answer it; None where it has neither."""
    found = _NUMBER.search(example.text)
    new = str(int(found.group()) + rng.randrange(1, 10)) if found else rng.choice(names) if names else ""
    if not found:
        found = next(_NAME.finditer(example.text), None)
    if not found or new.lower() in (example.passage + example.text).lower():
        return None
    return _unanswered(replace(example, text=example.text[: found.start()] + new + example.text[found.end() :]))


def names_in(examples: Sequence[Example]) -> list[str]:
    """The names in questions, each once, of scripts that show a name by a capital letter."""
    return sorted({name for example in examples for name in _NAME.findall(example.text)})


def other_passage(example: Example, others: Sequence[Example], rng: random.Random) -> Example | None:
    """The question with one of `others`' passages that does not hold its answer; None where there is none."""
    answer = example.passage[example.start : example.end]
    fitting = [one for one in others if one.passage != example.passage and answer not in one.passage]
    if not fitting:
        return None
    chosen = rng.choice(fitting)
    return _unanswered(replace(example, passage=chosen.passage, title=chosen.title))


def gibberish(examples: Sequence[Example], n: int, rng: random.Random) -> Iterator[Example]:
    """`n` examples of random letters with passages that cannot answer them."""
    for one in rng.choices(examples, k=n):
        letters = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz    ?12", k=rng.randrange(4, 30)))
        yield _unanswered(replace(one, text=letters, label=-1))


def _unanswered(example: Example) -> Example:
    return replace(example, start=-1, end=-1, answerable=0)
