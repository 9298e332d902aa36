"""One door to every format: a path or URL in, cleaned documents out.

JSON lines and short text are read in this process, which is fast and cannot be made slow. All other files, and all
files of others (`read_untrusted`), are read in a process with limits.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from index.documents import Article, Document
from index.errors import ReadError, TooLarge
from index.read.clean import clean
from index.read.docx import read_docx
from index.read.encoding import opened
from index.read.html import read_html
from index.read.jsonl import read_jsonl
from index.read.pdf import read_pdf
from index.read.sandbox import Documents, Sandbox
from index.read.signatures import check_type
from index.read.text import read_markdown, read_text
from index.read.url import Page, fetch
from index.settings import Limits

__all__ = [
    "SUFFIXES", "Found", "Sandbox", "clean", "digest", "discover", "is_url", "read_documents", "read_path",
    "read_untrusted",
]  # fmt: skip

_TEXT = frozenset({".txt", ".text"})
_MARKDOWN = frozenset({".md", ".markdown"})
_HTML = frozenset({".html", ".htm", ".xhtml"})
_JSONL = frozenset({".jsonl", ".ndjson"})
_PAGE_TYPES = ("", "text/html", "application/xhtml+xml", "text/plain", "text/markdown", "application/pdf")
_PDF_MARK = b"%PDF-"
SUFFIXES = _TEXT | _MARKDOWN | _HTML | _JSONL | {".pdf", ".docx"}


@dataclass(frozen=True, slots=True)
class Found:
    """A file or a web address to read: where it is, and how the user named it. `error` where it cannot be read."""

    path: Path
    source: str
    error: ReadError | None = None

    @property
    def is_url(self) -> bool:
        """Whether it is a web address."""
        return is_url(self.source)

    @property
    def location(self) -> str:
        """Absolute path, which identifies the source however it was typed; that of a web address is itself."""
        return self.source if self.is_url else os.path.realpath(self.path)


def is_url(source: str) -> bool:
    """Whether `source` names a web address rather than a path."""
    return source.startswith(("http://", "https://"))


def discover(source: str, skipped: Counter[str] | None = None) -> Iterator[Found]:
    """The files that `source`, a file, folder or web address, names, in a stable order.

    A folder gives its files of known formats, at any depth; hidden ones and symbolic links are skipped: they may
    lead out of the folder, or in a loop. A file named directly is tried whatever its suffix. What cannot be listed
    comes with its error. `skipped` counts the other files of a folder by their suffix.
    """
    path = Path(source)
    try:
        mode = stat.S_IFREG if is_url(source) else path.stat().st_mode
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
        yield from _walk(path, Counter() if skipped is None else skipped)
    else:
        yield Found(path, source, ReadError(f"{source} is no regular file", "a file or folder", "name a file"))


def _walk(folder: Path, skipped: Counter[str]) -> Iterator[Found]:
    failures: list[OSError] = []
    for root, folders, names in os.walk(folder, onerror=failures.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(root, name) for name in sorted(names) if not name.startswith(".")):
            suffix = path.suffix.lower()
            try:
                mode = path.lstat().st_mode
            except PermissionError as error:  # the folder may be listed, but not entered
                failures.append(error)
                continue
            if stat.S_ISREG(mode) and suffix in SUFFIXES:
                yield Found(path, str(path))
            else:
                skipped["link" if stat.S_ISLNK(mode) else suffix or "without a suffix"] += 1
    for failure in failures:
        path = Path(failure.filename)
        problem = ReadError(f"{path}: {failure.strerror}", "a readable folder", f"chmod -R u+rX {path}")
        yield Found(path, str(path), problem)


def digest(path: Path) -> str:
    """Hex SHA-256 of a file's bytes.

    Raises:
        ReadError: It cannot be read.
    """
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_documents(found: Found, sandbox: Sandbox, limits: Limits) -> Iterator[Document | ReadError]:
    """The documents in a file of the user's own: one, or one a line of JSON lines (with errors in their places).

    Raises:
        ReadError: The file as a whole cannot be read, or the page not fetched; `UnsafeUrl` where the guard refused it.
    """
    if found.is_url:
        yield from _read_url(found.source, sandbox, limits)
    elif _is_plain(found.path):
        yield from _documents(found, limits)
    else:
        yield from sandbox.read(_file_type(found.path), _all_documents, found)


def read_untrusted(found: Found, sandbox: Sandbox) -> Documents:
    """The same documents of a file that anybody may have made; this process takes nothing but its digest of it.

    Raises:
        ReadError: It is not what its name says, cannot be read, or ran over a limit.
    """
    return sandbox.read(_file_type(found.path), _checked_documents, found)


def _read_url(url: str, sandbox: Sandbox, limits: Limits) -> Documents:
    page = fetch(url, limits)
    if page.content_type not in _PAGE_TYPES:
        raise ReadError(f"{url} is {page.content_type}", "HTML, plain text or PDF", "save and convert it")
    return sandbox.read("page", _page, page, url)


_MAX_PLAIN_BYTES = 2**16  # what is slow or large for its reader grows with the length, at worst with its square


def _is_plain(path: Path) -> bool:
    """Whether a file is read in this process: JSON lines, one by one, and short text."""
    suffix = path.suffix.lower()
    if suffix not in _TEXT | _MARKDOWN:
        return suffix in _JSONL
    with suppress(OSError), path.open("rb") as file:  # reading it says what is wrong
        head = file.read(_MAX_PLAIN_BYTES + 1)
        return len(head) <= _MAX_PLAIN_BYTES and not head.startswith(_PDF_MARK)
    return False


def _file_type(path: Path) -> str:
    return path.suffix.lstrip(".").upper() or "file"


def _documents(found: Found, limits: Limits) -> Iterator[Document | ReadError]:
    for article in read_path(found.path, limits):
        if isinstance(article, ReadError):
            yield article
        else:
            yield _document(article, found.location, found.source, limits)


def _all_documents(found: Found, limits: Limits) -> Documents:
    return list(_documents(found, limits))


def _checked_documents(found: Found, limits: Limits) -> Documents:
    check_type(found.path)
    return _all_documents(found, limits)


def _page(page: Page, url: str, limits: Limits) -> Documents:
    if page.content_type == "application/pdf":
        article = read_pdf(page.data, limits)
    elif page.content_type in ("text/plain", "text/markdown"):
        article = read_text(page.data, page.charset)
    else:
        article = read_html(page.data, page.charset, page.url)
    return [_document(article, url, url, limits)]


def _document(article: Article, file: str, source: str, limits: Limits) -> Document | ReadError:
    """An article of a file as it is stored, or why it cannot be."""
    part = f"#{article.part}" if article.part else ""
    document = clean(article, file + part, source + part)
    n_chars = len(document.text)
    if n_chars > limits.max_document_chars:
        found = f"{part} {n_chars:,} characters in one document".strip()
        return TooLarge(found, f"at most {limits.max_document_chars:,}", "split it")
    try:
        document.doc_id  # noqa: B018 - made from everything that the store keeps as UTF-8
    except UnicodeEncodeError:
        return ReadError(f"{part} a lone surrogate in its id or metadata: no UTF-8 can hold it".strip())
    return document if n_chars else ReadError(f"{part} no text is left after cleaning".strip())


def read_path(path: Path, limits: Limits) -> Iterator[Article | ReadError]:
    """The articles in a file, read in this process: one, or one a line of JSON lines (with errors in their places).

    Raises:
        ReadError: The file as a whole cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix in _JSONL:
        yield from read_jsonl(path, limits)
        return
    data = _load(path, limits)
    if suffix == ".pdf" or data.startswith(_PDF_MARK):
        yield read_pdf(data, limits)
    elif suffix == ".docx":
        yield read_docx(data, limits)
    elif suffix in _HTML:
        yield read_html(data)
    elif suffix in _MARKDOWN:
        yield read_markdown(data)
    else:
        yield read_text(data)


def _load(path: Path, limits: Limits) -> bytes:
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limits.max_file_bytes:
            found, most = f"{size / 2**20:.0f} MiB in one file", f"at most {limits.max_file_bytes / 2**20:.0f} MiB"
            raise TooLarge(found, most, "split it, or raise --max-file-mb")
        data = file.read()
    if not data.strip():
        raise ReadError("an empty file", "a file with text", "remove it or fill it")
    return data
