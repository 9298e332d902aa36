"""Ingest: every step can be repeated, nothing that is gone answers, nothing that fails stops another."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from index.encoders.base import Encoder
from index.errors import SettingsMismatch
from index.ingest import ingest, refresh
from index.report import IngestReport, Progress
from index.search import search
from index.settings import IndexSettings, Limits
from index.store.doctor import examine
from index.store.sqlite import EmbeddedBackend, Writer
from index.text.terms import terms
from rag.testing import HashEncoder

ENCODER = HashEncoder(dim=32)
WEBB = "The Webb telescope left Earth in 2021. Its mirror has 18 segments."


def run(folder: Path, *sources: Path | str, **options: object) -> IngestReport:
    return ingest(folder, [str(source) for source in sources], ENCODER, n_workers=0, **options)  # type: ignore[arg-type]


def counts(report: IngestReport) -> tuple[int, int, int, int, int]:
    """(added, replaced, unchanged, deleted, failed)"""
    return report.added, report.replaced, report.unchanged, report.deleted, len(report.failed)


def found(folder: Path, word: str) -> set[str]:
    """Names of the sources whose passages hold `word`, by the lexical index."""
    backend = EmbeddedBackend(folder)
    with backend.snapshot() as snapshot:
        passages = snapshot.passages([hit.pid for hit in snapshot.lexical(terms(word), 1_000)]).values()
        assert all(word.casefold() in passage.text.casefold() for passage in passages)
    backend.close()
    return {Path(passage.source).name for passage in passages}


def near(folder: Path, text: str) -> set[str]:
    """Names of the sources one of whose passages has the vector of `text`."""
    backend = EmbeddedBackend(folder)
    with backend.snapshot() as snapshot:
        query = ENCODER.encode_queries([text])[0]
        found = snapshot.vectors([hit.pid for hit in snapshot.nearest(query, 1_000)])
        hits = [pid for pid, own in found.items() if own.vector @ query > 0.99]
        sources = {Path(passage.source).name for passage in snapshot.passages(hits).values()}
    backend.close()
    return sources


def listed(folder: Path) -> set[str]:
    backend = EmbeddedBackend(folder)
    names = {Path(document.source).name for document in backend.documents()}
    backend.close()
    return names


def state(folder: Path) -> tuple[dict[str, str], list[object]]:
    """What must not change where nothing is to be done: generation, settings, documents."""
    backend = EmbeddedBackend(folder)
    found = backend.meta(), list(backend.documents())
    backend.close()
    return found


@pytest.fixture
def news(tmp_path: Path) -> Path:
    """A folder with three articles, one of them deeper."""
    folder = tmp_path / "news"
    (folder / "deep").mkdir(parents=True)
    (folder / "webb.txt").write_text(WEBB, "utf-8")
    (folder / "kimchi.md").write_text("# 김치의 날\n\n한국은 11월 22일을 김치의 날로 정했다.", "utf-8")
    (folder / "deep" / "rail.txt").write_text("東海道新幹線は1964年に開業した。東京と大阪を結んでいる。", "utf-8")
    return folder


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index"


def test_a_mistaken_path_makes_no_index(index: Path, tmp_path: Path) -> None:
    assert [source for source, _ in run(index, tmp_path / "none.txt").failed] == [str(tmp_path / "none.txt")]
    assert not index.exists()


# --- the same again, changed, gone ------------------------------------------------------------------------------


def test_the_same_again_changes_nothing(index: Path, news: Path) -> None:
    assert counts(run(index, news)) == (3, 0, 0, 0, 0)
    before = state(index)
    for path in news.rglob("*.*"):
        os.utime(path, (0, 0))  # another time is no other content
    for _ in range(2):
        assert counts(run(index, news)) == (0, 0, 3, 0, 0)
    assert state(index) == before


def test_a_changed_file_replaces_its_old_version_and_no_other(index: Path, news: Path) -> None:
    run(index, news)
    others = {d.doc_id for d in EmbeddedBackend(index).documents() if not d.source.endswith("webb.txt")}
    (news / "webb.txt").write_text("Hubble went up in 1990. It needed spectacles.", "utf-8")
    assert counts(run(index, news)) == (0, 1, 2, 0, 0)
    assert (found(index, "Webb"), found(index, "Hubble")) == (set(), {"webb.txt"})
    assert near(index, WEBB) == set()
    assert near(index, "Hubble went up in 1990. It needed spectacles.") == {"webb.txt"}
    assert others < {d.doc_id for d in EmbeddedBackend(index).documents()}
    assert len(listed(index)) == 3


def test_at_no_moment_of_an_update_is_a_document_missing_or_there_twice(index: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"

    def version(number: int) -> Path:
        return rows(corpus, **{str(i): f"Marker{i} version{number}. And some more." for i in range(60)})

    run(index, version(1))
    reader = EmbeddedBackend(index)
    n_new: list[int] = []

    def look(_: Progress) -> None:
        with reader.snapshot() as snapshot:
            texts = [p.text for p in snapshot.passages([hit.pid for hit in snapshot.lexical(["more"], 1_000)]).values()]
            assert sorted(int(text.split()[0].removeprefix("Marker")) for text in texts) == list(range(60))
            n_new.append(sum("version2" in text for text in texts))

    assert counts(run(index, version(2), on_progress=look, batch_documents=7)) == (0, 60, 0, 0, 0)
    assert set(n_new) == {*range(7, 60, 7), 60}  # the state after each transaction, and no other


def test_a_file_gone_from_a_folder_is_removed_when_the_folder_is_indexed_again(index: Path, news: Path) -> None:
    run(index, news)
    (news / "deep" / "rail.txt").unlink()
    run(index, news / "webb.txt")  # its folder was not named: nothing is concluded from that
    assert found(index, "新幹線") == {"rail.txt"}
    assert counts(run(index, news)) == (0, 0, 2, 1, 0)
    assert listed(index) == {"webb.txt", "kimchi.md"}
    assert found(index, "新幹線") == near(index, "東海道新幹線は1964年に開業した。 東京と大阪を結んでいる。") == set()


def test_only_files_of_that_very_folder_are_removed(index: Path, tmp_path: Path) -> None:
    for name in ("news", "news-old", "news/sub"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(f"An article of {name} it is.", "utf-8")
    run(index, tmp_path / "news", tmp_path / "news-old")
    (tmp_path / "news-old" / "a.txt").unlink()
    (tmp_path / "news" / "sub" / "a.txt").unlink()
    assert counts(run(index, tmp_path / "news" / "sub")) == (0, 0, 0, 1, 0)
    assert counts(run(index, tmp_path / "news")) == (0, 0, 1, 0, 0)
    assert len(list(EmbeddedBackend(index).documents())) == 2  # that of news-old too: nobody asked about it


def test_a_file_that_was_named_and_is_gone_is_removed_and_a_slip_of_the_pen_leaves_no_trace(
    index: Path, news: Path
) -> None:
    run(index, news)
    (news / "webb.txt").unlink()
    report = run(index, news / "webb.txt", news / "wbeb.txt", news / "kimchi.md")
    assert counts(report) == (0, 0, 1, 1, 2)
    assert all("does not exist" in reason for _, reason in report.failed)
    assert (listed(index), found(index, "Webb")) == ({"kimchi.md", "rail.txt"}, set())
    assert EmbeddedBackend(index).failures() == []


def test_files_of_types_that_are_not_read_are_counted(index: Path, news: Path) -> None:
    for name in ("a.csv", "b.csv", "deep/c.CSV", "Makefile", ".hidden.csv"):
        (news / name).write_text("not read", "utf-8")
    assert run(index, news).skipped == {".csv": 3, "without a suffix": 1}
    assert listed(index) == {"webb.txt", "kimchi.md", "rail.txt"}


def test_a_deleted_document_comes_back_when_its_file_is_indexed_again(index: Path, news: Path) -> None:
    run(index, news)
    (doomed,) = [d.doc_id for d in EmbeddedBackend(index).documents() if d.source.endswith("webb.txt")]
    with Writer(index, ENCODER) as writer:
        assert writer.delete([doomed]) == 1
    assert (found(index, "Webb"), near(index, WEBB)) == (set(), set())
    assert counts(run(index, news)) == (1, 0, 2, 0, 0)
    assert found(index, "Webb") == {"webb.txt"}


# --- what cannot be read ----------------------------------------------------------------------------------------


def test_a_failed_file_leaves_its_reason_and_the_others_go_on(index: Path, news: Path) -> None:
    (news / "aaa.txt").write_bytes(b"")
    (news / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing of the kind")
    report = run(index, news)
    assert counts(report) == (3, 0, 0, 0, 2)
    reasons = {Path(source).name: reason for source, reason in report.failed}
    assert "empty" in reasons["aaa.txt"] and "PDF" in reasons["broken.pdf"]
    backend = EmbeddedBackend(index)
    assert {Path(source).name: reason for source, reason in backend.failures()} == reasons
    assert backend.stats().n_failed == 2
    (news / "aaa.txt").write_text("It has words now, and they are read.", "utf-8")
    (news / "broken.pdf").unlink()
    assert counts(run(index, news)) == (1, 0, 3, 0, 0)
    assert backend.failures() == []


def test_a_later_version_that_cannot_be_read_leaves_the_earlier_one(index: Path, news: Path) -> None:
    run(index, news)
    (news / "webb.txt").write_bytes(b"")
    assert counts(run(index, news)) == (0, 0, 2, 0, 1)
    assert found(index, "Webb") == {"webb.txt"}
    (news / "webb.txt").write_text(WEBB, "utf-8")
    assert counts(run(index, news)) == (0, 0, 3, 0, 0)
    assert EmbeddedBackend(index).failures() == []


UNPRIVILEGED = """
import json, sys
from pathlib import Path
from index.ingest import ingest
from rag.testing import HashEncoder
report = ingest(Path(sys.argv[1]), sys.argv[2:], HashEncoder(dim=32), n_workers=0)
print(json.dumps([report.unchanged, report.deleted, report.failed]))
"""


def test_what_is_unreadable_for_the_moment_is_not_removed(
    index: Path, news: Path, without_rights: Callable[..., str]
) -> None:
    run(index, news)
    (news / "webb.txt").chmod(0)
    (news / "deep").chmod(0)
    try:
        unchanged, deleted, failed = json.loads(without_rights(UNPRIVILEGED, str(index), str(news)))
    finally:
        (news / "deep").chmod(0o755)
        (news / "webb.txt").chmod(0o644)
    assert (unchanged, deleted) == (1, 0)
    assert sorted(Path(source).name for source, _ in failed) == ["deep", "webb.txt"]
    assert all("Permission denied" in reason and "chmod" in reason for _, reason in failed)
    assert listed(index) == {"webb.txt", "kimchi.md", "rail.txt"}
    assert found(index, "新幹線") == {"rail.txt"}
    assert sorted(Path(source).name for source, _ in EmbeddedBackend(index).failures()) == ["deep", "webb.txt"]
    assert counts(run(index, news)) == (0, 0, 3, 0, 0)
    assert EmbeddedBackend(index).failures() == []


def test_names_and_metadata_that_no_utf8_can_hold_cost_themselves_and_nothing_else(index: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.txt")).write_text("A name in Latin-1.", "utf-8")
    except OSError:
        pytest.skip("this file system takes no such names")
    (folder / "good.txt").write_text("A good name and good words.", "utf-8")
    rows = ['{"id": "1", "title": "half \\ud800", "text": "Row one."}', '{"id": "2", "text": "Row two is here."}']
    (folder / "rows.jsonl").write_text("\n".join([*rows, '{"id": "\\udfff", "text": "Row three."}']), "utf-8")
    report = run(index, folder)
    assert (report.added, len(report.failed)) == (3, 2)
    reasons = dict(report.failed)
    assert "not UTF-8" in reasons[f"{folder}/caf\\udce9.txt"]
    assert "surrogate" in reasons[f"{folder}/rows.jsonl"]
    json.dumps(report.failed).encode("utf-8")  # it can be shown and sent
    assert (found(index, "good"), found(index, "two")) == ({"good.txt"}, {"rows.jsonl#2"})
    assert counts(run(index, folder))[:2] == (0, 0)
    assert examine(index) == []


def test_a_document_over_the_limit_fails_by_name(index: Path, news: Path) -> None:
    report = run(index, news, limits=Limits(max_document_chars=40))
    assert [Path(source).name for source, _ in report.failed] == ["webb.txt"]
    assert "at most 40" in report.failed[0][1]
    assert listed(index) == {"kimchi.md", "rail.txt"}


def test_an_address_is_not_fetched_unless_allowed(index: Path) -> None:
    ((_, reason),) = run(index, "http://localhost:9/never").failed
    assert "fetching from the web is off" in reason and "--allow-url" in reason


# --- rows of JSON lines -----------------------------------------------------------------------------------------


def rows(path: Path, **texts: str) -> Path:
    """A file with a row for each text, by its id."""
    lines = (json.dumps({"id": part, "text": text}, ensure_ascii=False) for part, text in texts.items())
    path.write_text("\n".join(lines), "utf-8")
    return path


def corpus_of(path: Path, n: int) -> Path:
    return rows(path, **{str(i): f"Marker{i} is here. 이것은 {i}번째 글이다. It ends." for i in range(n)})


def test_rows_are_added_changed_and_removed_one_by_one(index: Path, tmp_path: Path) -> None:
    path = rows(tmp_path / "rows.jsonl", a="Alpha is first.", b="베타는 둘째다.", c="Gamma.")
    assert counts(run(index, path)) == (3, 0, 0, 0, 0)
    rows(path, d="Delta is new.", b="베타는 둘째다.", a="Alpha anew.")
    assert counts(run(index, path)) == (1, 1, 1, 1, 0)
    assert listed(index) == {"rows.jsonl#a", "rows.jsonl#b", "rows.jsonl#d"}
    assert (found(index, "first"), found(index, "Gamma"), near(index, "Gamma.")) == (set(), set(), set())
    assert (found(index, "anew"), found(index, "베타")) == ({"rows.jsonl#a"}, {"rows.jsonl#b"})
    path.write_text("   ", "utf-8")
    assert counts(run(index, path)) == (0, 0, 0, 3, 0)
    assert listed(index) == set()


def test_a_broken_row_costs_itself_and_is_tried_again(index: Path, tmp_path: Path) -> None:
    path = rows(tmp_path / "rows.jsonl", a="Alpha.", c="Gamma.")
    path.write_text('{"id": "b", "text": \n' + path.read_text("utf-8") + '\n{"id": "a", "text": "Twice."}', "utf-8")
    report = run(index, path)
    assert counts(report) == (2, 0, 0, 0, 1)
    assert "2 documents failed; first: line 1" in report.failed[0][1]
    assert EmbeddedBackend(index).failures() == [(str(path), report.failed[0][1])]
    assert counts(run(index, path)) == (0, 0, 2, 0, 1)  # not held to be done with
    assert counts(run(index, rows(path, a="Alpha.", b="Beta.", c="Gamma."))) == (1, 0, 2, 0, 0)
    assert EmbeddedBackend(index).failures() == []


# --- one document by many names ---------------------------------------------------------------------------------


def test_a_file_named_twice_or_by_another_spelling_is_one_document(
    index: Path, news: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (news.parent / "link").symlink_to(news, target_is_directory=True)
    (news.parent / "rail-link.txt").symlink_to(news / "deep" / "rail.txt")
    monkeypatch.chdir(news)
    spellings = ["webb.txt", "../news/webb.txt", str(news / "webb.txt"), "deep/../webb.txt", "../link/webb.txt"]
    assert counts(run(index, *spellings)) == (1, 0, 0, 0, 0)
    assert [d.source for d in EmbeddedBackend(index).documents()] == ["webb.txt"]  # as first typed
    before = state(index)
    for spelling in spellings:
        assert counts(run(index, spelling)) == (0, 0, 1, 0, 0)
    assert state(index) == before
    assert counts(run(index, news, "../rail-link.txt", ".", "../link")) == (2, 0, 1, 0, 0)
    assert len(list(EmbeddedBackend(index).documents())) == 3
    # The folder by its other name still stands for the same files: what is gone is gone by any name.
    (news / "kimchi.md").unlink()
    assert counts(run(index, "../link")) == (0, 0, 2, 1, 0)


# --- offsets ----------------------------------------------------------------------------------------------------

HARD = {
    "astral.txt": "𠮷野家は牛丼の店だ。𝔸𝔹ℂ is no word. 👩‍👩‍👧‍👦 A family of four. 🇰🇷 한국의 국기다. 𐌰𐌱 Gothic ends it.",
    "thai.txt": "น้ำท่วมกรุงเทพฯ ทำให้รถไฟล่าช้า ผู้โดยสารต้องรอนานหลายชั่วโมง ที่สถานีหัวลำโพงมีคนมากมาย",
    "combining.txt": unicodedata.normalize("NFD", "Ngư dân ở Hòn Mun rất lo lắng. Họ không lặn nữa. Rạn san hô trắng."),
    "marks.txt": "z̴̡̧a̵l̷g̸o is a word with marks. क्षत्रिय शब्द में संयुक्ताक्षर है। ཨོཾ་མ་ཎི།",
    "rtl.txt": "وفي عام ٢٠٢٠ أُدرج الكسكسي في القائمة. \u200fהרכבת הקלה נפתחה ב-2011.\u200f In it: \u2067עברית\u2069.",
    "spaces.txt": "全角\u3000スペース。\u00a0No-break\u00a0space. Line 1.\r\nLine 2.\u2028Line 3.\u0085Line 4.",
    "long.txt": "가나다라마바사 " * 900 + "끝이다.",
    "unbroken.txt": "長" * 3_000 + "い。",
    "bom.txt": "\ufeffA byte order mark stands before. e\u0301 is two code points.",
}  # fmt: skip


def test_every_quote_is_the_text_between_its_offsets(index: Path, tmp_path: Path, encoder: Encoder) -> None:
    for name, text in HARD.items():
        (tmp_path / name).write_bytes(text.encode("utf-8"))
    settings = IndexSettings(target_tokens=16, max_tokens=24)
    report = ingest(index, [str(tmp_path / name) for name in HARD], encoder, settings, n_workers=0)
    assert (report.added, report.failed) == (len(HARD), [])
    backend = EmbeddedBackend(index)
    n_passages = 0
    for document in backend.documents():
        text = backend.text(document.doc_id)
        assert text is not None and unicodedata.is_normalized("NFC", text)
        assert document.n_chars == len(text)
        # Every passage of it is found by its own vector, and read as it stands in the text.
        with backend.snapshot() as snapshot:
            pids = [hit.pid for hit in snapshot.nearest(encoder.encode_queries([text[:200]])[0], 100_000)]
            own = [p for p in snapshot.passages(pids).values() if p.doc_id == document.doc_id]
        assert len(own) == document.n_passages
        covered = np.zeros(len(text), dtype=bool)
        for passage in own:
            assert passage.text == text[passage.start : passage.end]
            assert passage.text == passage.text.strip()
            covered[passage.start : passage.end] = True
            for start, end in passage.sentences:
                assert passage.start <= start < end <= passage.end
        lost = "".join(char for char, is_covered in zip(text, covered, strict=True) if not is_covered)
        assert lost.strip() == ""  # only white space stands between passages
        n_passages += len(own)
    assert n_passages == report.n_passages == backend.stats().n_passages > 100


# --- interrupted ------------------------------------------------------------------------------------------------


class Stopped(Exception):
    """Raised by a test in the middle of the work."""


def stop_after(n_documents: int) -> Callable[[Progress], None]:
    """Stops the work once a number of documents is stored."""

    def stop(progress: Progress) -> None:
        if progress.n_documents >= n_documents:
            raise Stopped

    return stop


def test_an_interrupted_ingest_keeps_what_was_stored_and_goes_on_from_there(index: Path, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "corpus.jsonl", 100)
    with pytest.raises(Stopped):
        run(index, corpus, on_progress=stop_after(30), batch_documents=10)
    assert listed(index) == {f"corpus.jsonl#{i}" for i in range(30)}
    assert examine(index) == []
    assert counts(run(index, corpus, batch_documents=10)) == (70, 0, 30, 0, 0)
    assert listed(index) == {f"corpus.jsonl#{i}" for i in range(100)}


NEW = IndexSettings(target_tokens=20, max_tokens=40)


def test_a_refresh_re_does_every_document_as_a_new_index_would_have_it(index: Path, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "corpus.jsonl", 150)
    run(index, corpus)
    expected = tmp_path / "expected"
    run(expected, corpus, settings=NEW)
    with pytest.raises(SettingsMismatch):
        run(index, corpus, settings=NEW)
    corpus.rename(tmp_path / "elsewhere.jsonl")  # the sources are not read again
    report = refresh(index, ENCODER, NEW, n_workers=0)
    assert counts(report) == (0, 150, 0, 0, 0)
    assert report.n_passages == EmbeddedBackend(index).stats().n_passages
    assert contents(index) == contents(expected)
    assert EmbeddedBackend(index).settings == NEW
    assert examine(index) == []
    assert counts(refresh(index, ENCODER, NEW, n_workers=0)) == (0, 0, 0, 0, 0)
    (tmp_path / "elsewhere.jsonl").rename(corpus)
    assert counts(run(index, corpus)) == (0, 0, 150, 0, 0)  # and they are known still


def contents(folder: Path) -> list[object]:
    """All that an index would show or search by, without its own numbers."""
    backend = EmbeddedBackend(folder)
    with backend.snapshot() as snapshot:
        pids = [hit.pid for hit in snapshot.nearest(ENCODER.encode_queries(["x"])[0], 10**6)]
        passages, vectors = snapshot.passages(pids), snapshot.vectors(pids)
    rows = [
        (p.source, p.start, p.end, p.text, p.title, p.language, p.sentences, vectors[pid].vector.tobytes())
        for pid, p in passages.items()
    ]
    backend.close()
    return sorted(rows)


def test_an_interrupted_refresh_goes_on_where_it_was_and_search_works_meanwhile(index: Path, tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "corpus.jsonl", 250)
    run(index, corpus)
    other = HashEncoder(dim=128, n=2)
    before = EmbeddedBackend(index)
    with pytest.raises(Stopped):
        refresh(index, other, NEW, n_workers=0, on_progress=stop_after(100))
    for backend in (before, EmbeddedBackend(index)):
        assert (backend.stats().n_documents, backend.stats().n_stale) == (250, 150)
        assert sum(document.stale for document in backend.documents()) == 150
        with backend.snapshot() as snapshot:
            dense = snapshot.nearest(other.encode_queries(["Marker7 is here."])[0], 10**6)
            assert len({p.doc_id for p in snapshot.passages([hit.pid for hit in dense]).values()}) == 100
            for i in (0, 99, 100, 249):  # by their words all are found, done or not
                hits = snapshot.passages([hit.pid for hit in snapshot.lexical(terms(f"Marker{i}"), 5)]).values()
                assert {passage.source for passage in hits} == {f"{corpus}#{i}"}
                ranked = search(snapshot, other, f"Marker{i} is here.", 10).passages
                assert f"{corpus}#{i}" in {one.passage.source for one in ranked}
            best = search(snapshot, other, "Marker7 is here. 이것은 7번째 글이다.", 3).passages[0]
            assert best.passage.source == f"{corpus}#7"
        assert backend.note.startswith("150 documents wait for dragoman index --refresh")
    assert [finding.what for finding in examine(index)] == ["150 documents wait for dragoman index --refresh"]
    assert counts(refresh(index, other, NEW, n_workers=0)) == (0, 150, 0, 0, 0)
    for backend in (before, EmbeddedBackend(index)):
        assert (backend.stats().n_stale, backend.note) == (0, "")
        with backend.snapshot() as snapshot:
            assert len(snapshot.nearest(other.encode_queries(["x"])[0], 10**6)) == backend.stats().n_passages
    assert examine(index) == []


def test_progress_counts_up_to_what_there_is(index: Path, news: Path, tmp_path: Path) -> None:
    shown: list[Progress] = []
    report = run(index, news, corpus_of(tmp_path / "c.jsonl", 50), on_progress=shown.append, batch_documents=10)
    for name in ("n_files_done", "n_documents", "n_passages", "elapsed_s"):
        values = [getattr(p, name) for p in shown]
        assert values == sorted(values)
    last = shown[-1]
    assert (last.n_files_done, last.n_files, last.n_documents, last.n_passages) == (4, 4, 53, report.n_passages)
    half = Progress(n_files_done=2, n_files=6, n_documents=0, n_passages=30, elapsed_s=3.0)
    assert (half.passages_per_s, half.eta_s) == (10.0, 6.0)  # 3 s for 2 files, 4 are left
    assert (Progress(0, 6, 0, 0, 0.0).passages_per_s, Progress(0, 6, 0, 0, 0.0).eta_s) == (0.0, 0.0)
