"""Two names of one thing that a text itself glosses: 喬尼·艾維(Jony Ive), World Health Organization (WHO)."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice

import regex

from index.names.phonetic import likeness
from index.text.script import CASED, char_script
from index.text.terms import terms

_MAX_ALIASES = 200  # of one document
_MAX_BRACKETS = 2_000  # of one document that are read
_WINDOW = 3_000  # characters around a bracket in which a name is looked for again
_MAX_NAME_CHARS = 60
_MAX_WORDS = 5
_MIN_LIKENESS = 0.65  # of a name and its transcription; 0.83 of true pairs have it, docs/decisions/0011

_IN_BRACKETS = regex.compile(r"[ \u3000]?[(（]([^()（）\n]{2,80})[)）]")
_OPENS, _CLOSES = "\"“„«「『《〈‘'", frozenset('"”“»」』》〉’')
_QUOTED_BEFORE = regex.compile(r"[\"“„«「『《〈‘]([^\"“”„«»「」『』《》〈〉‘’\n]{2,60})[\"”“»」』》〉’]$")
# "Hereinafter", and names of languages before a name in them.
_LEAD_INS = tomllib.loads((files("index.names") / "words.toml").read_text("utf-8"))["words"]["lead_ins"]
_LEAD_IN = regex.compile(
    rf"^(?:{'|'.join(_LEAD_INS)})(?:[:：]\s*|\s+|(?<=[\p{{Han}}\p{{Hangul}}])[:：]?\s*)(?=\S)", regex.IGNORECASE
)
_END_OF_NAME = regex.compile(r"[,，、;；:：/｜|]|\s[-–—]\s")
_WRITING = {"Katakana": "Han", "Hiragana": "Han"}  # scripts that one language mixes
_CASED_WORD = rf"(?=\p{{Lu}})[{CASED}][{CASED}\p{{M}}\p{{N}}.'’&-]*"
_LINK = r"(?:of|the|and|for|de|da|do|del|della|di|du|des|von|van|der|den|bin|al|el|y|и)\s"
_CAPITALISED = regex.compile(rf"(?:{_CASED_WORD}\s(?:{_LINK}){{0,2}}){{0,7}}{_CASED_WORD}$")
_CASED_END = regex.compile(rf"[{CASED}\p{{M}}\p{{N}}.'’&-]")  # the last character of such a name
_ACRONYM = regex.compile(r"\p{Lu}[\p{Lu}\p{N}.&-]{1,9}")
# What stands before a bracket, read backwards: a match need not be looked for, it begins at once.
_UNSPACED_BEFORE = regex.compile(r"[\p{Han}\p{Katakana}々ー·・‧•．＝=]{2,40}")
_WORD = r"[\p{L}\p{M}\p{N}.'’·-]+"
_WORDS_BEFORE = regex.compile(rf"{_WORD}(?:\s{_WORD}){{0,{_MAX_WORDS - 1}}}")
_SPELLED_WORD = regex.compile(r"[\p{L}\p{M}'’]+")
_HIRAGANA = regex.compile(r"\p{Hiragana}")
_HONORIFIC = regex.compile(r"(?<=\S)\s?(?:형|씨|님|氏)$")
_PARTS = regex.compile(r"[\s·・‧•．＝=]+")


@dataclass(frozen=True, slots=True)
class Alias:
    """Two names of one thing, as a text writes them, and how sure that is, in (0, 1]."""

    name: str
    other: str
    confidence: float


@dataclass(frozen=True, slots=True)
class _Gloss:
    """A name in a bracket, and what the name before the bracket may be."""

    before: str
    other: str
    nearby: Callable[[], str]  # the text around the bracket
    script: str  # of the last letter before the bracket
    sure: str  # the name, where quotation marks or initials show it
    choices: list[str]  # where they do not


def glosses(text: str) -> list[Alias]:
    """The names in brackets that `text` gives behind another name of the same thing, in order, each pair once."""
    matches = islice(_IN_BRACKETS.finditer(text), _MAX_BRACKETS)
    possible = [gloss for match in matches for gloss in _glosses_of(text, *match.span(), match.group(1))]
    alike = iter(likeness([(gloss.other, choice) for gloss in possible for choice in gloss.choices]).tolist())
    found: dict[tuple[str, str], Alias] = {}
    for gloss in possible:
        for alias in _aliases(gloss, list(islice(alike, len(gloss.choices)))):
            found.setdefault((alias.name, alias.other), alias)
    return list(found.values())[:_MAX_ALIASES]


def _glosses_of(text: str, start: int, end: int, inside: str) -> Iterator[_Gloss]:
    """What the bracket from `start` to `end` may gloss."""
    before = text[max(0, start - _MAX_NAME_CHARS) : start].rpartition("\n")[2]
    if not before:
        return
    script, nearby = _last_script(before), lambda: text[max(0, start - _WINDOW) : end + _WINDOW]
    for other, said in _names_inside(inside):
        last = _last_script(other)
        same = _WRITING.get(script, script) == _WRITING.get(last, last)
        quoted = None if same or before[-1] not in _CLOSES else _QUOTED_BEFORE.search(before)
        sure = ""
        if quoted:
            sure = quoted.group(1).strip()
        elif script in ("Latin", "Cyrillic", "Greek") and _ACRONYM.fullmatch(other):
            sure = _spelled_out(before, other)
        choices = [] if quoted or sure or (same and not said) else _ends_of(before, script)
        if quoted or sure or choices:
            yield _Gloss(before, other, nearby, script, sure, choices)


def _names_inside(inside: str) -> Iterator[tuple[str, bool]]:
    """The first name in a pair of brackets and those that are said to be names, each with whether it is said."""
    whole = _LEAD_IN.sub("", inside.strip())
    for place, part in enumerate(_END_OF_NAME.split(whole)):
        called = _LEAD_IN.sub("", part.strip())
        said = called != part.strip() or (place == 0 and whole != inside.strip())
        if place and not said:
            continue
        # "(이하 DK 형)": an honorific is no part of the name.
        name = _HONORIFIC.sub("", called.strip(f"{_OPENS}”’»」』》〉 "))
        n_letters = sum(map(str.isalpha, name))
        named = n_letters >= 2 and n_letters >= len(name) / 2 and len(name.split()) <= _MAX_WORDS
        # Hiragana is a remark, or the reading of the name, which is not looked for.
        if named and not _HIRAGANA.search(name) and _LEAD_IN.sub("", f"{name} -") != "-":
            yield name, said


def _aliases(gloss: _Gloss, alike: Sequence[float]) -> Iterator[Alias]:
    """The aliases that a gloss gives; `alike` is how alike each of its choices sounds."""
    if not gloss.choices:
        yield Alias(gloss.sure, gloss.other, 0.9)
        return
    name, confidence = _name_before(gloss, alike)
    if name != gloss.other and 2 <= len(name) <= _MAX_NAME_CHARS and terms(name):
        yield Alias(name, gloss.other, confidence)
        yield from _last_names(name, gloss.other)


def _ends_of(before: str, script: str) -> list[str]:
    """What the name may be, longest first: it begins at a letter of a script without spaces, else at a word."""
    if script in ("Han", "Katakana"):
        run = _UNSPACED_BEFORE.match(before[::-1])
        whole = run.group()[::-1].strip("·・‧•．＝=") if run else ""
        if any(char_script(char) == "Katakana" for char in whole):
            return [whole]
        # A dot joins the parts of a name: it begins no later than what stands before the first dot.
        last_start = len(_PARTS.split(whole)[0]) - 1 if _PARTS.search(whole) else len(whole) - 2
        return [whole[start:] for start in range(max(1, last_start + 1))] if whole else []
    words = _WORDS_BEFORE.match(before[::-1])
    parts = words.group()[::-1].split() if words else []
    return [" ".join(parts[start:]) for start in range(len(parts))]


def _name_before(gloss: _Gloss, alike: Sequence[float]) -> tuple[str, float]:
    """The choice that is the name, and how sure that is; empty where nothing shows it."""
    before, script, choices = gloss.before, gloss.script, gloss.choices
    if max(alike) >= _MIN_LIKENESS:
        return choices[alike.index(max(alike))], round(min(0.95, max(alike)), 2)
    cased = _CASED_END.match(before[-1]) and _CAPITALISED.search(before)
    if cased:
        return cased.group().strip(), 0.6
    longest, last = choices[0], choices[-1]
    if script not in ("Han", "Katakana"):
        return (last, 0.5) if len(last) >= 4 and script == "Hangul" else ("", 0.0)
    # A translation, which does not sound like the other name: it is bounded, or occurs again by itself.
    bounded = len(before) == len(longest) or not before[: -len(longest)][-1:].isalpha()
    if bounded and len(longest) <= (10 if len(choices) > 1 else 20):
        return longest, 0.6
    nearby = gloss.nearby()
    return next((choice for choice in choices if nearby.count(choice) > 1), ""), 0.6


def _spelled_out(before: str, acronym: str) -> str:
    """The words before an acronym whose initials it is made of; empty where they are not."""
    letters = [char.casefold() for char in acronym if char.isalpha()]
    words = list(_SPELLED_WORD.finditer(before))
    for n_words in range(len(letters), min(len(words), len(letters) + 4) + 1):
        own = words[-n_words:]
        initials = iter([word.group()[0].casefold() for word in own])
        if own[0].group()[0].casefold() == letters[0] and all(letter in initials for letter in letters):
            return before[own[0].start() :].strip()
    return ""


def _last_names(name: str, other: str) -> Iterator[Alias]:
    """The last parts of two full names, where each has as many and the last ones sound alike."""
    own, theirs = _PARTS.split(name), _PARTS.split(other)
    if len(own) == len(theirs) > 1 and len(own[-1]) > 1:
        alike = float(likeness([(theirs[-1], own[-1])])[0])
        if alike >= _MIN_LIKENESS:
            yield Alias(own[-1], theirs[-1], round(min(0.9, alike), 2))


def _last_script(text: str) -> str:
    """Script of the last letter of `text`; empty without letters."""
    return next(filter(None, map(char_script, reversed(text))), "")
