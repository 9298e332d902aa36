"""Bytes to text: byte order mark, then UTF-8, then the most plausible legacy codec.

A legacy codec is chosen by how plausible the decoded text is, not by byte statistics:
every candidate that decodes without an error is scored by the characters it yields.
Nothing is dropped or replaced silently.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import regex

from index.errors import ReadError
from index.read.plausibility import DATA, plausibility
from index.read.signatures import BINARY
from index.text.language import detect_with_probability

_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with the same bytes
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CODECS: dict[str, str] = DATA["languages"]
_UTF_16 = ("utf-16-le", "utf-16-be")
_CHARACTER_SET = regex.compile(r"(?:cp|iso8859|koi8|mac|kz|big5|gb|euc|shift|tis|johab|ptcp|hp)")
_ISO_2022 = regex.compile(rb"\x1b\$[@B]")
_SAMPLE_BYTES = 200_000
_MIN_SCORE = 0.35  # below, no candidate reads like text: the bytes are called binary


class Decoded(NamedTuple):
    """A text, the codec that its bytes were in, and notes on it for the user."""

    text: str
    codec: str
    notes: tuple[str, ...] = ()


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """A file of the user's own.

    Raises:
        ReadError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror}", "a readable file", f"chmod u+r {path}") from error


def decode(data: bytes, declared: str = "") -> Decoded:
    """The text that `data` holds.

    A few broken bytes in UTF-8 are shown as U+FFFD and noted; they do not make the rest
    a legacy text.

    Args:
        data: A whole file.
        declared: Codec named by the transport or the markup; a candidate like the
            others, which wins only a near tie.

    Raises:
        ReadError: The bytes are no text in any codec known here.
    """
    for mark, codec in _BOMS:
        if data.startswith(mark):
            return Decoded(_strict(data, codec), codec)
    data = data.removeprefix(codecs.BOM_UTF8)
    if _ISO_2022.search(data) and data.isascii() and (mail := _decoded(data, "iso2022_jp_2")) is not None:
        return Decoded(mail, "iso2022_jp_2", ("decoded as iso2022_jp_2",))
    text = _decoded(data, "utf-8")
    # The bytes of UTF-16 can be valid UTF-8, but then every other one is a control.
    if (
        _share_of_controls(data[:8192]) > (0.0 if text is None else 0.2)
        and (utf16 := _utf16_without_mark(data)) is not None
    ):
        return utf16
    if _looks_binary(data):
        raise ReadError("binary data, not text", "text in Unicode or a legacy codec", "remove it or convert it to text")
    if text is not None:
        return Decoded(text, "utf-8")
    return _damaged_utf8(data) or _best_legacy(data, declared)


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
    if data.startswith(BINARY):
        return True
    n_nul = head.count(0)
    # A stray NUL in text is dropped by cleaning; many of them are no text.
    return n_nul / len(head) > 0.003 or _share_of_controls(head) > (0.05 if n_nul else 0.10)


def _share_of_controls(head: bytes) -> float:
    n_controls = sum(head.count(byte) for byte in range(32) if byte not in (9, 10, 12, 13, 27))
    return n_controls / len(head) if head else 0.0


_CONTROL = regex.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")


def _utf16_without_mark(data: bytes) -> Decoded | None:
    """The text where one of the byte orders yields a readable one without controls."""
    best: tuple[float, str] = (0.0, "")
    for codec in _UTF_16:
        sample = _decode_sample(data[:_SAMPLE_BYTES], codec, whole=len(data) <= _SAMPLE_BYTES)
        # A NUL that strayed into a text of one-byte characters would be a rare character in UTF-16.
        if sample and len(_CONTROL.findall(sample)) <= len(sample) / 1000:
            # In a text that is mostly ASCII the other characters may be anything, emoji for one.
            best = max(best, (max(plausibility(sample), sum(map(str.isascii, sample)) / len(sample)), codec))
    if best[0] < 0.5:
        return None
    text = _decoded(data, best[1])
    return None if text is None else Decoded(text, best[1])


def _damaged_utf8(data: bytes) -> Decoded | None:
    """The text if `data` is UTF-8 but for a few bytes: legacy text is hardly ever valid by chance."""
    text = data.decode("utf-8", "replace")
    n_damaged = text.count("\ufffd") - data.count("\ufffd".encode())
    n_whole = len(text) - len(text.encode("ascii", "ignore")) - n_damaged
    if n_whole < 4 * n_damaged:
        return None
    return Decoded(text, "utf-8", (f"{n_damaged} places are not valid UTF-8 and show as \ufffd",))


def _decoded(data: bytes, codec: str) -> str | None:
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        return None


def _best_legacy(data: bytes, declared: str) -> Decoded:
    sample = data[:_SAMPLE_BYTES]
    scores: list[tuple[float, int, str]] = []
    named = _canonical(declared)
    for rank, codec in enumerate(dict.fromkeys((*_CODECS, *_UTF_16, *filter(None, [named])))):
        text = _decode_sample(sample, codec, whole=len(data) <= _SAMPLE_BYTES)
        if text is not None:
            bonus = 0.1 if codec == named else 0.0
            scores.append((plausibility(text) + _language_bonus(text, codec) + bonus, -rank, codec))
    for score, _, codec in sorted(scores, reverse=True):
        if score < _MIN_SCORE:
            break
        if (whole := _decoded(data, codec)) is not None:
            return Decoded(whole, codec, () if codec.startswith("utf") else (f"decoded as {codec}",))
    raise ReadError(
        "the bytes are not valid UTF-8, and no legacy codec yields readable text",
        "text in one codec",
        "save the file as UTF-8",
    )


def _canonical(name: str) -> str:
    """Python's name of the character set `name`, as wide as it is used in practice; empty for anything else."""
    try:
        codec = codecs.lookup(name).name if name.isascii() else ""
    except LookupError:
        return ""
    widened = {"gb2312": "gb18030", "gbk": "gb18030", "euc_kr": "cp949", "shift_jis": "cp932", "big5": "cp950"}
    # Not rot13, hex, idna, punycode, ...: they are no character sets, or take quadratic time.
    return widened.get(codec, codec) if _CHARACTER_SET.match(codec) else ""


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
    known = codec in _UTF_16 or language.split("-")[0] in _CODECS.get(codec, "").split()
    return 0.5 * probability if known else 0.0
