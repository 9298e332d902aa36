"""What both stores guarantee, run against each; another joins by one more parameter of `store`.

Every number is compared with a brute-force computation over what was handed in.
"""

from __future__ import annotations

import threading
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from index.documents import Document, Metadata
from index.encoders.base import Encoder
from index.errors import SettingsMismatch
from index.ingest import refresh
from index.names import name_key
from index.search import search
from index.settings import IndexSettings
from index.store import open_backend, open_writer
from index.store.base import EncodedDocument, FileRecord, Filter, IndexPlace, Snapshot
from index.store.doctor import examine
from index.store.reading import Backend
from index.store.writing import Writer
from index.text.terms import terms
from index.workers import encode
from rag.testing import HashEncoder
from tests.index.conftest import contents, until

ENCODER = HashEncoder(dim=32)
# Small passages, so that a short article has several, each of several sentences.
SETTINGS = IndexSettings(target_tokens=45, max_tokens=60, overlap_sentences=1)
FP16 = 1e-3  # rounding a unit vector's components to fp16 moves a dot product by less


@dataclass
class Store:
    """A place where an index lies, opened as often as wanted."""

    place: IndexPlace

    def writer(self, encoder: Encoder = ENCODER) -> Writer:
        return open_writer(self.place, encoder, SETTINGS)

    def reader(self) -> Backend:
        return open_backend(self.place)


@pytest.fixture(params=["embedded", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty place for an index of each kind."""
    return Store(request.getfixturevalue("postgres") if request.param == "postgres" else tmp_path / "index")


@pytest.fixture
def filled(store: Store, corpus: list[EncodedDocument]) -> Store:
    """An index of `corpus`."""
    with store.writer() as writer:
        writer.upsert(corpus)
    return store


@pytest.fixture
def snapshot(filled: Store) -> Iterator[Snapshot]:
    """The state of that index."""
    with closing(filled.reader()) as backend, backend.snapshot() as found:
        yield found


ARTICLES = {
    "zh-Hant": (
        "機器人新聞",
        "阿特拉斯機器人在波士頓跑步。🤖它能跳過障礙物，也能搬運𠀋箱子。工程師說這是一大進步！"
        "價格仍然很高。明年開始量產。",
    ),
    "zh-Hans": (
        "航天",
        "神舟飞船于清晨发射升空。三名航天员将在轨驻留六个月。𝔸这是第十七次载人任务。着陆场准备就绪。",
    ),
    "ko": (
        "김치의 날",
        "한국은 11월 22일을 김치의 날로 정했다. 김장은 공동체의 행사다. 🥬배추와 고춧가루가 필요하다. 이웃과 나눈다.",
    ),
    "ja": (
        "新幹線",
        "東海道新幹線は1964年に開業した。東京と大阪を結んでいる。👩‍👩‍👧家族連れの乗客も多い。最高速度は時速285キロだ。",
    ),
    "th": (
        "รถไฟ",
        "รถไฟความเร็วสูงเปิดให้บริการแล้ว ผู้โดยสารเดินทางถึงเชียงใหม่ได้เร็วขึ้น ค่าโดยสารยังแพงอยู่ น้ำท่วมทำให้ล่าช้า",
    ),
    "ar": (
        "الكسكس",
        "يجمع الكسكسي أربعة بلدان مغاربية حول طبق واحد. يُحضَّر من سميد القمح. "
        "وفي عام ٢٠٢٠ أُدرج في قائمة اليونسكو. إنه طعامُ الجمعة.",
    ),
    "he": (
        "ירושלים",
        "הרכבת הקלה בירושלים נפתחה בשנת 2011. היא עוברת ליד העיר העתיקה. הנוסעים מרוצים מאוד.",
    ),
    "hi": (
        "भूकंप",
        "भूकंप के झटके सुबह महसूस किए गए। किसी के हताहत होने की ख़बर नहीं है। प्रशासन ने चेतावनी जारी की। स्कूल बंद रहे।",
    ),
    "en": (
        "The Webb telescope",
        "The Webb telescope left Earth in 2021. 🚀🛰️ It reached its post a month later. "
        "Its mirror has 18 segments. Fuel should last twenty years.",
    ),
    "vi": (
        "Rạn san hô",
        unicodedata.normalize(
            "NFD",
            "Rạn san hô ở Hòn Mun bị tẩy trắng. Hoạt động lặn đã tạm dừng. Nước biển ấm lên từng năm. Ngư dân lo lắng.",
        ),
    ),
}


def article(language: str, location: str = "", text: str = "", title: str = "") -> Document:
    """One of `ARTICLES`, or a variant of it."""
    known_title, known_text = ARTICLES[language]
    place = location or f"/news/{language}.txt"
    return Document(
        place, f"news/{Path(place).name}", text or known_text, Metadata(title or known_title, language=language)
    )


def encoded(*documents: Document) -> list[EncodedDocument]:
    return encode([(document, document.location) for document in documents], ENCODER, SETTINGS)


@pytest.fixture
def corpus() -> list[EncodedDocument]:
    """All of `ARTICLES`, cut and encoded."""
    found = encoded(*(article(language) for language in ARTICLES))
    assert sum(len(item.passages) for item in found) > 20
    return found


Place = tuple[str, int]  # doc_id and start: what a passage is, whatever number a backend gives it


def places(snapshot: Snapshot, pids: Sequence[int]) -> list[Place]:
    """What `pids` stand for, in their order."""
    found = snapshot.passages(pids)
    return [(found[pid].doc_id, found[pid].start) for pid in pids]


def all_pids(snapshot: Snapshot) -> list[int]:
    """Every passage that vectors can find: asked for more than there are."""
    pids = [hit.pid for hit in snapshot.nearest(ENCODER.encode_queries(["x"])[0], 100_000)]
    assert len(pids) == len(set(pids))
    return pids


def brute_force(corpus: Iterable[EncodedDocument], query: np.ndarray) -> dict[str, list[tuple[float, Place]]]:
    """(cosine, place) of all passages of each language, nearest first, by numpy over what was handed in."""
    found: dict[str, list[tuple[float, Place]]] = defaultdict(list)
    for item in corpus:
        for passage, vector in zip(item.passages, item.vectors, strict=True):
            best = float(vector.astype(np.float32) @ query)
            found[passage.language.split("-")[0]].append((best, (item.document.doc_id, passage.start)))
    return {group: sorted(own, reverse=True) for group, own in found.items()}


def assert_nearest_is_exact(snapshot: Snapshot, corpus: Sequence[EncodedDocument], question: str, n: int) -> None:
    """Same scores in the same order in each language; other passages only where scores are as good as equal."""
    query = ENCODER.encode_queries([question])[0]
    found = snapshot.nearest(query, n)
    scores = [hit.score for hit in found]
    assert scores == sorted(scores, reverse=True)
    got: dict[str, list[tuple[float, Place]]] = defaultdict(list)
    for hit, place in zip(found, places(snapshot, [hit.pid for hit in found]), strict=True):
        got[hit.language.split("-")[0]].append((hit.score, place))
    everything = brute_force(corpus, query)
    assert got.keys() == everything.keys()
    for group, expected in everything.items():
        assert [score for score, _ in got[group]] == pytest.approx([score for score, _ in expected[:n]], abs=FP16)
        known = {place: score for score, place in expected}
        assert all(known[place] == pytest.approx(score, abs=FP16) for score, place in got[group])
        assert len({place for _, place in got[group]}) == min(n, len(expected))


QUESTIONS = (
    "telescope mirror",
    "김치 배추",
    "機器人 障礙物",
    "رحلة القطار",
    "新幹線の速度",
    "ค่าโดยสาร",
    "san hô",
    "zzz",
)


def test_the_nearest_of_each_language_are_those_of_brute_force_over_all_vectors(
    snapshot: Snapshot, corpus: list[EncodedDocument]
) -> None:
    for question in QUESTIONS:
        for n in (1, 2, 10_000):
            assert_nearest_is_exact(snapshot, corpus, question, n)


def test_every_passage_is_the_verbatim_span_of_its_document(snapshot: Snapshot, corpus: list[EncodedDocument]) -> None:
    texts = {item.document.doc_id: item.document for item in corpus}
    stored = snapshot.passages(all_pids(snapshot))
    unknown = [max(stored) + 1, max(stored) + 2**40]
    assert snapshot.passages(unknown) == snapshot.vectors(unknown) == {}
    assert len(stored) == sum(len(item.passages) for item in corpus)
    handed_in = {(item.document.doc_id, p.start): p for item in corpus for p in item.passages}
    for pid, found in stored.items():
        document, passage = texts[found.doc_id], handed_in[found.doc_id, found.start]
        assert found.pid == pid
        assert found.text == document.text[found.start : found.end] == passage.text
        assert found.sentences == tuple(passage.sentences)
        assert (found.language, found.section) == (passage.language, passage.section)
        meta = document.metadata
        assert (found.source, found.title, found.url) == (document.source, meta.title, meta.url)
        assert (found.author, found.date) == (meta.author, meta.date)
        assert all(found.start <= a < b <= found.end for a, b in found.sentences)
    # Astral characters came before some passage: an offset counted in UTF-16 or bytes would have been off.
    assert any(any(ord(c) > 0xFFFF for c in texts[p.doc_id].text[: p.start]) for p in stored.values())


def test_stored_vectors_are_those_handed_in(snapshot: Snapshot, corpus: list[EncodedDocument]) -> None:
    expected = {
        (item.document.doc_id, passage.start): vector
        for item in corpus
        for passage, vector in zip(item.passages, item.vectors, strict=True)
    }
    pids = all_pids(snapshot)
    stored = snapshot.vectors(pids)
    assert sorted(stored) == sorted(pids)
    for place, pid in zip(places(snapshot, pids), pids, strict=True):
        assert stored[pid].vector.dtype == np.float32
        np.testing.assert_allclose(stored[pid].vector, expected[place].astype(np.float32), atol=FP16)


def test_lexical_search_finds_exactly_the_passages_that_hold_a_term(
    snapshot: Snapshot, corpus: list[EncodedDocument]
) -> None:
    for text in ("Webb", "김치", "新幹線", "機器人", "الكسكسي", "ירושלים", "รถไฟ", "भूकंप", "2011", "the of"):
        wanted = terms(text)
        expected = {
            (item.document.doc_id, passage.start)
            for item in corpus
            for passage, body in zip(item.passages, item.terms, strict=True)
            if set(wanted) & {*body.split(), *item.title_terms.split()}
        }
        found = snapshot.lexical(wanted, 1_000)
        assert set(places(snapshot, [hit.pid for hit in found])) == expected
        scores = [hit.score for hit in found]
        assert scores == sorted(scores, reverse=True)
        assert snapshot.lexical(wanted, 1) == found[:1]


def test_lexical_search_ranks_by_rarity_and_by_how_much_is_held(store: Store) -> None:
    filler = "one two three four five six seven"
    texts = {
        "/both": f"zebra quagga {filler}.",
        "/rare": f"common zebra {filler}.",
        "/common": f"common horse {filler}.",
        "/common2": f"common donkey {filler}.",
        "/common3": f"common mule {filler}.",
        "/none": f"ox cow {filler}.",
    }
    with store.writer() as writer:
        writer.upsert(encoded(*(article("en", location, text, "T") for location, text in texts.items())))
    with store.reader().snapshot() as snapshot:
        found = snapshot.lexical(["zebra", "quagga", "common"], 10)
        sources = snapshot.passages([hit.pid for hit in found])
        order = [sources[hit.pid].source for hit in found]
    assert order[:2] == ["news/both", "news/rare"]
    assert set(order[2:]) == {"news/common", "news/common2", "news/common3"}


def test_nothing_in_a_term_is_query_syntax(snapshot: Snapshot) -> None:
    for term in ('"', "'", "AND", "NEAR(", "webb*", "body:webb", "^webb", "-webb", "%", "_", "\\", ";", ""):
        assert snapshot.lexical([term], 10) == []
    assert snapshot.lexical([], 10) == []


def test_counts_of_terms_and_languages_are_those_of_what_was_handed_in(
    snapshot: Snapshot, corpus: list[EncodedDocument]
) -> None:
    held: Counter[str] = Counter()
    for item in corpus:
        for body in item.terms:
            held.update({*body.split(), *item.title_terms.split()})
    assert snapshot.frequencies([*held, "nowhere"]) == dict(held)
    assert snapshot.frequencies([]) == {}
    assert snapshot.languages() == Counter(p.language for item in corpus for p in item.passages)
    languages = {pid: passage.language for pid, passage in snapshot.passages(all_pids(snapshot)).items()}
    hits = snapshot.nearest(ENCODER.encode_queries(["x"])[0], 10_000)
    assert {hit.pid: hit.language for hit in hits} == languages
    assert {hit.language for hit in snapshot.lexical(terms(ARTICLES["ko"][1]), 10)} == {"ko"}


def test_stats_are_the_sizes_of_what_was_handed_in(store: Store, corpus: list[EncodedDocument]) -> None:
    failed = FileRecord("/news/bad.pdf", "news/bad.pdf", "", "", "failed", "a damaged PDF")
    with store.writer() as writer:
        writer.upsert(corpus, [failed])
    backend = store.reader()
    stats = backend.stats()
    assert (stats.n_documents, stats.n_passages) == (len(corpus), sum(len(item.passages) for item in corpus))
    assert stats.n_vectors == sum(len(item.vectors) for item in corpus)
    assert (stats.n_stale, stats.n_failed) == (0, 1)
    assert stats.languages == Counter(item.document.metadata.language for item in corpus)
    assert stats.encoder == backend.encoder_name == ENCODER.name
    assert backend.settings == SETTINGS
    assert stats.bytes_on_disk > sum(item.vectors.nbytes for item in corpus)


def test_an_empty_index_finds_nothing_and_says_so(store: Store) -> None:
    with store.writer():
        pass
    backend = store.reader()
    with backend.snapshot() as snapshot:
        assert snapshot.nearest(ENCODER.encode_queries(["webb"])[0], 5) == []
        assert snapshot.lexical(["webb"], 5) == []
        assert snapshot.languages() == snapshot.passages([]) == snapshot.vectors([]) == {}
    assert (backend.stats().n_documents, backend.stats().n_vectors) == (0, 0)


def test_a_new_version_takes_the_place_of_the_old_one(filled: Store, corpus: list[EncodedDocument]) -> None:
    old = next(item for item in corpus if item.document.metadata.language == "en")
    (new,) = encoded(
        article("en", text="Hubble went up in 1990. It needed spectacles. Astronauts brought them.", title="Hubble")
    )
    assert new.document.doc_id != old.document.doc_id
    backend = filled.reader()
    with backend.snapshot() as snapshot:
        before = set(all_pids(snapshot))
    with filled.writer() as writer:
        writer.upsert([new])
    now = [item for item in corpus if item is not old] + [new]
    for reader in (backend, filled.reader()):
        with reader.snapshot() as snapshot:
            assert snapshot.lexical(["webb"], 5) == []
            assert [
                p.source for p in snapshot.passages([hit.pid for hit in snapshot.lexical(["hubble"], 50)]).values()
            ] == ["news/en.txt"] * len(new.passages)
            assert_nearest_is_exact(snapshot, now, "telescope mirror", 10_000)
            # A number once given never means another passage.
            fresh = {pid for pid in all_pids(snapshot) if places(snapshot, [pid])[0][0] == new.document.doc_id}
            assert fresh.isdisjoint(before)
    assert filled.reader().stats().n_documents == len(corpus)


def test_the_same_documents_once_more_change_no_answer(filled: Store, corpus: list[EncodedDocument]) -> None:
    with filled.writer() as writer:
        writer.upsert(corpus)
        writer.delete([corpus[0].document.doc_id])
        writer.upsert(corpus[:3])  # one of them comes back
    with filled.reader().snapshot() as snapshot:
        assert sum(snapshot.languages().values()) == sum(len(item.passages) for item in corpus)
        assert_nearest_is_exact(snapshot, corpus, "김치 배추", 10_000)


def test_what_is_deleted_answers_no_more_now_or_after_reopening(filled: Store, corpus: list[EncodedDocument]) -> None:
    gone = [item for item in corpus if item.document.metadata.language in ("ko", "ar")]
    left = [item for item in corpus if item not in gone]
    open_before = filled.reader()
    with open_before.snapshot() as snapshot:
        dead = {pid for pid in all_pids(snapshot) if places(snapshot, [pid])[0][0] in {i.document.doc_id for i in gone}}
    with filled.writer() as writer:
        ids = [item.document.doc_id for item in gone]
        assert writer.delete([*ids, ids[0], "0" * 16]) == 2
        assert writer.delete(ids) == 0
        assert writer.delete([]) == 0
    for backend in (open_before, filled.reader()):
        with backend.snapshot() as snapshot:
            assert_nearest_is_exact(snapshot, left, "김치 배추", 10_000)
            assert snapshot.passages(sorted(dead)) == snapshot.vectors(sorted(dead)) == {}
            assert snapshot.lexical(["김치", "الكسكسي"], 10) == []
            assert snapshot.frequencies(["김치", "الكسكسي", "webb"]).keys() == {"webb"}
            assert {"ko", "ar"}.isdisjoint(snapshot.languages())


def test_an_open_snapshot_stands_still_while_the_index_changes(store: Store, corpus: list[EncodedDocument]) -> None:
    half = corpus[:5]
    with store.writer() as writer:
        writer.upsert(half)
    backend = store.reader()
    with backend.snapshot() as held:
        before = held.lexical(["機器", "新幹"], 10), held.languages(), held.frequencies(["機器", "webb"])
        with store.writer() as writer:
            writer.upsert(corpus[5:])
            writer.delete([half[0].document.doc_id])
        # The old state and the new one side by side, in one thread and from one backend.
        with backend.snapshot() as fresh:
            assert_nearest_is_exact(fresh, corpus[1:], "telescope mirror", 10_000)
            assert_nearest_is_exact(held, half, "telescope mirror", 10_000)
        assert (
            held.lexical(["機器", "新幹"], 10),
            held.languages(),
            held.frequencies(["機器", "webb"]),
        ) == before
        assert_nearest_is_exact(held, half, "機器人 障礙物", 7)
    with backend.snapshot() as snapshot:
        assert_nearest_is_exact(snapshot, corpus[1:], "機器人 障礙物", 7)


def test_a_call_that_fails_leaves_nothing_of_itself(store: Store, corpus: list[EncodedDocument]) -> None:
    broken = replace(corpus[5], vectors=corpus[5].vectors[:-1])  # fewer vectors than passages
    with store.writer() as writer:
        writer.upsert(corpus[:4])
        with pytest.raises(ValueError, match="shorter"):
            writer.upsert([corpus[4], broken])
        writer.upsert(corpus[6:7])
    with store.reader().snapshot() as snapshot:
        assert_nearest_is_exact(snapshot, [*corpus[:4], corpus[6]], "김치 배추", 10_000)
        assert sum(snapshot.languages().values()) == sum(len(item.passages) for item in [*corpus[:4], corpus[6]])


def test_the_generation_rises_with_each_change_and_only_then(store: Store, corpus: list[EncodedDocument]) -> None:
    seen = []
    with store.writer() as writer:
        for change in (
            lambda: writer.upsert(corpus),
            lambda: writer.upsert([], [FileRecord("/f", "f", "d", "k", "ok")]),
            lambda: writer.delete(["0" * 16]),
            lambda: writer.delete([corpus[0].document.doc_id]),
        ):
            change()
            seen.append(store.reader().stats().generation)
    assert seen[0] == seen[1] == seen[2]
    assert seen[3] > seen[2] > 0


def test_readers_see_all_of_a_change_or_nothing_of_it(store: Store) -> None:
    def version(number: int) -> list[EncodedDocument]:
        texts = {f"/{place}": f"Version v{number} of place p{place}." for place in range(8)}
        return encoded(*(article("en", location, text) for location, text in texts.items()))

    with store.writer() as writer:
        writer.upsert(version(0))
    backend, stop, seen, wrong = store.reader(), threading.Event(), set[str](), list[object]()

    def look() -> None:
        while not stop.is_set():
            with backend.snapshot() as snapshot:
                hits = [hit.pid for hit in snapshot.lexical(["version"], 100)]
                versions = Counter(passage.text.split()[1] for passage in snapshot.passages(hits).values())
                nearest = {hit.pid for hit in snapshot.nearest(ENCODER.encode_queries(["version"])[0], 100)}
                if [*versions.values()] != [8] or (nearest, snapshot.languages()) != (set(hits), {"en": 8}):
                    wrong.append((versions, nearest))
                seen.update(versions)

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    with store.writer() as writer:
        for number in range(1, 15):
            writer.upsert(version(number))
            until(lambda: f"v{number}" in seen or bool(wrong))  # noqa: B023
    stop.set()
    for reader in readers:
        reader.join(60)
    assert wrong == []
    assert len(seen) >= 14


# --- filters ------------------------------------------------------------------------------------------------


def dated(place: str, language: str, date: str = "", tags: tuple[str, ...] = ()) -> Document:
    known = article(language, f"/{place}")
    return replace(known, source=place, metadata=replace(known.metadata, date=date, tags=tags))


FILTERED = (
    dated("news/a.txt", "en", "2024-03-05", ("Space", "科學")),
    dated("news/old/b.txt", "ko", "2023-12-31", ("food",)),
    dated("blog/c.txt", "zh-Hant", "2024", ("space",)),
    dated("blog/d[1].txt", "zh-Hans", "", ()),
    dated("newsletter.txt", "vi", "2024-03-31", ("Ｆｏｏｄ",)),
)


TAKEN = {
    Filter(): "abcdn",
    Filter(languages=("en",)): "a",
    Filter(languages=("zh",)): "cd",
    Filter(languages=("zh-Hant", "ko")): "bc",
    Filter(languages=("ZH-hant", "EN")): "ac",
    Filter(languages=("z",)): "",
    Filter(since="2024"): "acn",
    Filter(since="2024-03"): "an",
    Filter(until="2023"): "b",
    Filter(until="2024-03"): "abcn",
    Filter(until="2024-03-05"): "abc",
    Filter(since="2023-12-31", until="2024-03-30"): "abc",
    Filter(sources=("news",)): "ab",
    Filter(sources=("news/",)): "ab",
    Filter(sources=("news*",)): "abn",
    Filter(sources=("*/c.txt", "newsletter.txt")): "cn",
    Filter(sources=("blog/d[1].txt",)): "d",
    Filter(tags=("SPACE",)): "ac",
    Filter(tags=("food",)): "bn",
    Filter(tags=("科學", "food")): "abn",
    Filter(tags=("spa",)): "",
    Filter(tags=("space",), languages=("en", "ko"), since="2024"): "a",
    Filter(sources=("' OR 1=1 --",)): "",
}


def test_both_legs_find_what_the_filter_takes_and_nothing_else(store: Store) -> None:
    with store.writer() as writer:
        writer.upsert(encoded(*FILTERED))
    names = {document.source: Path(document.source).name[0] for document in FILTERED}
    words = [word for document in FILTERED for word in terms(document.text)]
    with store.reader().snapshot() as snapshot:
        for where, expected in TAKEN.items():
            for query in (ENCODER.encode_queries(["telescope"])[0], ENCODER.encode_queries(["김치"])[0]):
                dense = snapshot.passages([hit.pid for hit in snapshot.nearest(query, 100_000, where)])
                assert {names[p.source] for p in dense.values()} == set(expected)
            lexical = snapshot.passages([hit.pid for hit in snapshot.lexical(words, 100_000, where)])
            assert {names[p.source] for p in lexical.values()} == set(expected)
            counted = Counter(p.language for p in lexical.values())
            assert snapshot.languages(where) == counted


def test_a_filter_is_applied_before_the_nearest_are_taken(store: Store) -> None:
    with store.writer() as writer:
        writer.upsert(encoded(*FILTERED))
    korean = Filter(languages=("ko",))
    tagged = Filter(tags=("food",))
    with store.reader().snapshot() as snapshot:
        query = ENCODER.encode_queries(["telescope mirror"])[0]
        assert snapshot.nearest(query, 1)[0].language == "en"
        for where in (korean, tagged):
            assert {hit.language for hit in snapshot.nearest(query, 1, where)} <= {"ko", "vi"}
        assert len(snapshot.lexical([*terms(ARTICLES["ko"][1]), "telescope"], 1, korean)) == 1


def test_a_term_with_spaces_is_a_phrase(store: Store) -> None:
    one = article("en", "/one.txt", "The golden mirror turned to the stars.")
    two = article("en", "/two.txt", "A mirror with a golden frame hung there. The mirror was golden.")
    with store.writer() as writer:
        writer.upsert(encoded(one, two))
    with store.reader().snapshot() as snapshot:
        either = snapshot.passages([hit.pid for hit in snapshot.lexical(["golden", "mirror"], 10)])
        assert {passage.source for passage in either.values()} == {"news/one.txt", "news/two.txt"}
        found = snapshot.passages([hit.pid for hit in snapshot.lexical(["golden mirror"], 10)])
        assert [passage.source for passage in found.values()] == ["news/one.txt"]


@pytest.mark.parametrize("date", ["24", "2024-13", "2024-02-32", "March 2024", "2024-1-1"])
def test_a_date_that_is_none_is_refused(date: str) -> None:
    with pytest.raises(ValueError, match="expected: YYYY, YYYY-MM or YYYY-MM-DD"):
        Filter(since=date)


def test_tags_are_kept_and_go_with_their_document(store: Store) -> None:
    with store.writer() as writer:
        writer.upsert(encoded(*FILTERED))
        with store.reader().snapshot() as snapshot:
            stored = snapshot.document(FILTERED[0].doc_id)
        assert stored is not None and stored.metadata.tags == ("Space", "科學")
        changed = replace(FILTERED[0], metadata=replace(FILTERED[0].metadata, tags=("stars",)))
        assert changed.doc_id != FILTERED[0].doc_id
        writer.upsert(encoded(changed))
        writer.delete([FILTERED[1].doc_id])
    listed = {item.source: item.tags for item in store.reader().documents()}
    assert listed == {
        "news/a.txt": ("stars",), "blog/c.txt": ("space",), "blog/d[1].txt": (), "newsletter.txt": ("Ｆｏｏｄ",)
    }  # fmt: skip
    with store.reader().snapshot() as snapshot:
        query = ENCODER.encode_queries(["x"])[0]
        assert snapshot.nearest(query, 10, Filter(tags=("科學",))) == []
        assert snapshot.nearest(query, 10, Filter(tags=("stars",))) != []


def test_documents_come_back_as_they_were_given(store: Store) -> None:
    glossed = article("en", "/glossed.txt", "Sam Altman (阿爾特曼) spoke. The mirror (鏡子) shone.")
    given = encoded(*FILTERED, glossed)
    files = [FileRecord(item.file, item.document.source, "d", "k", "ok") for item in given]
    with store.writer() as writer:
        writer.upsert(given, files)
    reader = store.reader()
    assert list(reader.files()) == sorted(files, key=lambda file: file.location)
    assert [one.doc_id for one in reader.documents()] == [item.document.doc_id for item in given]
    with reader.snapshot() as snapshot:
        assert snapshot.document("0" * 16) is None
        assert snapshot.document(glossed.doc_id) == glossed
    back = contents(store.place)
    for ours in given:
        document, file, rows = back.pop(ours.document.doc_id)
        assert (document, file) == (replace(ours.document, removed=()), ours.file)
        for passage, vector, row in zip(ours.passages, ours.vectors, rows, strict=True):
            assert row[:5] == (passage.ordinal, passage.start, passage.end, passage.language, passage.section)
            assert row.vector == vector.astype("<f2").tobytes()
    assert back == {}
    with reader.snapshot() as snapshot:
        (alias,) = given[-1].aliases
        assert alias in snapshot.aliases([name_key(alias.name)])


def test_words_are_kept_as_the_encoder_packed_them_and_go_with_their_passage(store: Store, encoder: Encoder) -> None:
    documents = [article(language) for language in ARTICLES]
    given = encode([(document, document.location) for document in documents], encoder, SETTINGS)
    with store.writer(encoder) as writer:
        writer.upsert(given)
        writer.delete([given[0].document.doc_id])
        writer.upsert(given[1:2])
        with store.reader().snapshot() as snapshot:
            pids = [hit.pid for hit in snapshot.nearest(encoder.encode_queries(["x"])[0], 10_000)]
            held = snapshot.vectors([*pids, 999_999])
            found = {place: held[pid].words for place, pid in zip(places(snapshot, pids), pids, strict=True)}
    expected = {
        (item.document.doc_id, passage.start): words
        for item in given[1:]
        for passage, words in zip(item.passages, item.words, strict=True)
    }
    assert found == expected and len(held) == len(expected)
    assert all(expected.values()) and len(set(expected.values())) == len(expected)


def test_contextual_vectors_are_kept_go_with_their_document_and_are_all_made_again_for_another_model(
    filled: Store,
) -> None:
    with closing(filled.reader()) as backend:

        def lacking(model: str) -> list[int]:
            with backend.snapshot() as snapshot:
                return snapshot.without_context(model)

        pids = lacking("model 1")
        given = {pid: np.eye(8, dtype=np.float32)[i % 8] for i, pid in enumerate(pids)}
        with filled.writer() as writer:
            writer.add_context("model 1", {pid: given[pid] for pid in pids[1:]} | {999_999: given[pids[0]]})
            assert lacking("model 1") == pids[:1]
            assert lacking("model 2") == pids
            assert backend.stats().n_contextual == len(pids) - 1
            with backend.snapshot() as snapshot:
                held = snapshot.context("model 1", [*given, 999_999])
                assert not snapshot.context("model 2", list(given))
            assert held.keys() == given.keys() - {pids[0]}
            assert all(np.allclose(vector, given[pid], atol=1e-2) for pid, vector in held.items())
            writer.delete([one.doc_id for one in backend.documents()][:1])
            assert len(lacking("model 1")) <= 1
            left = lacking("model 2")
            assert backend.stats().n_contextual == len(left) < len(pids)
            writer.add_context("model 2", {left[0]: given[left[0]]})
        assert lacking("model 2") == left[1:]
        assert len(lacking("model 1")) == len(left)


def test_other_settings_are_refused_or_adopted_and_a_refresh_brings_the_documents_back(
    filled: Store, corpus: list[EncodedDocument]
) -> None:
    other, settings = HashEncoder(dim=16), IndexSettings(target_tokens=40)
    backend = filled.reader()
    before = backend.meta()
    for encoder, wanted, fix in ((other, SETTINGS, "--refresh --encoder hash"), (ENCODER, settings, "--refresh")):
        refused = pytest.raises(SettingsMismatch, match=f"dragoman index {fix}")
        with refused, open_writer(filled.place, encoder, wanted):
            pass
    assert backend.meta() == before
    wait = f"{len(corpus)} documents wait for dragoman index --refresh"
    for encoder, wanted in ((other, settings), (ENCODER, SETTINGS)):  # and back: the old vectors are gone all the same
        with open_writer(filled.place, encoder, wanted, adopt=True) as writer:
            assert writer.n_stale() == len(writer.stale_documents(100)) == len(corpus)
        with backend.snapshot() as snapshot:
            assert snapshot.nearest(encoder.encode_queries(["telescope"])[0], 10) == []
            assert search(snapshot, encoder, "Webb telescope", 3).passages[0].passage.source == "news/en.txt"
        assert backend.note.startswith(wait)
        assert [finding.what for finding in examine(filled.place)] == [wait]
    assert refresh(filled.place, ENCODER, SETTINGS, n_workers=1).replaced == len(corpus)
    with backend.snapshot() as snapshot:
        assert_nearest_is_exact(snapshot, corpus, "telescope mirror", 10_000)
    assert (backend.note, examine(filled.place)) == ("", [])


def test_an_index_of_older_rules_is_read_with_a_note_and_written_to_when_it_is_done_again(
    store: Store, corpus: list[EncodedDocument], monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.writer() as writer:
        writer.upsert(corpus)
    assert store.reader().note == ""
    real = IndexSettings.key
    monkeypatch.setattr(IndexSettings, "key", lambda self, fingerprint: real(self, f"newer {fingerprint}"))
    reader = store.reader()
    assert "an older version of this program; dragoman index --refresh" in reader.note
    with reader.snapshot() as snapshot:
        assert snapshot.lexical(terms(ARTICLES["ko"][1]), 1)
    with pytest.raises(SettingsMismatch, match="dragoman index --refresh"), store.writer():
        pass
