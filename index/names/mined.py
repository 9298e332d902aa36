"""Names that a text itself says are one: 喬尼·艾維(Jony Ive), World Health Organization (WHO), 「...」（...）."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import regex

from index.names.sounds import likeness, likeness_of_pairs
from index.text.terms import terms

_MAX_ALIASES = 200  # of one document
_MAX_BRACKETS = 2_000  # of one document that are looked at
_NEAR = 3_000  # characters around a bracket in which a name is looked for again
_PAIRS_AT_ONCE = 4_096  # of names that are compared; bounds the memory that takes
_MAX_NAME_CHARS = 60
_MAX_WORDS = 5
_MIN_LIKENESS = 0.65  # of a name and its transcription; 0.83 of true pairs have it, docs/decisions/0011

_IN_BRACKETS = regex.compile(r"[ \u3000]?[(（]([^()（）\n]{2,80})[)）]")
_OPENS = "\"“„«「『《〈‘'"
_CLOSES = frozenset('"”“»」』》〉’')
_QUOTED_BEFORE = regex.compile(r"[\"“„«「『《〈‘]([^\"“”„«»「」『』《》〈〉‘’\n]{2,60})[\"”“»」』》〉’]$")
# "Hereinafter", and names of languages before a name in them.
_LEAD_IN = regex.compile(
    r"^(?:이하|以下簡稱|以下简称|以下|簡稱|简称|又稱|又称|略称|通称|英語|英语|英文|法語|法语|德語|德语|日語|日语|俄語|俄语|英|仏|独|"
    r"영어|프랑스어|독일어|일본어|중국어|러시아어|hereinafter|hereafter|also known as|also called|a\.?k\.?a\.?|or|the|"
    r"short for|kurz|auch|englisch|dit|dite|ou|en abrégé|en inglés|en anglais|abreviado|sigla|далее|англ\.|сокр\.|"
    r"(?:in )?(?:English|French|German|Spanish|Chinese|Japanese|Korean|Russian|Arabic|Latin|Greek))"
    r"(?:[:：]\s*|\s+|(?<=[\p{Han}\p{Hangul}])[:：]?\s*)(?=\S)",
    regex.IGNORECASE,
)
_END_OF_NAME = regex.compile(r"[,，、;；:：/｜|]|\s[-–—]\s")
_SCRIPTS = ("Han", "Hangul", "Katakana", "Hiragana", "Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Thai",
            "Devanagari", "Bengali", "Tamil", "Georgian", "Armenian")  # fmt: skip
_WRITING = {"Katakana": "Han", "Hiragana": "Han"}  # scripts that one language mixes
_SCRIPT = [(name, regex.compile(rf"\p{{{name}}}")) for name in _SCRIPTS]
_CASED = r"\p{Latin}\p{Cyrillic}\p{Greek}\p{Armenian}"
_CASED_WORD = rf"(?=\p{{Lu}})[{_CASED}][{_CASED}\p{{M}}\p{{N}}.'’&-]*"
_LINK = r"(?:of|the|and|for|de|da|do|del|della|di|du|des|von|van|der|den|bin|al|el|y|и)\s"
_CAPITALISED = regex.compile(rf"(?:{_CASED_WORD}\s(?:{_LINK}){{0,2}}){{0,7}}{_CASED_WORD}$")
_CASED_END = regex.compile(rf"[{_CASED}\p{{M}}\p{{N}}.'’&-]")  # what such a name may end with
_HIRAGANA = regex.compile(r"\p{Hiragana}")
_KATAKANA = regex.compile(r"\p{Katakana}")
_ACRONYM = regex.compile(r"\p{Lu}[\p{Lu}\p{N}.&-]{1,9}")
# Of what stands before a bracket, read backwards: a match need not be looked for, it begins at once.
_UNSPACED_BEFORE = regex.compile(r"[\p{Han}\p{Katakana}々ー·・‧•．＝=]{2,40}")
_WORD = r"[\p{L}\p{M}\p{N}.'’·-]+"
_WORDS_BEFORE = regex.compile(rf"{_WORD}(?:\s{_WORD}){{0,{_MAX_WORDS - 1}}}")
_LETTER = regex.compile(r"\p{L}")
_SPELLED_WORD = regex.compile(r"[\p{L}\p{M}'’]+")
_HONORIFIC = regex.compile(r"(?<=\S)\s?(?:형|씨|님|氏)$")
_PARTS = regex.compile(r"[\s·・‧•．＝=]+")


@dataclass(frozen=True, slots=True)
class Alias:
    """Two names of one thing, as a text writes them, and how sure that is, in (0, 1]."""

    name: str
    other: str
    confidence: float


@dataclass(frozen=True, slots=True)
class _Pair:
    """Names in and before a bracket of a text: settled, or to be told by what each of `choices` sounds like."""

    bracket: int  # its number in the text
    before: str
    other: str
    script: str
    near: tuple[int, int]  # of the text
    settled: Alias | None
    choices: Sequence[str] = ()


def mined_aliases(text: str) -> list[Alias]:
    """What `text` says to be two names of one thing, in brackets behind the other, in order, each pair once."""
    return aliases_of([text])[0]


def aliases_of(texts: Sequence[str]) -> list[list[Alias]]:
    """`mined_aliases` of each text; of many at once it takes a third of the time."""
    pairs = [list(_pairs(text)) for text in texts]
    compared = [(pair.other, choice) for own in pairs for pair in own for choice in pair.choices]
    alike = iter(_likeness(compared))
    found: list[list[Alias]] = []
    for text, own in zip(texts, pairs, strict=True):
        by_names: dict[tuple[str, str], Alias] = {}
        last = -1
        for pair in own:
            likely = list(islice(alike, len(pair.choices)))
            if pair.bracket != last and len(by_names) >= _MAX_ALIASES:
                continue
            last = pair.bracket
            for alias in _aliases(pair, likely, text):
                by_names.setdefault((alias.name, alias.other), alias)
        found.append(list(by_names.values()))
    return found


def _likeness(pairs: Sequence[tuple[str, str]]) -> Iterator[float]:
    for start in range(0, len(pairs), _PAIRS_AT_ONCE):
        yield from likeness_of_pairs(pairs[start : start + _PAIRS_AT_ONCE]).tolist()


def _pairs(text: str) -> Iterator[_Pair]:
    for number, match in enumerate(islice(_IN_BRACKETS.finditer(text), _MAX_BRACKETS)):
        start, end = match.span()
        before = text[max(0, start - _MAX_NAME_CHARS) : start].rpartition("\n")[2]
        for other, said in _names_inside(match.group(1)) if before else ():
            pair = _pair(number, before, other, said, (max(0, start - _NEAR), end + _NEAR))
            if pair is not None:
                yield pair


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
        n_letters = len(_LETTER.findall(name))
        named = n_letters >= 2 and n_letters >= len(name) / 2 and len(name.split()) <= _MAX_WORDS
        # Hiragana is a remark, or how the name is read, which is not looked for.
        if named and not _HIRAGANA.search(name) and _LEAD_IN.sub("", f"{name} -") != "-":
            yield name, said


def _pair(bracket: int, before: str, other: str, said: bool, near: tuple[int, int]) -> _Pair | None:
    """What is known of a name in a bracket by the text before it; None where that says nothing."""
    script = _last_script(before)
    same = _WRITING.get(script, script) == _WRITING.get(last := _last_script(other), last)
    quoted = None if same or before[-1] not in _CLOSES else _QUOTED_BEFORE.search(before)
    spelled = ""
    if quoted:
        spelled = quoted.group(1).strip()
    elif script in ("Latin", "Cyrillic", "Greek") and _ACRONYM.fullmatch(other):
        spelled = _spelled_out(before, other)
    if spelled or quoted:
        return _Pair(bracket, before, other, script, near, Alias(spelled, other, 0.9))
    if same and not said:
        return None
    choices = _ends_of(before, script)
    return _Pair(bracket, before, other, script, near, None, choices) if choices else None


def _aliases(pair: _Pair, alike: Sequence[float], text: str) -> Iterator[Alias]:
    """What a pair comes to; `alike` says how alike its name sounds to each of its choices."""
    if pair.settled is not None:
        yield pair.settled
        return
    name, confidence = _name_before(pair, alike, text)
    if name and name != pair.other and _is_name(name):
        yield Alias(name, pair.other, confidence)
        yield from _last_names(name, pair.other)


def _name_before(pair: _Pair, alike: Sequence[float], text: str) -> tuple[str, float]:
    """The name that ends where a bracket opens, and how sure that is; empty where it cannot be told."""
    likely = max(alike)
    if likely >= _MIN_LIKENESS:
        return pair.choices[alike.index(likely)], round(min(0.95, likely), 2)
    cased = _CASED_END.match(pair.before[-1]) and _CAPITALISED.search(pair.before)
    if cased:
        return cased.group().strip(), 0.6
    return _translated(pair, text)


def _ends_of(before: str, script: str) -> list[str]:
    """What the name may be, longest first: it begins at a letter of a script without spaces, else at a word."""
    if script in ("Han", "Katakana"):
        run = _UNSPACED_BEFORE.match(before[::-1])
        if run is None:
            return []
        whole = run.group()[::-1].strip("·・‧•．＝=")
        if _KATAKANA.search(whole):
            return [whole]
        # A dot joins the parts of a name: it begins no later than what stands before the first dot.
        last_start = len(_PARTS.split(whole)[0]) - 1 if _PARTS.search(whole) else len(whole) - 2
        return [whole[start:] for start in range(max(1, last_start + 1))]
    words = _WORDS_BEFORE.match(before[::-1])
    if words is None:
        return []
    parts = words.group()[::-1].split()
    return [" ".join(parts[start:]) for start in range(len(parts))]


def _translated(pair: _Pair, text: str) -> tuple[str, float]:
    """A name that does not sound like the other: where it is bounded, or comes again by itself."""
    before, choices, script = pair.before, pair.choices, pair.script
    longest = choices[0]
    bounded = len(before) == len(longest) or not before[: -len(longest)][-1:].isalpha()
    if script in ("Han", "Katakana"):
        if bounded and len(longest) <= (10 if len(choices) > 1 else 20):
            return longest, 0.6
        again = next((choice for choice in choices if text.count(choice, *pair.near) > 1), "")
        return again, 0.6
    last = choices[-1]
    return (last, 0.5) if len(last) >= 4 and script == "Hangul" else ("", 0.0)


def _spelled_out(before: str, acronym: str) -> str:
    """The words before an acronym whose initials it is made of; empty where they are not."""
    letters = [char.casefold() for char in acronym if char.isalpha()]
    words = list(_SPELLED_WORD.finditer(before))
    for n_words in range(len(letters), min(len(words), len(letters) + 4) + 1):
        own = words[-n_words:]
        initials = [word.group()[0].casefold() for word in own]
        if initials[0] == letters[0] and _holds_in_order(initials, letters):
            return before[own[0].start() :].strip()
    return ""


def _holds_in_order(longer: list[str], shorter: list[str]) -> bool:
    ahead = iter(longer)
    return all(item in ahead for item in shorter)


def _last_names(name: str, other: str) -> Iterator[Alias]:
    """The last parts of two full names, where each has as many and the last ones sound alike."""
    own, theirs = _PARTS.split(name), _PARTS.split(other)
    if len(own) == len(theirs) > 1 and len(own[-1]) > 1:
        alike = float(likeness(theirs[-1], [own[-1]])[0])
        if alike >= _MIN_LIKENESS:
            yield Alias(own[-1], theirs[-1], round(min(0.9, alike), 2))


def _is_name(name: str) -> bool:
    return 2 <= len(name) <= _MAX_NAME_CHARS and bool(terms(name))


def _last_script(text: str) -> str:
    """Script of the last letter of `text`; empty without letters."""
    return next(filter(None, map(_script, reversed(text))), "")


@functools.lru_cache(maxsize=1 << 14)
def _script(char: str) -> str:
    return next((name for name, pattern in _SCRIPT if pattern.match(char)), "")
