"""One door to every format: a path or URL in, articles or cleaned documents out.

Files of one's own are read in this process, which is fast (PDF and DOCX never are); those of others, which may be made
to harm, are checked and read in a process with limits (`read_untrusted`).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from index.documents import Article, Cleaned
from index.errors import ReadError, TooLarge
from index.read.clean import clean
from index.read.html import read_html
from index.read.jsonl import read_jsonl
from index.read.sandbox import Parser, ParserProcess
from index.read.text import read_markdown, read_text
from index.read.url import fetch
from index.settings import Limits

__all__ = [
    "SUFFIXES",
    "Found",
    "clean",
    "cleaned",
    "digest",
    "discover",
    "is_url",
    "passed_over",
    "read_documents",
    "read_path",
    "read_untrusted",
    "read_url",
]

_TEXT = frozenset({".txt", ".text"})
_MARKDOWN = frozenset({".md", ".markdown"})
_HTML = frozenset({".html", ".htm", ".xhtml"})
_JSONL = frozenset({".jsonl", ".ndjson"})
SUFFIXES = _TEXT | _MARKDOWN | _HTML | _JSONL | {".pdf", ".docx"}


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read: where it is, and how the user named it. `error` where it cannot be."""

    path: Path
    source: str
    error: ReadError | None = None

    @property
    def location(self) -> str:
        """Absolute path, which identifies the source however it was typed."""
        return os.path.realpath(self.path)


def is_url(source: str) -> bool:
    """Whether `source` names a web address rather than a path."""
    return source.startswith(("http://", "https://"))


def discover(source: str) -> Iterator[Found]:
    """The files that `source`, a file or folder, names, in a stable order.

    A folder gives its files of known formats, at any depth; hidden ones and symbolic links
    to folders are passed over (a loop of links therefore ends). A file named directly is
    tried whatever its suffix. What cannot be listed comes with its error.
    """
    path = Path(source)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        yield Found(path, source, ReadError(f"{source} does not exist", "a file, folder or URL", "check the path"))
        return
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        yield Found(path, source, ReadError(f"{source}: {reason}", "a readable path", "check the path and its rights"))
        return
    if stat.S_ISREG(mode):
        yield Found(path, source)
    elif stat.S_ISDIR(mode):
        yield from _walk(path)
    else:
        yield Found(path, source, ReadError(f"{source} is no regular file", "a file or folder", "name a file"))


def _walk(folder: Path) -> Iterator[Found]:
    failures: list[OSError] = []
    for root, folders, names in os.walk(folder, onerror=failures.append, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root) / name
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            try:
                is_file = path.is_file()
            except PermissionError as error:  # the folder may be listed, but not entered
                failures.append(error)
                continue
            if is_file:
                yield Found(path, str(path))
    for failure in failures:
        path = Path(failure.filename)
        yield Found(
            path, str(path), ReadError(f"{path}: {failure.strerror}", "a readable folder", f"chmod -R u+rX {path}")
        )


def passed_over(folder: str) -> Counter[str]:
    """How many files of a folder, by suffix, are of no type that is read; hidden ones do not count."""
    counts: Counter[str] = Counter()
    for _, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        suffixes = (Path(name).suffix.lower() for name in names if not name.startswith("."))
        counts.update(suffix or "without a suffix" for suffix in suffixes if suffix not in SUFFIXES)
    return counts


def digest(path: Path) -> str:
    """Hex SHA-256 of a file's bytes.

    Raises:
        ReadError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror}", "a readable file", f"chmod u+r {path}") from error


def read_documents(found: Found, parser: Parser, limits: Limits) -> Iterator[Cleaned | ReadError]:
    """The documents in a file of one's own: one, or for JSON lines one a line (with errors in their places).

    Raises:
        ReadError: The file as a whole cannot be read.
    """
    for article in read_path(found.path, parser, limits):
        yield article if isinstance(article, ReadError) else cleaned(article, found.location, found.source)


def read_untrusted(found: Found, parser: ParserProcess, limits: Limits) -> Iterator[Cleaned | ReadError]:
    """The same documents of a file that anybody may have made; nothing but its digest is taken of it in this process.

    Raises:
        ReadError: It is not what its name says, cannot be read, or ran over a limit.
    """
    yield from parser.documents(found.path, found.source)


def cleaned(article: Article, file: str, source: str) -> Cleaned:
    """An article of a file as it is to be stored."""
    part = f"#{article.part}" if article.part else ""
    return Cleaned(clean(article, file + part, source + part), part, article.notes)


def read_path(path: Path, parser: Parser, limits: Limits) -> Iterator[Article | ReadError]:
    """The articles in a file: one, or for JSON lines one a line (with errors in their places).

    Raises:
        ReadError: The file as a whole cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in _JSONL:
        yield from read_jsonl(path, limits)
        return
    yield _read_bytes(_load(path, limits), suffix, parser)


def read_url(url: str, parser: Parser, limits: Limits) -> Article:
    """The article at `url`.

    Raises:
        ReadError: It could not be fetched or read; `UnsafeUrl` where the guard refused it.
    """
    page = fetch(url, limits)
    if page.content_type == "application/pdf":
        return parser.parse("pdf", page.data)
    if page.content_type in ("text/plain", "text/markdown"):
        return read_text(page.data, page.charset)
    if page.content_type in ("text/html", "application/xhtml+xml", ""):
        return read_html(page.data, page.charset, page.url)
    raise ReadError(f"{url} is {page.content_type}", "HTML, plain text or PDF", "save and convert it")


def _load(path: Path, limits: Limits) -> bytes:
    try:
        size = path.stat().st_size
        if size > limits.max_file_bytes:
            raise TooLarge(
                f"{size / 2**20:.0f} MiB in one file",
                f"at most {limits.max_file_bytes / 2**20:.0f} MiB",
                "split it, or raise --max-file-mb",
            )
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(f"{path}: {error.strerror}", "a readable file", f"chmod u+r {path}") from error
    if not data.strip():
        raise ReadError("an empty file", "a file with text", "remove it or fill it")
    return data


def _read_bytes(data: bytes, suffix: str, parser: Parser) -> Article:
    if suffix == ".pdf" or data.startswith(b"%PDF-"):
        return parser.parse("pdf", data)
    if suffix == ".docx":
        return parser.parse("docx", data)
    if suffix in _HTML:
        return read_html(data)
    if suffix in _MARKDOWN:
        return read_markdown(data)
    return read_text(data)
