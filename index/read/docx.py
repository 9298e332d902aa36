"""DOCX to an article, by python-docx. Runs in the parser process (index/read/sandbox.py)."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

from index.documents import Article, Block, BlockKind
from index.errors import ReadError
from index.read.text import metadata_from
from index.settings import Limits


def read_docx(data: bytes, limits: Limits) -> Article:
    """The body of a Word document: paragraphs, headings, lists, table rows, in reading order.

    Raises:
        ReadError: It is damaged, encrypted, or unpacks to more than a limit.
    """
    _check_archive(data, limits)
    import docx
    from docx.opc.exceptions import OpcError
    from lxml.etree import LxmlError

    try:
        document = docx.Document(io.BytesIO(data))
        blocks = tuple(block for block in _blocks(document) if block.text.strip())
        properties = document.core_properties
        created = properties.created
        own = {name: getattr(properties, name) for name in ("title", "author", "language", "keywords")}
        metadata = metadata_from({**own, "date": created.date().isoformat() if created else ""})
    except (OpcError, LxmlError, KeyError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise ReadError(
            f"a damaged DOCX ({type(error).__name__})", "a readable DOCX", "open and save it again"
        ) from error
    if metadata.author == "python-docx":
        metadata = replace(metadata, author="", date="")  # the library's template, not a person
    return Article(blocks, metadata)


def _check_archive(data: bytes, limits: Limits) -> None:
    if data.startswith(b"\xd0\xcf\x11\xe0"):
        raise ReadError("an encrypted or old (.doc) Word file", "an open .docx", "save it as .docx without a password")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
            n_files = len(archive.infolist())
    except (zipfile.BadZipFile, OSError) as error:
        raise ReadError("a damaged DOCX (no zip archive)", "a readable DOCX", "open and save it again") from error
    if unpacked > limits.max_unpacked_bytes or n_files > 10_000:
        raise ReadError(
            f"a DOCX that unpacks to {unpacked // 2**20} MiB in {n_files} files",
            f"at most {limits.max_unpacked_bytes // 2**20} MiB",
            "split it, if it is not a zip bomb",
        )


def _blocks(document: object) -> list[Block]:
    from docx.table import Table

    blocks = []
    for item in document.iter_inner_content():  # type: ignore[attr-defined]
        if isinstance(item, Table):
            for row in item.rows:
                cells = {cell._tc: " ".join(cell.text.split()) for cell in row.cells}  # a merged cell comes twice
                blocks.append(Block(" | ".join(filter(None, cells.values())), BlockKind.ITEM))
            continue
        style = (item.style.name or "") if item.style is not None else ""
        kind = BlockKind.PARAGRAPH
        if style.startswith(("Heading", "Title")):
            kind = BlockKind.HEADING
        elif style.startswith("List"):
            kind = BlockKind.ITEM
        blocks.append(Block(item.text.strip(), kind))
    return blocks
