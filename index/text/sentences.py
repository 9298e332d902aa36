"""Sentences of a text in any script, as spans.

Rules, no model: where a sentence may end is a matter of punctuation (Unicode
UAX #29 gives the starting point) and of what follows it. The spans hold every
character that is not white space, in order, without overlap.
"""

from __future__ import annotations

import itertools
import unicodedata

import regex

from index.documents import Span
from index.text.abbreviations import is_abbreviation

# --- what ends a sentence -------------------------------------------------------------------------------
_FULL = "。！？｡‼⁇⁈⁉"  # stops of scripts without spaces: what follows need not be a space
_FIRM = "؟۔।॥።፧፨។៕။᠃᠉꘎"  # stops that mean nothing else
_SOFT = ".!?…⋯．"  # may stand in an abbreviation, a number, an address
_CLOSERS = "\"'”’»›）)］]】」』〉》〕｝}〟＂＇“‘«"  # “ and « close in German and Danish
_OPENERS = "\"'“‘«„‚‹（(［[【「『〈《〔｛{〝¿¡"
_STOP = regex.compile(rf"፡፡|។ល។|[{regex.escape(_FULL + _FIRM + _SOFT)}]+")
_GREEK_STOP = regex.compile(rf"{_STOP.pattern}|[;\u037e]")  # the Greek question mark
_ELLIPSIS_ONLY = regex.compile(r"[…⋯]+|\.{2,}|．{2,}")

_BULLET = regex.compile(r"[ \t\u3000]*(?:[•◦▪●○■□▶►◆◇★☆※·‣⁃*–—-]|[(（]?(?:\d{1,3}|[a-zA-Z])[.)）．、])[ \t\u3000]+\S")
_BARE_ENUMERATOR = regex.compile(r"[(（]?(?:\d{1,3}|[ivxIVX]{1,4}|[a-zA-Z]|[一二三四五六七八九十]{1,3})[.)）．、]?")
_ENUMERATOR_AFTER = regex.compile(r"\s*\d{1,2}(?:、|[.．)）](?=\s*\D))")
_BREAK = regex.compile(r"\n[ \t\u3000]*\n\s*|\n")
_LETTER = regex.compile(r"\p{L}")

# What continues a sentence after a quotation that ends in a stop.
_KOREAN_QUOTATIVE = regex.compile(
    r"\s?(?:이?라[고는며면던]|라는|하고|하는|하며|고\b|고\s|는\b|은\b|이\b|을\b|를\b|의\b|에\b|과\b|와\b|도\b|로\b|으로|란\b|라며|라면서)"
)
_JAPANESE_QUOTATIVE = regex.compile(r"(?:と|って|という|の|が|を|は|に|も|で|へ|や|など|、|，)")
_OTHER_QUOTATIVE = regex.compile(r"(?:ဟု|ဟူ|என்ற|என்று|என)")
# A brand or domain that begins a sentence in lower case: iPhone, eBay, example.com.
_LOWER_NAME = regex.compile(r"\p{Ll}{1,2}\p{Lu}|\p{Ll}[\w-]*(?:\.[\w-]{2,})+")
_NEVER_STARTS = regex.compile(r"[,;:，；：、)\]）】」』%]|[\p{Mn}\p{Mc}]")

_TOKEN_BEFORE = regex.compile(r"[^\s(（\[«„“‘—–/、，,]+$")
_KANA = regex.compile(r"[\u3040-\u30FF]")
_HANGUL = regex.compile(r"[\uAC00-\uD7AF]")
_AFTER_HANGUL = regex.compile(r"[\uAC00-\uD7AF\p{Lu}0-9]")
_KANA_HAN = regex.compile(r"[\u3040-\u30FF\u4E00-\u9FFF]")
_CJK = regex.compile(r"[\uAC00-\uD7AF\u3040-\u30FF\u4E00-\u9FFF]")
_LEADING_CJK = regex.compile(r"^[\u3040-\u30FF\u4E00-\u9FFF]+(?=[A-Za-z])")
_CASELESS = regex.compile(r"[\u0590-\u06FF\u0900-\u0D7F]")
_CAPITALISED = regex.compile(r"\p{Lu}\p{Ll}+(?:\s|$)")
_LOWER_END = regex.compile(r"\p{Ll}{2,}$")
_SPACES = regex.compile(r"[ \u00a0]+")
_THAI_LIKE = regex.compile(r"[\u0E00-\u0EFF]")
_WIDE_CHARS = regex.compile(r"[\u1100-\u11FF\u2E80-\uA4CF\uAC00-\uD7AF\uF900-\uFAFF\uFF00-\uFF60]")


def split_sentences(text: str, language: str = "") -> list[Span]:
    """Spans of the sentences of `text`, in order, trimmed of white space.

    Every character of `text` that is not white space lies in exactly one span.
    `language` (BCP 47) helps only where a sign means different things: the Greek
    question mark, German ordinals.
    """
    spans: list[Span] = []
    for start, end in _paragraphs(text):
        spans.extend(_split_paragraph(text, start, end, language.split("-")[0]))
    return spans


def _paragraphs(text: str) -> list[Span]:
    """Stretches that no sentence crosses: blank lines, list items, ends of unwrapped lines."""
    cuts = [0]
    for match in _BREAK.finditer(text):
        if match.group().count("\n") > 1 or not _is_soft_wrap(text, match.start(), match.end()):
            cuts.append(match.end())
    cuts.append(len(text))
    return [Span(a, b) for a, b in itertools.pairwise(cuts) if a < b]


def _is_soft_wrap(text: str, start: int, end: int) -> bool:
    """Whether the newline at `start` only wraps a line of running text."""
    line_start = max(text.rfind("\n", 0, start), start - 400) + 1
    before = text[line_start:start].rstrip()
    after = text[end : end + 80]
    if not before or not after.strip() or _BULLET.match(after) or _BULLET.match(before):
        return False
    last, width = before[-1], len(before) + len(_WIDE_CHARS.findall(before))
    following = after.lstrip()
    if last == "." and width >= _WRAPPED:
        stop = line_start + before.rfind(".")
        word = _word_before(text, line_start, stop)
        return is_abbreviation(text, line_start, stop, following[0], following, "", word)
    if last in _FULL + _FIRM + _SOFT + ":：" or (last in _CLOSERS and before[-2:-1] in _FULL + _FIRM + _SOFT):
        return False
    return following[0].islower() and width >= _WRAPPED


_WRAPPED = 40  # characters: a line that was wrapped has more


def _split_paragraph(text: str, start: int, end: int, language: str) -> list[Span]:
    spans: list[Span] = []
    stops = _GREEK_STOP if language == "el" else _STOP
    begin = position = start
    while match := stops.search(text, position, end):
        stop_start, stop_end = match.span()
        after = _take_closers(text, stop_end, end, start)
        position = max(after, stop_end)
        if _ends_sentence(text, begin, stop_start, stop_end, after, end, language):
            _append(spans, text, begin, after)
            begin = after
        elif after > stop_end:
            begin = _reopen(spans, text, start, begin, after)
    _append(spans, text, begin, end)
    if _THAI_LIKE.search(text, start, end):
        return [piece for span in spans for piece in _split_spaced(text, span)]
    return spans


_MAX_QUOTE = 600  # characters: an opener further back than this is no partner (and keeps the work linear)


def _reopen(spans: list[Span], text: str, start: int, begin: int, after: int) -> int:
    """Take back the sentences of a quotation that turned out to stand inside one sentence.

    `「寒い。帰ろう。」と言った。` is one sentence; its inner stops were taken for ends.
    """
    opening = _opening_of(text, after - 1, start)
    if opening < 0 or opening >= begin:
        return begin
    while spans and spans[-1].end > opening and spans[-1].start >= start:
        begin = spans.pop().start
    return begin


_BRACKETS = dict(zip("）)］]】」』〉》〕｝}〟", "（(［[【「『〈《〔｛{〝", strict=True))
_OPENER_OF = {"”": "“", "’": "‘", "»": "«", "›": "‹", "“": "„”", "‘": "‚", "«": "»"}


def _take_closers(text: str, position: int, end: int, start: int) -> int:
    """Position after the closing quotes and brackets that belong to the stop before it.

    `start` is where the paragraph starts: a sign that opens in one language and closes in
    another (“, «, ") closes only where its opener stands open since there.
    """
    while position < end:
        char = text[position]
        if (
            char in " \u00a0\u202f"
            and text[position + 1 : position + 2] == "»"
            and _is_open(text, "»", start, position)
        ):
            position += 2  # French sets a space before the closing sign
        elif char in _CLOSERS:
            if char in "\"'＂＇“‘«»" and not _is_open(text, char, start, position):
                break
            position += 1
        elif unicodedata.combining(char) or char in "\ufe0f\u200d\u200b\u200e\u200f":
            position += 1
        else:
            break
    return position


def _is_open(text: str, closer: str, start: int, position: int) -> bool:
    """Whether the quotation that `closer` would end was opened between `start` and `position`."""
    start = max(start, position - _MAX_QUOTE)
    n_closed = text.count(closer, start, position)
    if closer in "\"'＂＇":
        return n_closed % 2 == 1
    return sum(text.count(opener, start, position) for opener in _OPENER_OF[closer]) > n_closed


def _opening_of(text: str, closer_at: int, start: int) -> int:
    """Where the quotation or bracket closed at `closer_at` was opened; -1 if not since `start`."""
    start = max(start, closer_at - _MAX_QUOTE)
    closer = text[closer_at]
    if closer in "\"'＂＇":
        return text.rfind(closer, start, closer_at)
    openers = _OPENER_OF.get(closer) or _BRACKETS.get(closer, "")
    return max((text.rfind(opener, start, closer_at) for opener in openers), default=-1)


def _ends_sentence(text: str, begin: int, stop_start: int, stop_end: int, after: int, end: int, language: str) -> bool:
    rest = text[after : min(after + 40, end)]
    if not rest.strip():
        return True
    stop = text[stop_start:stop_end]
    if stop == "។ល។" or text[stop_end:after].startswith("》"):  # "etc." in Khmer; a stop inside a title
        return False
    if stop == "။" and _before(text, begin, stop_start).isdigit():
        return False
    if _NEVER_STARTS.match(rest.lstrip()) and not _ENUMERATOR_AFTER.match(rest):
        return False
    closed = after > stop_end
    if closed and _continues_after_quote(text, begin, stop_end, after, rest):
        return False
    if any(char in _FULL or char in _FIRM for char in stop) or stop == "፡፡":
        return True
    if _ELLIPSIS_ONLY.fullmatch(stop):
        return _ellipsis_ends(text, begin, stop_start, rest)
    return _soft_stop_ends(text, begin, stop_start, stop, rest, closed, language)


def _continues_after_quote(text: str, begin: int, stop_end: int, after: int, rest: str) -> bool:
    """Whether the sentence that holds a closed quotation or bracket goes on behind it."""
    closer = text[stop_end:after][-1:]
    first = rest[:1]
    if closer in "」』）)】］〉》”’\"'" and _KANA.match(first) and _JAPANESE_QUOTATIVE.match(rest):
        return True
    if _KOREAN_QUOTATIVE.match(rest) and _HANGUL.match(rest.lstrip()[:1]) and not first.isspace():
        return True
    if first.isspace() or first in "—–":
        following = rest.lstrip(" \t\u00a0\u202f—–-")
        if _OTHER_QUOTATIVE.match(following):
            return True
        opening = _opening_of(text, after - 1, begin) if closer in _BRACKETS else -1
        if 0 <= opening <= begin + 20 and not text[begin:opening].strip():
            return False  # the whole sentence stood in brackets
        return bool(following[:1].islower()) and not _LOWER_NAME.match(following)
    return False


def _ellipsis_ends(text: str, begin: int, stop_start: int, rest: str) -> bool:
    """An ellipsis ends a sentence only where a new one clearly begins."""
    if not _before(text, begin, stop_start):
        return False
    following = rest.lstrip()
    return rest[0].isspace() and (following[:1].isupper() or following[:1] in "¿¡„«“(（")


def _soft_stop_ends(text: str, begin: int, stop_start: int, stop: str, rest: str, closed: bool, language: str) -> bool:
    first = rest[0]
    following = rest.lstrip()
    nxt = following.lstrip(_OPENERS + "—–- ")[:1]
    question = "!" in stop or "?" in stop
    if not first.isspace() and not closed:
        return _ends_without_space(text, stop_start, rest, question)
    if question:
        return not nxt.islower() or bool(_LOWER_NAME.match(following)) or (closed and following[:1] in _OPENERS)
    word = _word_before(text, begin, stop_start)
    if not word:
        return True
    if _BARE_ENUMERATOR.fullmatch(_before(text, begin, stop_start)) and not closed:
        return False
    if nxt.islower() and not _LOWER_NAME.match(following.lstrip(_OPENERS)):
        return False
    return not is_abbreviation(text, begin, stop_start, nxt, following, language, word)


def _ends_without_space(text: str, stop_start: int, rest: str, question: bool) -> bool:
    """A stop with no space behind it ends a sentence only between letters of scripts that allow it."""
    before, first = text[stop_start - 1 : stop_start], rest[0]
    if first in _OPENERS and not first.isspace():
        return bool(_CJK.match(before)) or question
    if _HANGUL.match(before):
        return bool(_AFTER_HANGUL.match(first))
    if question:
        name_in_japanese = before.isascii() and _KANA_HAN.match(first)  # Yahoo!ニュース
        return not first.islower() and bool(_LETTER.match(first) or first in "•-–—") and not name_in_japanese
    if _CASELESS.match(before):
        return bool(_CASELESS.match(first)) and len(_word_before(text, max(0, stop_start - 20), stop_start)) > 3
    if _KANA_HAN.match(before):
        return bool(_KANA_HAN.match(first))
    # "word.Another": a missing space, unless it is a domain name or a version.
    tail = _CAPITALISED.match(rest)
    return bool(tail and _LOWER_END.search(text[max(0, stop_start - 12) : stop_start]))


def _before(text: str, begin: int, stop_start: int) -> str:
    """What stands before a stop, as far as a rule looks: all of a sentence would make the work quadratic."""
    return text[max(begin, stop_start - 60) : stop_start].strip()


def _word_before(text: str, begin: int, stop_start: int) -> str:
    match = _TOKEN_BEFORE.search(text[max(begin, stop_start - 24) : stop_start])
    # "据U.S.": a Latin abbreviation glued to Chinese is looked up alone.
    return _LEADING_CJK.sub("", match.group()) if match else ""


def _split_spaced(text: str, span: Span) -> list[Span]:
    """Pieces of a long Thai or Lao stretch, which writes sentences with spaces and no stops.

    A space stands between sentences, but also inside them; only pieces of a sentence's
    usual length are made, so that a piece is rarely less than a clause.
    """
    if span.end - span.start <= _THAI_TARGET:
        return [span]
    pieces: list[Span] = []
    begin = span.start
    for match in _SPACES.finditer(text, span.start, span.end):
        left, right = text[match.start() - 1], text[match.end() : match.end() + 1]
        if _FIGURE_NEXT.match(text, match.end(), span.end):
            continue
        thai_both = _THAI_LIKE.match(left) and _THAI_LIKE.match(right or " ")
        if (
            thai_both
            and right not in "ๆฯ"
            and left != "ฯ"
            and match.start() - begin >= _THAI_TARGET
            and span.end - match.end() >= 20
        ):
            _append(pieces, text, begin, match.start())
            begin = match.end()
    _append(pieces, text, begin, span.end)
    return pieces


_FIGURE_NEXT = regex.compile(r"\S{1,14}[ \u00a0]+\p{Nd}")  # พ.ศ. 2570, ร้อยละ 45: a figure goes with what is before it
_THAI_TARGET = 80  # characters, about a sentence of Thai news text


def _append(spans: list[Span], text: str, start: int, end: int) -> None:
    span = trimmed(text, start, end)
    if span.start < span.end:
        spans.append(span)


def trimmed(text: str, start: int, end: int) -> Span:
    """The stretch from `start` to `end` without the white space at its edges."""
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return Span(start, end)
