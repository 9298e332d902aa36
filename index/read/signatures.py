"""Whether a file is what its name says, by how it begins; for files that anybody may have made."""

from __future__ import annotations

import zipfile
from pathlib import Path

import regex

from index.errors import ReadError

_HEAD_BYTES = 65_536
_SIGNATURES = {
    b"%PDF-": "a PDF", b"{\\rtf": "an RTF file", b"\xd0\xcf\x11\xe0": "an old or an encrypted Office file",
    b"PK\x03\x04": "a ZIP archive or an Office file", b"PK\x05\x06": "an empty ZIP archive",
    b"\x1f\x8b": "a gzip archive", b"7z\xbc\xaf": "a 7-Zip archive", b"Rar!\x1a": "a RAR archive",
    b"\x89PNG": "a picture", b"GIF8": "a picture", b"\xff\xd8\xff": "a picture", b"RIFF": "a picture or a sound",
    b"\x7fELF": "a program", b"MZ\x90\x00": "a program", b"SQLite format 3": "a database",
}  # fmt: skip
BINARY = tuple(mark for mark in _SIGNATURES if mark not in (b"%PDF-", b"{\\rtf"))  # which no text begins with
_LEADING = regex.compile(rb"^(?:\xef\xbb\xbf)?\s*")
# As the bytes of any encoding but UTF-16 and UTF-32, of which the NULs are taken out before.
_PAGE = regex.compile(rb"(?i)^(?:<\?xml[^>]*+>\s*+|(?><!--.*?-->)\s*+)*+<(?:!doctype\s+html|html)\b", regex.DOTALL)
_TAG = regex.compile(
    rb"(?i)<(?:!doctype|html|head|body|meta|title|article|main|section|div|p|h[1-6]|span|table|br|a)\b"
)


def check_type(path: Path) -> None:
    """See that the content of a file agrees with its suffix.

    Raises:
        ReadError: It does not.
    """
    suffix = path.suffix.lower()
    with path.open("rb") as file:
        head = _LEADING.sub(b"", file.read(_HEAD_BYTES))
    found = next((name for mark, name in _SIGNATURES.items() if head.startswith(mark)), "")
    if suffix == ".pdf":
        if not head.startswith(b"%PDF-"):
            raise _other(found or "a file that does not begin as a PDF does", suffix)
    elif suffix == ".docx":
        # An encrypted one is no archive: what the reader says of it is better.
        if not head.startswith(b"\xd0\xcf\x11\xe0") and not _is_word(path, head):
            raise _other(found or "a file that is no Word document", suffix)
    elif found:
        raise _other(found, suffix)
    else:
        _check_markup(head.replace(b"\x00", b""), suffix)


def _check_markup(head: bytes, suffix: str) -> None:
    if suffix in (".html", ".htm", ".xhtml"):
        if not _TAG.search(head):
            raise _other("a file without any tag of HTML", suffix)
    elif _PAGE.search(_LEADING.sub(b"", head.removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff"))):
        raise _other("a page of HTML", suffix)


def _is_word(path: Path, head: bytes) -> bool:
    """Whether a file begins as an archive, and has a Word document's parts; read from its directory alone."""
    if not head.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    # NotImplementedError: zipfile does not know the compression.
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        return True  # damaged: the reader says so
    return "[Content_Types].xml" in names and any(name.startswith("word/") for name in names)


def _other(found: str, suffix: str) -> ReadError:
    return ReadError(
        f"{found}, under a name that ends in {suffix}", "a file that its name fits", "rename or save it again"
    )
