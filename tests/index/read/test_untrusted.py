"""Files that anybody may have made: the same documents as of one's own, and limits that hold whatever is in them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import docx
import pytest

from index.documents import Document
from index.errors import ReadError, TooLarge
from index.read import Found, read_documents, read_untrusted
from index.read.sandbox import Sandbox
from index.read.signatures import check_type
from index.settings import Limits
from tests.index.read.test_pdf_docx import pdf

LIMITS = Limits()
MIB = 2**20


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(LIMITS) as process:
        yield process


def word(*paragraphs: str) -> bytes:
    document, out = docx.Document(), io.BytesIO()
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    document.core_properties.title = "Мост"
    document.save(out)
    return out.getvalue()


def archive(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name.replace("__", "/"), content)
    return out.getvalue()


PAGE = """<!DOCTYPE html><html lang="th"><head><meta charset="utf-8"><title>สะพาน</title></head><body><article>
<h1>สะพาน</h1><p>กรุงเทพมีสะพานหลายแห่งข้ามแม่น้ำเจ้าพระยา และสะพานแรกเปิดใช้ในปี 1932</p>
<p>The river has many bridges, and each of them was built by another firm.</p></article></body></html>"""
LINES = [
    {"id": "a", "title": "한강", "text": "서울에는 다리가 많다.\n\n강은 서쪽으로 흐른다.", "tags": ["강", "다리"]},
    {"id": "b"},
    {"id": "c", "text": "مدينة فيها جسور كثيرة فوق النهر.", "date": "2024-05-01"},
]
KINDS = {
    "a.txt": "광고\n橋は川の上にある。\r\n\r\ne\u0301tait là.\u00ad".encode(),
    "legacy.text": "Мост построен через реку в прошлом веке, и по нему ходят трамваи.".encode("cp1251"),
    "b.md": "---\ntitle: 橋\ntags: [川, 橋]\n---\n\n# 橋\n\n- 一\n- 二\n\n首都有很多座橋。".encode(),
    "c.html": PAGE.encode(),
    "d.xhtml": ('<?xml version="1.0"?>\n' + PAGE).encode("utf-16"),
    "e.jsonl": "\n".join(json.dumps(line, ensure_ascii=False) for line in LINES).encode(),
    "f.pdf": pdf("Мост построен.", "다리가 많다."),
    "g.docx": word("Мост построен через реку.", "다리가 많다."),
}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_gives_the_same_documents_in_the_process_as_outside(
    tmp_path: Path, sandbox: Sandbox, name: str
) -> None:
    (tmp_path / name).write_bytes(KINDS[name])
    found = Found(tmp_path / name, "мой " + name)
    own = list(read_documents(found, sandbox, LIMITS))
    others = read_untrusted(found, sandbox)
    # The text of a document is compared too: all of it but what was removed, which is not sent.
    assert [str(one) if isinstance(one, ReadError) else one for one in others] == [
        str(one) if isinstance(one, ReadError) else one for one in own
    ]
    documents = [one for one in others if isinstance(one, Document)]
    assert len(documents) == (2 if name == "e.jsonl" else 1)
    assert all(document.source.startswith("мой ") and len(document.text) > 10 for document in documents)


# --- what a file is -------------------------------------------------------------------------------------------

DISGUISED = [
    ("a.txt", pdf("Some text."), "a PDF, under a name that ends in .txt"),
    ("a.md", b"\xef\xbb\xbf\n %PDF-1.7\n", "a PDF, under a name that ends in .md"),
    ("a.pdf", b"GIF89a%PDF-1.4 both a picture and a PDF", "a picture, under a name that ends in .pdf"),
    ("a.pdf", word("x"), "a ZIP archive or an Office file, under a name that ends in .pdf"),
    ("a.docx", archive(a__b=b"x"), "a ZIP archive or an Office file, under a name that ends in .docx"),
    ("a.docx", b"%PDF-1.4\n" + word("both a PDF and a Word document"), "a PDF, under a name that ends in .docx"),
    ("a.txt", b"{\\rtf1\\ansi words}", "an RTF file, under a name that ends in .txt"),
    ("a.html", b"only words, 1 < 2", "a file without any tag of HTML, under a name that ends in .html"),
    ("a.txt", PAGE.encode(), "a page of HTML, under a name that ends in .txt"),
    ("a.md", b"<!-- one --> <!-- two -->\n<HTML><body>", "a page of HTML, under a name that ends in .md"),
    ("a.txt", bytes(range(256)) * 40, "binary data, not text"),
    ("a.exe.txt", b"MZ\x90\x00" + bytes(100), "a program, under a name that ends in .txt"),
    ("a.txt", b"", "an empty file"),
]


@pytest.mark.parametrize(("name", "data", "told"), DISGUISED)
def test_a_file_that_is_not_what_its_name_says_is_told(
    tmp_path: Path, sandbox: Sandbox, name: str, data: bytes, told: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ReadError, match=told):
        read_untrusted(Found(tmp_path / name, name), sandbox)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.md", b"<div align='center'>\n\n# Bridges\n\n</div>\n\nText."),
        ("a.txt", b"MZ and PK are the first letters of two formats; %PDF- is another."),
        ("a.txt", "<html> 태그로 시작하지 않는 글.".encode()[6:]),
        ("a.html", "<p>다리</p>".encode("utf-16")),
        ("a.pdf", b"\n%PDF-1.4\n"),
        ("a.docx", b"PK\x03\x04 damaged"),
    ],
)
def test_what_only_looks_a_little_like_another_kind_is_left_to_its_reader(
    tmp_path: Path, name: str, data: bytes
) -> None:
    (tmp_path / name).write_bytes(data)
    check_type(tmp_path / name)  # raises if it refuses the file


# --- what is made to harm -------------------------------------------------------------------------------------


HOSTILE: dict[str, str] = {
    "brackets.md": "[" * (2 * MIB),
    "paragraphs.txt": "a\n\n" * (10 * MIB),
    "nested.html": "<html><body>" + "<div>" * (10 * MIB) + "text",
    "tables.html": "<html><body>" + "<table><tr><td>" * 50_000 + "text",
    "nested.jsonl": "[" * (20 * MIB),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_would_run_for_ever_or_take_all_memory_is_refused_and_the_next_file_is_read(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text(HOSTILE[name], "utf-8")
    (tmp_path / "good.txt").write_text("The bridge is open.", "utf-8")
    limits = Limits(parse_timeout_s=6, parse_memory_bytes=1024 * MIB)
    with Sandbox(limits) as process:
        try:
            (outcome,) = read_untrusted(Found(tmp_path / name, name), process)
        except ReadError as error:
            outcome = error
        assert isinstance(outcome, ReadError)
        (good,) = read_untrusted(Found(tmp_path / "good.txt", "good.txt"), process)
    assert isinstance(good, Document)
    assert good.text == "The bridge is open."


STORY = (
    "The bridge was closed for two weeks in March. Engineers found cracks in three of its pillars, and the council"
    " asked for a second opinion. Traffic was led over the old road meanwhile, and nobody could say what it would cost."
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("attributes.html", f"<body><h1>A</h1><p {' '.join(f'a{i}=1' for i in range(200_000))}>{STORY}</p></body>"),
        ("angles.md", "<div\n" + "<" * 1_500_000),
        ("spaces.txt", ("a" + " " * 100_000 + "b\n") * 100),
        ("bars.txt", ("|" * 100_000 + " a\n" + "a" + " |" * 100_000 + "\n") * 10),
        ("scripts.md", "<div>\n" + "<script" * 200_000),
        ("front.md", "---\n" + "".join(f"k{i}: v\n" for i in range(600_000)) + "---\nA body.\n"),
    ],
)
def test_what_was_slow_for_its_length_is_read_in_its_time(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with Sandbox(Limits(parse_timeout_s=60)) as process:
        (one,) = read_untrusted(Found(tmp_path / name, name), process)
    assert isinstance(one, Document)


def test_entities_of_a_page_are_not_expanded(tmp_path: Path, sandbox: Sandbox) -> None:
    # A billion laughs: each entity is the one before ten times.
    names = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 30))
    page = f'<!DOCTYPE html [<!ENTITY e0 "lol">{names}]><html><body><p>A first sentence of it. &e29;</p></body></html>'
    (tmp_path / "laughs.xhtml").write_text('<?xml version="1.0"?>' + page, "utf-8")
    (one,) = read_untrusted(Found(tmp_path / "laughs.xhtml", "laughs.xhtml"), sandbox)
    assert isinstance(one, Document)
    assert "A first sentence" in one.text
    assert len(one.text) < 100


def test_a_document_longer_than_may_be_stored_does_not_leave_the_process(tmp_path: Path) -> None:
    lines = [json.dumps({"id": n, "text": "word " * 100 * n}) for n in (1, 5)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines), "utf-8")
    with Sandbox(Limits(max_document_chars=1_000)) as process:
        short, long = read_untrusted(Found(tmp_path / "a.jsonl", "a.jsonl"), process)
    assert isinstance(short, Document)
    assert isinstance(long, TooLarge)
    assert str(long) == "#5 2,499 characters in one document; expected: at most 1,000; fix: split it"


@pytest.mark.slow
def test_a_parser_whose_owner_was_killed_ends_by_itself(tmp_path: Path) -> None:
    (tmp_path / "slow.md").write_text("[" * (4 * MIB), "utf-8")
    script = (
        "import multiprocessing, sys, threading, time\n"
        "from pathlib import Path\n"
        "from index.read import Found, Sandbox, read_untrusted\n"
        "from index.settings import Limits\n"
        "if __name__ == '__main__':\n"
        "    sandbox = Sandbox(Limits(parse_timeout_s=3))\n"
        "    slow = Found(Path(sys.argv[1]), 'slow.md')\n"
        "    threading.Thread(target=read_untrusted, args=(slow, sandbox), daemon=True).start()\n"
        "    while not multiprocessing.active_children():\n"
        "        time.sleep(0.01)\n"
        "    print(multiprocessing.active_children()[0].pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    (tmp_path / "owner.py").write_text(script, "utf-8")
    owner = subprocess.Popen(
        [sys.executable, str(tmp_path / "owner.py"), str(tmp_path / "slow.md")],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()
    end = time.monotonic() + 60
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.2)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
