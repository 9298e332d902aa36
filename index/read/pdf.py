"""PDF to an article, by pypdf. Runs in the parser process (index/read/sandbox.py)."""

from __future__ import annotations

import io
import logging
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence

import regex

from index.documents import Article, Block
from index.errors import ReadError
from index.read.text import iso_date, metadata_from
from index.settings import Limits

_HYPHEN_WRAP = regex.compile(r"(?<=\p{Ll})-\n(?=\p{Ll})")
# D:20240305080000+09'00'. pypdf's own parser raises on a wrong one and makes 3 January of the month 13.
_PDF_DATE = regex.compile(r"^(?:D:)?(\d{4})(\d\d)(\d\d)(?:.*)")
_SENTENCE_END = regex.compile(r"[.!?。！？؟।…:：]['\"”’»」』)）]*$")


def read_pdf(data: bytes, limits: Limits) -> Article:
    """The text of a PDF, page after page, wrapped lines joined.

    Raises:
        ReadError: It is damaged, needs a password, has too many pages, or holds no text.
    """
    import pypdf
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its notes on odd files are not ours to print
    try:
        reader = pypdf.PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise ReadError("a PDF that needs a password", "an open PDF", "save it without a password")
        if len(reader.pages) > limits.max_pages:
            raise ReadError(f"a PDF of {len(reader.pages)} pages", f"at most {limits.max_pages} pages", "split it")
        pages = [page.extract_text().replace("\r", "\n").split("\n") for page in reader.pages]
        information = reader.metadata
    except ReadError:
        raise
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, RecursionError) as error:
        # pypdf raises all of these on damaged files.
        raise ReadError(
            f"a damaged PDF ({type(error).__name__})", "a readable PDF", "open and save it again"
        ) from error
    blocks = tuple(Block(text) for page in _without_running_lines(pages) for text in _paragraphs(page))
    if not any(block.text.strip() for block in blocks):
        raise ReadError("a PDF without text (scanned pages?)", "a PDF with a text layer", "run OCR on it first")
    if information is None:
        return Article(blocks)
    date = iso_date(_PDF_DATE.sub(r"\1-\2-\3", str(information.creation_date_raw or "")))
    return Article(blocks, metadata_from({"title": information.title, "author": information.author, "date": date}))


def _without_running_lines(pages: Sequence[list[str]]) -> Iterator[str]:
    """The pages without headers and footers: lines at their edges that come again on others, but for a number."""
    edges = [{i: _DIGITS.sub("#", lines[i].strip()) for i in _edges(lines)} for lines in pages]
    counts = Counter(key for own in edges for key in set(own.values()))
    for lines, own in zip(pages, edges, strict=True):
        running = {i for i, key in own.items() if counts[key] >= _MIN_RUNNING}
        yield "\n".join("" if i in running else line for i, line in enumerate(lines))


def _edges(lines: Sequence[str]) -> list[int]:
    filled = [i for i, line in enumerate(lines) if line.strip()]
    return [*filled[:2], *filled[-2:]]


_DIGITS = regex.compile(r"\d+")
_MIN_RUNNING = 3  # pages


def _paragraphs(page: str) -> list[str]:
    page = _HYPHEN_WRAP.sub("", page)
    widths = sorted(map(_width, page.split("\n")))
    wrapped = max(40, 0.6 * widths[3 * len(widths) // 4])  # a line that is wrapped is as wide
    paragraphs = []
    for part in regex.split(r"\n[ \t]*\n", page):
        joined = last = ""
        for line in filter(None, map(str.strip, part.split("\n"))):
            if not joined or _SENTENCE_END.search(last) or _width(last) < wrapped:
                joined += ("\n" if joined else "") + line
            else:
                joined += line if regex.search(r"[\p{Han}\p{Hiragana}\p{Katakana}]$", last) else " " + line
            last = line
        if joined:
            paragraphs.append(joined)
    return paragraphs


def _width(line: str) -> int:
    """Columns of a line; a character of East Asia takes two."""
    return len(line) + sum(unicodedata.east_asian_width(char) in "WF" for char in line)
