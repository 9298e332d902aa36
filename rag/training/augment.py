"""More examples from examples: as people type, near misses, claims from translations."""

from __future__ import annotations

import lzma
import random
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import regex

from index.text.language import detect_language, function_words
from rag.training.sets import CONTRADICTED, NOT_MENTIONED, SUPPORTED, UNKNOWN, Example

# Sources of the translation pairs that read well; the others are technical or machine-translated.
GOOD_SOURCES = ("ud-pud", "tatoeba", "tico19", "korean-news", "mlqe-pe", "indian-wiki")
_NUMBER = regex.compile(r"\p{Nd}{2,}")
_NAME = regex.compile(r"(?<=\S )\p{Lu}\p{Ll}{2,}(?!\p{L})")  # not the first word
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]+")


def as_typed(example: Example, rng: random.Random) -> Example:
    """The same question with one or two of what people do: lower case, no question mark, keywords, a typing error."""
    text = example.text
    for change in rng.sample((_lower, _without_mark, _keywords, _typo), rng.choice((1, 1, 2))):
        text = change(text, rng) or text
    return replace(example, text=text)


def _lower(text: str, rng: random.Random) -> str:
    return text.lower()


def _without_mark(text: str, rng: random.Random) -> str:
    return text.rstrip(" ?？؟;.。")


def _keywords(text: str, rng: random.Random) -> str:
    """The words of a question without its function words, of languages that put spaces between words."""
    words = _WORD.findall(text)
    common = function_words(detect_language(text))
    kept = [word for word in words if word.lower() not in common]
    return " ".join(kept) if 2 <= len(kept) < len(words) else ""


def _typo(text: str, rng: random.Random) -> str:
    """Two letters of a long word swapped, or one left out."""
    words = [match for match in _WORD.finditer(text) if len(match.group()) >= 5]
    if not words:
        return ""
    at = rng.choice(words).start() + rng.randrange(1, 4)
    return text[:at] + (text[at + 1] + text[at] + text[at + 2 :] if rng.random() < 0.6 else text[at + 1 :])


def near_miss(example: Example, names: Sequence[str], rng: random.Random) -> Example | None:
    """The question with another number or name, so that the passage does not answer it; None where it has neither."""
    number = _NUMBER.search(example.text)
    if number:
        text = _NUMBER.sub(lambda found: _other_number(found.group(), rng), example.text, count=1)
        return _unanswered(replace(example, text=text))
    found = list(_NAME.finditer(example.text))
    if not found or not names:
        return None
    old, new = rng.choice(found), rng.choice(names)
    if new.lower() in (example.passage + example.text).lower():
        return None
    return _unanswered(replace(example, text=example.text[: old.start()] + new + example.text[old.end() :]))


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


_SMALL_TALK = """hello|hi there|thanks|thank you very much|who are you?|what can you do|good morning|ok|lol|test|help
bonjour|merci beaucoup|qui es-tu ?|hola|gracias|¿quién eres?|hallo|danke schön|wer bist du|ciao|grazie|obrigado|bom dia
привет|спасибо|кто ты?|dzień dobry|dziękuję|merhaba|teşekkürler|sen kimsin|سلام|شكرا جزيلا|من أنت؟|ممنون|שלום|תודה רבה
你好|谢谢|謝謝|你是誰|こんにちは|ありがとう|あなたは誰|안녕하세요|감사합니다|너는 누구야|สวัสดี|ขอบคุณ|xin chào|cảm ơn
नमस्ते|धन्यवाद|तुम कौन हो|হ্যালো|ধন্যবাদ|halo|terima kasih|habari|asante|γεια σου|ευχαριστώ|hej|tack så mycket|kiitos"""


def not_asked(examples: Sequence[Example], n: int, rng: random.Random) -> Iterator[Example]:
    """`n` examples of small talk and of random letters, with passages that cannot answer them."""
    talk = [phrase for line in _SMALL_TALK.splitlines() for phrase in line.split("|")]
    for one in rng.sample(examples, min(n, len(examples))):
        letters = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz    ?12", k=rng.randrange(4, 30))).strip()
        yield _unanswered(replace(one, text=rng.choice(talk) if rng.random() < 0.6 else letters or "?", label=UNKNOWN))


def _unanswered(example: Example) -> Example:
    return replace(example, start=-1, end=-1, answerable=0)


def _other_number(number: str, rng: random.Random) -> str:
    """A number of as many digits that differs from `number`."""
    digits = list(number)
    at = rng.randrange(1, len(digits)) if len(digits) > 1 else 0
    value = unicodedata.digit(digits[at])
    digits[at] = str((value + rng.randrange(1, 10)) % 10)
    return "".join(digits)


def translated_claims(parallel: Path, n_each: int, rng: random.Random) -> Iterator[Example]:
    """Claims about passages of three sentences, `n_each` a language: a claim is a translation of one of them.

    It is supported; with another number it is contradicted; a translation of another sentence is not mentioned.
    """
    for path in sorted(parallel.glob("*.tsv.xz")):
        pairs = _good_pairs(path)
        rng.shuffle(pairs)
        for number in range(min(n_each, len(pairs) // 4)):
            rows = pairs[4 * number : 4 * number + 4]
            if rng.random() < 0.5:
                rows = [(other, own) for own, other in rows]
            passage = " ".join(own for _, own in rows[:3])
            claim, label = rng.choice(rows[:3])[0], SUPPORTED
            kind = rng.random()
            if kind < 0.4 and _NUMBER.search(claim):
                claim, label = (
                    _NUMBER.sub(lambda found: _other_number(found.group(), rng), claim, count=1),
                    CONTRADICTED,
                )
            elif kind < 0.6:
                claim, label = rows[3][0], NOT_MENTIONED
            yield Example(claim, passage, label=label, origin="translations")


def _good_pairs(path: Path, n_lines: int = 400_000) -> list[tuple[str, str]]:
    """(English, other) sentences of good sources, of useful length; those with a number come first."""
    by_number: dict[bool, list[tuple[str, str]]] = defaultdict(list)
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in islice(lines, n_lines):
            source, english, other = line.rstrip("\n").split("\t")[:3]
            if source.startswith(GOOD_SOURCES) and 30 <= len(english) <= 250 and len(other) >= 12:
                by_number[bool(_NUMBER.search(english))].append((english, other))
    numbered = by_number[True][:3_000]
    return numbered + by_number[False][: len(numbered) + 1_000]
