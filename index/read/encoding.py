"""Bytes to text: byte order mark, then strict UTF-8, then the most plausible legacy codec.

A legacy codec is chosen by how plausible the decoded text is, not by byte statistics:
every candidate that decodes without an error is scored by the characters it yields.
Nothing is dropped or replaced silently.
"""

from __future__ import annotations

import codecs
import functools
import unicodedata
from collections import Counter

import regex

from index.errors import ReadError
from index.hanzi import telling_characters
from index.language import detect_with_probability

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with the same bytes
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Codec -> primary language subtags that were written in it. Order decides ties: the common codec first.
_CODECS: dict[str, str] = {
    "cp949": "ko", "cp950": "zh", "big5hkscs": "zh", "gb18030": "zh", "cp932": "ja", "euc_jp": "ja",
    "cp1252": "en de fr es it pt nl sv da nb fi is ca eu gl ga id ms tl sw af et sq",
    "cp1251": "ru uk bg sr mk be", "cp1250": "pl cs sk hu ro hr sl sq",
    "cp1253": "el", "cp1254": "tr az", "cp1255": "he", "cp1256": "ar fa ur", "cp1257": "et lv lt",
    "cp1258": "vi", "cp874": "th", "koi8_r": "ru bg", "koi8_u": "uk ru", "cp866": "ru",
    "iso8859_2": "pl cs sk hu ro hr sl", "iso8859_5": "ru bg sr mk", "iso8859_15": "fr fi",
}  # fmt: skip
_SAMPLE_BYTES = 200_000
_MIN_SCORE = 0.35  # below, no candidate reads like text: the bytes are called binary


def decode(data: bytes, declared: str = "") -> tuple[str, str]:
    """The text that `data` holds and the codec it was decoded with.

    Args:
        data: A whole file.
        declared: Codec named by the transport or the markup; a candidate like the
            others, which wins only a near tie.

    Raises:
        ReadError: The bytes are no text in any codec known here.
    """
    for mark, codec in _BOMS:
        if data.startswith(mark):
            return _strict(data, codec), codec
    if _looks_binary(data):
        raise ReadError("binary data, not text", "text in Unicode or a legacy codec", "remove it or convert it to text")
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as error:
        damaged = error
    if (utf16 := _utf16_without_mark(data)) is not None:
        return utf16
    return _best_legacy(data, declared, damaged)


def _strict(data: bytes, codec: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        raise ReadError(
            f"byte {error.start} is not valid {codec}, which the byte order mark names",
            "a whole file in one codec",
            "save the file as UTF-8",
        ) from error


def _looks_binary(data: bytes) -> bool:
    head = data[:8192]
    if not head:
        return False
    n_nul = head.count(0)
    if n_nul and _utf16_without_mark(data) is None:
        # A stray NUL in text is dropped by cleaning; many of them are no text.
        return n_nul / len(head) > 0.003 or _share_of_controls(head) > 0.05
    return n_nul == 0 and _share_of_controls(head) > 0.10


def _share_of_controls(head: bytes) -> float:
    n_controls = sum(head.count(byte) for byte in range(32) if byte not in (9, 10, 12, 13, 27))
    return n_controls / len(head)


def _utf16_without_mark(data: bytes) -> tuple[str, str] | None:
    head = data[:4000]
    if len(head) < 4 or len(data) % 2:
        return None
    for codec, nul_at in (("utf-16-le", 1), ("utf-16-be", 0)):
        if head[nul_at::2].count(0) > 0.4 * len(head) / 2 > 0 and head[1 - nul_at :: 2].count(0) == 0:
            try:
                return data.decode(codec), codec
            except UnicodeDecodeError:
                return None
    return None


def _best_legacy(data: bytes, declared: str, damaged: UnicodeDecodeError) -> tuple[str, str]:
    sample = data[:_SAMPLE_BYTES]
    scores: list[tuple[float, int, str]] = []
    named = _canonical(declared)
    for rank, codec in enumerate(dict.fromkeys((*_CODECS, *filter(None, [named])))):
        text = _decode_sample(sample, codec, whole=len(data) <= _SAMPLE_BYTES)
        if text is not None:
            bonus = 0.1 if codec == named else 0.0
            scores.append((plausibility(text) + _language_bonus(text, codec) + bonus, -rank, codec))
    for score, _, codec in sorted(scores, reverse=True):
        if score < _MIN_SCORE:
            break
        try:
            return data.decode(codec), codec
        except UnicodeDecodeError:
            continue
    raise ReadError(
        f"byte {damaged.start} is not valid UTF-8, and no legacy codec yields readable text",
        "text in one codec",
        "save the file as UTF-8",
    )


def _canonical(name: str) -> str:
    try:
        codec = codecs.lookup(name).name if name else ""
    except LookupError:
        return ""
    widened = {"gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932", "big5": "cp950"}
    return "" if codec in ("utf-8", "ascii") else widened.get(codec, codec)


def _decode_sample(sample: bytes, codec: str, whole: bool) -> str | None:
    for trim in range(1 if whole else 4):  # the cut may fall inside a character
        try:
            return sample[: len(sample) - trim].decode(codec)
        except UnicodeDecodeError:
            continue
    return None


def _language_bonus(text: str, codec: str) -> float:
    """Up to 0.5 where the text reads as a language that was written in this codec."""
    lines = [line for line in text.splitlines() if not line.isascii()]
    language, probability = detect_with_probability("\n".join(lines)[:4000])
    return 0.5 * probability if language.split("-")[0] in _CODECS.get(codec, "").split() else 0.0


_NON_ASCII_RUN = regex.compile(r"[^\x00-\x7f]+")
_ODD = regex.compile(r"[\p{Co}\p{Cn}\x80-\x9f\uff61-\uff9f\p{So}\p{Sm}\p{Sk}\u2500-\u259f\u2160-\u217f]")
_COMMON_PUNCTUATION = frozenset("。，、！？：；「」『』（）《》〈〉“”‘’…—·～・【】　–«»„€№°©®™×¿¡´£§")
# The letters that each single-byte language writes daily; others in a codec's upper half are rare.
_EUROPEAN_DAILY = frozenset("äöüßéèêëàâîïôûùçæœñáíóúãõåøìòěščřžýůďťňąćęłńóśźżăâîșțşţőűğıİđ") | frozenset(
    "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґўђјљњћџαβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώϊϋ"
)


def plausibility(text: str) -> float:
    """How much `text` reads like something a person wrote, 0 to 1, by its non-ASCII characters.

    Frequent characters of a living script count in full, rare Han characters and odd
    letter case little, unassigned, private and box-drawing characters against.
    """
    runs = _NON_ASCII_RUN.findall(text)
    if not runs:
        return 0.5
    joined = "".join(runs)[:60_000]
    counts = Counter(joined)
    total = sum(n * _weight(char) for char, n in counts.items())
    score = total / len(joined)
    penalty = _mixture_penalty(joined, counts) + _word_penalty(text) + _spacing_penalty(text)
    return max(0.0, score - penalty)


def _weight(char: str) -> float:
    if char in _COMMON_PUNCTUATION:
        return 0.7
    if _ODD.match(char):
        return -1.0
    code = ord(char)
    if 0x4E00 <= code <= 0x9FFF:
        return _han_weight(char)
    if 0xAC00 <= code <= 0xD7A3:
        return 1.0 if char in _common_hangul() else -0.6
    if 0x3041 <= code <= 0x30FE:
        return 0.95
    if 0x3400 <= code <= 0x4DBF or code >= 0x20000:
        return -0.5
    if char.casefold() in _EUROPEAN_DAILY:
        return 0.9
    if 0x0590 <= code <= 0x06FF or 0x0E00 <= code <= 0x0E7F:
        return 0.9 if unicodedata.category(char) != "Cn" else -1.0
    if unicodedata.combining(char):
        return 0.5
    return 0.1 if char.isalpha() else 0.0


@functools.cache
def _common_hangul() -> frozenset[str]:
    """The 2,350 syllables of KS X 1001, which cover written Korean; the other 8,822 are rare."""
    return frozenset(bytes((lead, trail)).decode("euc_kr") for lead in range(0xB0, 0xC9) for trail in range(0xA1, 0xFF))


def _han_weight(char: str) -> float:
    common = _common_han()
    return 1.0 if char in common else 0.0


@functools.cache
def _common_han() -> frozenset[str]:
    """Han characters of the first levels of GB 2312, Big5 and JIS X 0208: in use, not in dictionaries only."""
    gb = {bytes((a, b)) for a in range(0xB0, 0xD8) for b in range(0xA1, 0xFF)}
    big5 = {bytes((a, b)) for a in range(0xA4, 0xC7) for b in (*range(0x40, 0x7F), *range(0xA1, 0xFF))}
    jis = {bytes((a + 0x80, b + 0x80)) for a in range(0x30, 0x50) for b in range(0x21, 0x7F)}
    chars: set[str] = set()
    for codec, pairs in (("gb2312", gb), ("big5", big5), ("euc_jp", jis)):
        for pair in pairs:
            try:
                chars.add(pair.decode(codec))
            except UnicodeDecodeError:
                continue
    return frozenset(chars)


_SCRIPT_OF = (
    ("hangul", regex.compile(r"[\uac00-\ud7a3]")),
    ("kana", regex.compile(r"[\u3041-\u30fe]")),
    ("han", regex.compile(r"[\u3400-\u9fff]")),
    ("cyrillic", regex.compile(r"\p{Cyrillic}")),
    ("greek", regex.compile(r"\p{Greek}")),
    ("hebrew", regex.compile(r"\p{Hebrew}")),
    ("arabic", regex.compile(r"\p{Arabic}")),
    ("thai", regex.compile(r"\p{Thai}")),
)


def _mixture_penalty(joined: str, counts: Counter[str]) -> float:
    """Scripts that do not go together in one text (hangul with rare han, kana in Korean, Greek in Chinese)."""
    n = {name: sum(k for char, k in counts.items() if pattern.match(char)) for name, pattern in _SCRIPT_OF}
    total = sum(n.values())
    if not total:
        return 0.0
    shares = {name: count / total for name, count in n.items()}
    cjk = shares["han"] + shares["kana"]
    dominant = max(shares, key=lambda name: shares[name])
    if dominant in ("han", "kana"):
        clash = _simplified_traditional_clash(counts) + _stray_kana(shares)
        return 1.0 - cjk + clash + (_missing_function_characters(counts) if not shares["kana"] else 0.0)
    if dominant == "hangul":
        # Modern Korean text has few Han characters and no kana.
        return max(0.0, 1.0 - shares["hangul"] - 0.1)
    return 1.0 - shares[dominant]


# The 30 most frequent characters of written Chinese are about a fifth of it.
_CHINESE_DAILY = frozenset("的一是在不了有和人這这中大為为上個个國国我以要他時时來来到於于出就對对成會会年也與与將将")


def _missing_function_characters(counts: Counter[str]) -> float:
    n_han = sum(n for char, n in counts.items() if "\u4e00" <= char <= "\u9fff")
    share = sum(counts[char] for char in _CHINESE_DAILY) / n_han
    return 0.4 * max(0.0, 1.0 - share / 0.06)


def _stray_kana(shares: dict[str, float]) -> float:
    # Japanese has at least a fifth of kana and Chinese none: a little is the sign of a wrong codec.
    return 0.3 if 0.03 < shares["kana"] < 0.15 else 0.0


def _simplified_traditional_clash(counts: Counter[str]) -> float:
    traditional, simplified = telling_characters()
    n_traditional = sum(n for char, n in counts.items() if char in traditional)
    n_simplified = sum(n for char, n in counts.items() if char in simplified)
    both = n_traditional + n_simplified
    return 0.5 * min(n_traditional, n_simplified) / both if both else 0.0


_WORD_WITH_ACCENT = regex.compile(r"[\p{L}\p{M}]*[^\x00-\x7f\W][\p{L}\p{M}]*")
_CASE_CLASH = regex.compile(r"\p{Ll}\p{Lu}")
_ALPHABETS = tuple(
    regex.compile(rf"\p{{{name}}}") for name in ("Latin", "Cyrillic", "Greek", "Hebrew", "Arabic", "Thai")
)


def _word_penalty(text: str) -> float:
    """Share of words with an upper-case letter inside (koi8-r read as cp1251) or two alphabets in one word."""
    words = _WORD_WITH_ACCENT.findall(text[:20_000])
    if not words:
        return 0.0
    n_odd = 0
    for word in words:
        n_alphabets = sum(bool(pattern.search(word)) for pattern in _ALPHABETS)
        n_odd += bool(_CASE_CLASH.search(word)) or n_alphabets > 1
    return n_odd / len(words)


_HAN_SPACE_HAN = regex.compile(r"[\u4e00-\u9fff] (?=[\u4e00-\u9fff])")
_HAN_RUN = regex.compile(r"[\u4e00-\u9fff]+")
_HANGUL_RUN = regex.compile(r"[\uac00-\ud7a3]+")


_THAI_RUN = regex.compile(r"[\u0e01-\u0e4e]+")
_THAI_MARK_ASTRAY = regex.compile(r"(?<![\u0e01-\u0e4e])[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]")


def _spacing_penalty(text: str) -> float:
    """Chinese does not put spaces between words and Korean does: the reverse is the other's bytes."""
    sample = text[:20_000]
    n_han, n_hangul = len(_HAN_RUN.findall(sample)), _HANGUL_RUN.findall(sample)
    spaced = len(_HAN_SPACE_HAN.findall(sample)) / n_han if n_han else 0.0
    long = sum(len(run) > 12 for run in n_hangul) / len(n_hangul) if n_hangul else 0.0
    thai = _THAI_RUN.findall(sample)
    misplaced = len(_THAI_MARK_ASTRAY.findall(sample)) / len(thai) if thai else 0.0
    short = 0.4 if thai and sum(map(len, thai)) / len(thai) < 7 else 0.0
    return spaced + long + misplaced + short
