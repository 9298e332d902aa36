"""PDF and DOCX, sound, broken, locked and hostile, and the process that keeps them at arm's length."""

from __future__ import annotations

import datetime as dt
import io
import multiprocessing
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import docx
import pypdf
import pytest

from index.documents import Article, Document, Metadata
from index.errors import ReadError
from index.read import Found, read_documents, read_path
from index.read.docx import read_docx
from index.read.pdf import read_pdf
from index.read.sandbox import Sandbox
from index.settings import Limits

LIMITS = Limits()


def pdf(*pages: str, extra: str = "") -> bytes:
    """A PDF whose pages show these lines: one font, one glyph a character, and the table back to Unicode."""
    chars = sorted({char for page in pages for char in page} - {"\n"})
    glyph = {char: f"{i:04X}" for i, char in enumerate(chars, start=1)}
    mapping = "\n".join(f"<{code}> <{char.encode('utf-16-be').hex()}>" for char, code in glyph.items())
    cmap = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /U def /CMapType 2 def\n"
        "1 begincodespacerange <0000> <FFFF> endcodespacerange\n"
        f"{len(glyph)} beginbfchar\n{mapping}\nendbfchar endcmap end end"
    )
    first_page = 6
    kids = " ".join(f"{first_page + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type0 /BaseFont /F /Encoding /Identity-H /DescendantFonts [4 0 R] "
        "/ToUnicode 5 0 R >>",
        "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /F /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) "
        "/Supplement 0 >> /DW 600 >>",
        stream(cmap),
    ]
    for i, page in enumerate(pages):
        shown = "".join(
            f"<{''.join(glyph[char] for char in line)}> Tj 0 -14 Td\n" if line else "0 -28 Td\n"
            for line in page.split("\n")
        )
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {first_page + 2 * i + 1} 0 R "
            f"/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(stream(f"BT /F1 11 Tf 50 800 Td\n{shown}ET"))
    return assembled([*objects, *([extra] if extra else [])])


def stream(content: str) -> str:
    return f"<< /Length {len(content)} >>\nstream\n{content}\nendstream"


def assembled(objects: list[str], trailer: str = "/Root 1 0 R") -> bytes:
    out, offsets = bytearray(b"%PDF-1.7\n"), []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{content}\nendobj\n".encode("latin-1")
    start = len(out)
    rows = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{rows}".encode()
    out += f"trailer << /Size {len(objects) + 1} {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(out)


def rewritten(data: bytes, metadata: dict[str, str] | None = None, **passwords: str) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    writer.metadata = None
    if metadata:
        writer.add_metadata(metadata)
    if passwords:
        writer.encrypt(passwords.get("user", ""), passwords.get("owner"), algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def texts(article: Article) -> list[str]:
    return [block.text for block in article.blocks]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(LIMITS) as process:
        yield process


def text_of(sandbox: Sandbox, data: bytes, suffix: str = "pdf") -> str:
    """The text of a file that is read in the sandbox."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{suffix}"
        path.write_bytes(data)
        (one,) = read_documents(Found(path, "a"), sandbox, LIMITS)
    if isinstance(one, ReadError):
        raise one
    return one.text


# --- PDF --------------------------------------------------------------------------------------------------


def test_pages_come_in_order_in_every_script() -> None:
    pages = ["첫째 쪽의 문장이다.", "第二頁的句子。", "Third page.", "Четвёртая страница."]
    assert texts(read_pdf(pdf(*pages), LIMITS)) == pages


WRAPPED = [
    [
        "A heading",
        "The first sentence of this paragraph is so long that\nit runs over two lines. It ends here, and the next one"
        " is also quite long.",
        "Another sentence starts on a line of its own here.",
    ],
    [
        "A heading that has more than forty characters in it",
        "The first sentence of this paragraph is so long that it does not fit into a single line of the page, and"
        " so it\nruns over two lines.",
    ],
]


@pytest.mark.parametrize("lines", WRAPPED, ids=["short", "long"])
def test_wrapped_lines_are_joined_and_headings_or_finished_ones_are_not(lines: list[str]) -> None:
    (text,) = texts(read_pdf(pdf("\n".join(lines)), LIMITS))
    assert text.split("\n") == [line.replace("\n", " ") for line in lines]


def test_lines_of_japanese_and_words_that_were_parted_are_joined_without_a_space() -> None:
    pages = [
        "東海道新幹線は一九六四年に開業し、東京と大阪\nを結んでいる。",
        "The municipality of the valley announced a new trans-\nformation of its harbour, for the twenty-\nFirst time.",
    ]
    assert texts(read_pdf(pdf(*pages), LIMITS)) == [
        "東海道新幹線は一九六四年に開業し、東京と大阪を結んでいる。",
        "The municipality of the valley announced a new transformation of its harbour, for the twenty- First time.",
    ]


def test_the_headers_and_footers_of_pages_go() -> None:
    bodies = [f"The body of the {name} page has this sentence." for name in ("first", "second", "third", "last")]
    pages = [f"Annual Report 2024\n\n{body}\nPage {i} of 4" for i, body in enumerate(bodies, 1)]
    assert texts(read_pdf(pdf(*pages), LIMITS)) == bodies
    assert texts(read_pdf(pdf(*pages[:2]), LIMITS))[0].startswith("Annual Report 2024")  # two pages prove nothing


def test_the_information_dictionary_gives_the_metadata() -> None:
    information = {"/Title": "항구  이야기", "/Author": "Kari Nordmann", "/CreationDate": "D:20240305080000+09'00'"}
    article = read_pdf(rewritten(pdf("Some text."), information), LIMITS)
    assert article.metadata == Metadata("항구 이야기", "", "Kari Nordmann", "2024-03-05")


@pytest.mark.parametrize(
    "data",
    [
        b"%PDF-1.7\n",
        b"%PDF-1.7\n" + bytes(range(256)) * 20,
        pdf("Some text.")[:300],
        pdf("Some text.").replace(b"/Catalog", b"/Cat"),
        assembled(["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [2 0 R] /Count 1 >>"]),
        assembled(["<< /Type /Catalog /Pages 2 0 R >>", "[" * 50_000]),
        assembled(["<< /Type /Catalog >>"]),
        b"%PDF-1.7\n%%EOF",
    ],
    ids=["header", "noise", "cut", "no-catalog", "loop", "deep", "no-pages", "nothing"],
)
def test_a_broken_pdf_is_a_read_error_or_is_read_after_all(sandbox: Sandbox, data: bytes) -> None:
    try:
        text = text_of(sandbox, data)
    except ReadError as error:
        assert "pdf" in str(error).lower()
    else:
        assert text == "Some text."


def test_a_pdf_without_text_says_that_it_may_be_scanned() -> None:
    with pytest.raises(ReadError, match=r"without text .*run OCR"):
        read_pdf(pdf("", " \n "), LIMITS)


def test_a_locked_pdf_says_that_it_needs_a_password() -> None:
    locked = rewritten(pdf("Some text."), user="secret")
    assert pypdf.PdfReader(io.BytesIO(locked), password="secret").pages[0].extract_text().strip() == "Some text."
    with pytest.raises(ReadError, match="needs a password"):
        read_pdf(locked, LIMITS)
    assert texts(read_pdf(rewritten(pdf("Some text."), user="", owner="secret"), LIMITS)) == ["Some text."]


def test_a_pdf_of_too_many_pages_is_refused() -> None:
    data = pdf("One.", "Two.", "Three.")
    assert texts(read_pdf(data, Limits(max_pages=3))) == ["One.", "Two.", "Three."]
    with pytest.raises(ReadError, match="a PDF of 3 pages; expected: at most 2 pages"):
        read_pdf(data, Limits(max_pages=2))


def test_a_pdf_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    (tmp_path / "really.txt").write_bytes(pdf("Some text."))
    (article,) = read_path(tmp_path / "really.txt", LIMITS)
    assert isinstance(article, Article)
    assert texts(article) == ["Some text."]


# --- the process ------------------------------------------------------------------------------------------


def sleeping(_: Path, limits: Limits) -> list[Document | ReadError]:
    time.sleep(60)
    return []


def test_a_reader_over_its_time_is_ended_and_the_next_file_is_read(tmp_path: Path) -> None:
    with Sandbox(Limits(parse_timeout_s=0.5)) as hasty:
        with pytest.raises(ReadError, match="a TXT whose reader was stopped; expected: one that is read in 0 s"):
            hasty.read("TXT", sleeping, tmp_path)
        assert text_of(hasty, pdf("Some text.")) == "Some text."


def test_a_process_that_was_killed_between_two_files_is_replaced() -> None:
    before = set(multiprocessing.active_children())
    with Sandbox(LIMITS) as process:
        assert set(multiprocessing.active_children()) == before  # none before the first file
        assert text_of(process, pdf("First.")) == "First."
        (child,) = set(multiprocessing.active_children()) - before
        child.kill()
        child.join()
        assert text_of(process, pdf("Second.")) == "Second."
    assert set(multiprocessing.active_children()) == before


def test_a_bomb_of_a_pdf_costs_that_file_only() -> None:
    packed = zlib.compress(b"(x) Tj " * 60_000_000, 9)  # 400 MiB from half a MiB
    bomb = assembled(
        [
            "<< /Type /Catalog /Pages 2 0 R >>",
            "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>",
            f"<< /Length {len(packed)} /Filter /FlateDecode >>\nstream\n{packed.decode('latin-1')}\nendstream",
        ]
    )
    with Sandbox(Limits(parse_memory_bytes=600 * 2**20, parse_timeout_s=30)) as process:
        with pytest.raises(ReadError):
            text_of(process, bomb)
        assert text_of(process, pdf("Some text.")) == "Some text."


# --- DOCX -------------------------------------------------------------------------------------------------


def saved(document: docx.document.Document) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def sample() -> docx.document.Document:
    document = docx.Document()
    document.add_heading("회의록", 0)
    document.add_paragraph("다리 공사는 ").add_run("오월에 시작한다.").bold = True
    document.add_paragraph("첫째 항목", style="List Bullet")
    document.add_paragraph("둘째 항목", style="List Number")
    for cell, text in zip(document.add_table(rows=1, cols=2).rows[0].cells, ["김하나", "서른\n하나"], strict=True):
        cell.text = text
    document.add_paragraph("")
    document.add_paragraph("끝.")
    properties = document.core_properties
    properties.title, properties.author, properties.language = "회의록  5월", "김하나", "ko_KR"
    properties.created = dt.datetime(2024, 3, 5, 23, 0)
    return document


def test_a_word_document_keeps_its_order_headings_lists_tables_and_metadata() -> None:
    article = read_docx(saved(sample()), LIMITS)
    assert [(block.kind.value, block.text) for block in article.blocks] == [
        ("heading", "회의록"),
        ("paragraph", "다리 공사는 오월에 시작한다."),
        ("item", "첫째 항목"),
        ("item", "둘째 항목"),
        ("item", "김하나 | 서른 하나"),
        ("paragraph", "끝."),
    ]
    assert article.metadata == Metadata("회의록 5월", "", "김하나", "2024-03-05", "ko-KR")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no zip at all", "no zip archive"),
        (saved(sample())[:2000], "no zip archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), r"an encrypted or old \(.doc\) Word file"),
    ],
    ids=["noise", "cut", "doc"],
)
def test_what_is_no_docx_is_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        read_docx(data, LIMITS)


def repacked(replace: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(sample()))) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            if name not in replace:
                new.writestr(name, old.read(name))
        for name, content in replace.items():
            if content:
                new.writestr(name, content)
    return out.getvalue()


LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(f'<!ENTITY {b} "{f"&{a};" * 10}">'.encode() for a, b in zip("abcdefghi", "bcdefghij", strict=True))
    + b']><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
    b"<w:body><w:p><w:r><w:t>&j;</w:t></w:r></w:p></w:body></w:document>"
)
OUTSIDE = LAUGHS[: LAUGHS.index(b"[")] + b'[<!ENTITY j SYSTEM "file:///etc/passwd">' + LAUGHS[LAUGHS.index(b"]>") :]


@pytest.mark.parametrize(
    "replace",
    [
        {"word/document.xml": b"<w:document"},
        {"word/document.xml": b""},
        {"[Content_Types].xml": b""},
        {"_rels/.rels": b"not xml"},
        {"word/document.xml": bytes(100)},
    ],
    ids=["cut-xml", "no-body", "no-types", "bad-rels", "nul"],
)
def test_a_damaged_docx_is_a_read_error(replace: dict[str, bytes]) -> None:
    with pytest.raises(ReadError, match="damaged"):
        read_docx(repacked(replace), LIMITS)


@pytest.mark.parametrize("xml", [LAUGHS, OUTSIDE], ids=["laughs", "outside"])
def test_entities_in_a_docx_are_not_expanded(sandbox: Sandbox, xml: bytes) -> None:
    with pytest.raises(ReadError):  # as damaged, or as without text
        text_of(sandbox, repacked({"word/document.xml": xml}), "docx")


def test_a_bomb_of_a_docx_is_refused_before_it_is_unpacked() -> None:
    bomb = repacked({"word/media/a.bin": bytes(300 * 2**20)})
    assert len(bomb) < 2**20
    with pytest.raises(ReadError, match=r"unpacks to 300 MiB .* at most 256 MiB"):
        read_docx(bomb, LIMITS)


def test_a_bomb_that_lies_about_its_size_is_a_read_error() -> None:
    content = b"<w:document>" + b" " * (40 * 2**20)
    bomb = repacked({"word/document.xml": content})
    lying = bomb.replace(struct.pack("<L", len(content)), struct.pack("<L", 1000))
    assert lying != bomb
    with pytest.raises(ReadError):
        read_docx(lying, Limits(max_unpacked_bytes=2**20))


def test_an_archive_of_too_many_files_is_refused() -> None:
    with pytest.raises(ReadError, match=r"in 1\d{4} files"):
        read_docx(repacked({f"word/{i}": b"x" for i in range(10_001)}), LIMITS)
