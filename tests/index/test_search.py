from __future__ import annotations

import functools
import json
import math
import random
import shutil
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from index.documents import Document
from index.encoders.base import Encoder, FloatArray
from index.encoders.static import StaticEncoder
from index.ingest import ingest
from index.names import Alias, name_key
from index.search import MAX_QUESTION_CHARS, check_question, query_terms, quoted, search
from index.settings import SearchSettings
from index.store.base import EVERYTHING, Filter, Hit, PassageVectors, StoredPassage
from index.store.doctor import examine
from index.store.sqlite import EmbeddedBackend
from index.store.sqlite.schema import STORE
from index.text.language import detect_language
from index.text.terms import indexed_terms
from rag.answer import Abstention
from rag.chain import Chain
from rag.testing import HashEncoder, WordReader

# Fixed here, so that hand-made sums do not move with the tuned defaults.
SETTINGS = SearchSettings(n_candidates=500, max_sim_weight=0.6, lexical_weight=0.5, names_weight=0.0, quoted_weight=0.3)
ENGLISH = "What is the name of the big telescope?"


def passage(pid: int, text: str = "", language: str = "en") -> StoredPassage:
    nothing = dict.fromkeys(("title", "url", "author", "date", "section"), "")
    place = {"pid": pid, "doc_id": f"{pid:016x}", "source": f"{pid}.txt", "start": 0, "end": len(text)}
    return StoredPassage(**nothing, **place, language=language, text=text, sentences=((0, len(text)),))


def at_cosine(c: float) -> FloatArray:
    """A unit vector that has this cosine with (1, 0), which is every question here."""
    return np.array([c, math.sqrt(1 - c * c)], dtype=np.float32)


class FixedEncoder(HashEncoder):
    """Every question is the vector (1, 0)."""

    def encode_queries(self, texts: Sequence[str]) -> FloatArray:
        return np.array([[1.0, 0.0]] * len(texts), dtype=np.float32)


@functools.cache
def model_of(path: Path) -> tuple[Any, dict[str, Any], int]:
    """The tokenizer, the arrays and the unknown token of a static model."""
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    return tokenizer, load_file(path / "model.safetensors"), json.loads(tokenizer.to_str())["model"]["unk_id"]


def max_sim_by_hand(encoder: Encoder, question: str, sentences: Sequence[str]) -> float:
    """The weighted mean of the greatest cosines, word by word, from the model's own files."""
    assert isinstance(encoder, StaticEncoder)
    tokenizer, arrays, unknown = model_of(encoder.path)

    def vectors(of: str) -> list[FloatArray]:
        encoding = tokenizer.encode(of, add_special_tokens=False)
        words: list[tuple[str, list[FloatArray]]] = []
        for i, token in zip(encoding.ids, encoding.tokens, strict=True):
            row = arrays["mapping"][i] if "mapping" in arrays else i
            vector = arrays["embeddings"][row].astype(np.float32) * arrays["weights"][i]
            if token.startswith("▁"):
                words.append(("", []))
            own = [] if i == unknown else [vector]
            words[-1] = (words[-1][0] + token, words[-1][1] + own)
        found: list[FloatArray] = []
        for text, pieces in words:
            spaced = not any(
                "\u0e00" <= c <= "\u0eff" or "\u3041" <= c <= "\u30ff" or "\u3400" <= c <= "\u9fff" for c in text
            )
            found += [sum(pieces[1:], pieces[0])] if spaced and pieces else pieces
        return found

    held = np.array([vector for sentence in sentences for vector in vectors(sentence)])
    held /= np.linalg.norm(held, axis=1, keepdims=True)
    total = weight = 0.0
    for vector in vectors(question):
        square = float(vector @ vector)
        total += square * float((held @ vector).max()) / math.sqrt(square)
        weight += square
    return total / weight


@dataclass
class TableSnapshot:
    """A backend state by hand: passages, their vectors, and what each leg finds."""

    stored: dict[int, tuple[StoredPassage, FloatArray]]
    dense_order: list[int]
    lexical_order: list[int] = field(default_factory=list)
    asked: list[list[str]] = field(default_factory=list)
    frequency: dict[str, int] = field(default_factory=dict)
    known_aliases: list[Alias] = field(default_factory=list)

    def nearest(self, query: FloatArray, n: int, where: Filter = EVERYTHING) -> list[Hit]:
        found: dict[str, list[Hit]] = defaultdict(list)
        for pid in self.dense_order:
            passage, vector = self.stored[pid]
            if where.takes(passage.language):
                found[passage.language.split("-")[0]].append(Hit(pid, passage.language, float(vector @ query)))
        return [hit for own in found.values() for hit in own[:n]]

    def lexical(self, terms: Sequence[str], n: int, where: Filter = EVERYTHING) -> list[Hit]:
        if not terms:
            return []
        self.asked.append(list(terms))
        order = [pid for pid in self.lexical_order if pid in self.stored]
        return [Hit(pid, self.stored[pid][0].language, 9.0 - rank) for rank, pid in enumerate(order[:n])]

    def vectors(self, pids: Sequence[int]) -> dict[int, PassageVectors]:
        return {pid: PassageVectors(self.stored[pid][1], b"") for pid in pids if pid in self.stored}

    def context(self, fingerprint: str, pids: Sequence[int]) -> dict[int, FloatArray]:
        return {}

    def passages(self, pids: Sequence[int]) -> dict[int, StoredPassage]:
        return {pid: self.stored[pid][0] for pid in pids if pid in self.stored}

    def frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        return self.frequency

    def phonetic(self, keys: Sequence[str]) -> dict[str, int]:
        return {}

    def document(self, doc_id: str) -> Document | None:
        return None

    def aliases(self, keys: Sequence[str]) -> list[Alias]:
        return [alias for alias in self.known_aliases if name_key(alias.name) in keys]

    def languages(self, where: Filter = EVERYTHING) -> dict[str, int]:
        return Counter(one.language for one, _ in self.stored.values() if where.takes(one.language))

    def n_passages(self) -> int:
        return len(self.stored)


def table(*rows: tuple[int, str, FloatArray], dense: Sequence[int], lexical: Sequence[int] = ()) -> TableSnapshot:
    stored = {pid: (passage(pid, f"text {pid}", language), vectors) for pid, language, vectors in rows}
    return TableSnapshot(stored, list(dense), list(lexical))


# --- fusion -------------------------------------------------------------------------------------------------


def test_the_signals_are_added() -> None:
    rows = [(pid, "en", at_cosine(cosine)) for pid, cosine in enumerate((0.9, 0.8, 0.7, 0.1), 1)]
    snapshot = table(*rows, dense=[1, 2, 3], lexical=[2, 3, 1, 4])
    # No passage holds "name", "big", "telescope" or the beginnings of the first and the last: IDF log(4.5 / 0.5) each.
    most = 2.2 * 5 * math.log(9)
    found = search(snapshot, FixedEncoder(), ENGLISH, settings=SETTINGS)
    assert found.language == "en"
    assert [item.passage.pid for item in found.passages] == [1, 2, 3, 4]
    assert [item.score + item.evidence.baseline for item in found.passages] == pytest.approx(
        # BM25 falls from 9 by one a rank in this table.
        [0.9 + 0.5 * 7 / most, 0.8 + 0.5 * 9 / most, 0.7 + 0.5 * 8 / most, 0.1 + 0.5 * 6 / most],
        abs=1e-6,
    )
    assert [item.evidence.dense_rank for item in found.passages] == [1, 2, 3, 4]
    assert [item.evidence.lexical_rank for item in found.passages] == [3, 1, 2, 4]
    assert [item.evidence.dense for item in found.passages] == pytest.approx([0.9, 0.8, 0.7, 0.1], abs=1e-6)
    assert [item.evidence.words for item in found.passages] == pytest.approx([n / most for n in (7, 9, 8, 6)])


def test_words_that_hold_all_that_the_question_says_count_at_most_once() -> None:
    snapshot = table((1, "en", at_cosine(0.5)), dense=[1], lexical=[1])
    # No information: IDF log(0.5 / 1.5) is under 0.
    snapshot.frequency = dict.fromkeys(["name", "big", "telescope", "‿name", "‿tele"], 1)
    (item,) = search(snapshot, FixedEncoder(), ENGLISH, settings=SETTINGS).passages
    assert (item.evidence.words, item.score + item.evidence.baseline) == pytest.approx((1.0, 0.5 + 0.5), abs=1e-6)


def test_the_baseline_of_a_language_is_taken_off() -> None:
    rows = [(pid, "en", at_cosine(0.6 - pid / 1000)) for pid in range(1, 31)]
    rows += [(100, "ko", at_cosine(0.5)), *((100 + i, "ko", at_cosine(0.2)) for i in range(1, 30))]
    snapshot = table(*rows, dense=[pid for pid, _, _ in rows])
    first, second, *_ = search(snapshot, FixedEncoder(), ENGLISH, settings=SETTINGS).passages
    assert (first.passage.pid, first.evidence.dense_rank) == (100, 31)
    assert first.score == pytest.approx(0.5 - first.evidence.baseline, abs=1e-6)
    assert (second.passage.pid, second.evidence.baseline) == (1, pytest.approx(0.593, abs=1e-6))


def test_a_passage_that_holds_what_the_question_quotes_comes_first() -> None:
    snapshot = table((1, "en", at_cosine(0.6)), (2, "en", at_cosine(0.5)), dense=[1, 2], lexical=[2])
    found = search(snapshot, FixedEncoder(), 'What is the "golden mirror" of?', settings=SETTINGS).passages
    assert snapshot.asked == [["golden", "mirror", "‿gold", "‿mirr"], ["golden mirror"]]
    assert [(item.passage.pid, item.evidence.quoted) for item in found] == [(2, True), (1, False)]
    found_signals = found[0].score + found[0].evidence.baseline
    assert found_signals == pytest.approx(0.5 + 0.5 * found[0].evidence.words + 0.3, abs=1e-6)


@pytest.mark.parametrize(
    ("question", "phrases"),
    [
        ('Who said "never say never again"?', ["never say never again"]),
        ("„große Koalition“ oder «petit pont»?", ["grosse koalition", "petit pont"]),
        ("「紅樓夢」的作者是誰？《红楼梦》?", ["红楼 楼梦"]),
        ("What is a “telescope”?", []),  # a word alone is looked for anyway
        ('5" floppy disk', []),
    ],
)
def test_what_is_quoted_is_a_phrase(question: str, phrases: list[str]) -> None:
    assert quoted(question) == phrases


def test_a_text_told_twice_comes_once_and_its_translation_too() -> None:
    told = "The mirror of the telescope is made of eighteen golden segments."
    stored = {
        1: (passage(1, told), at_cosine(0.9)),
        2: (passage(2, told.upper()), at_cosine(0.8)),
        3: (passage(3, "망원경의 거울은 열여덟 개의 금빛 조각으로 되어 있다.", "ko"), at_cosine(0.7)),
        4: (passage(4, "Something else."), at_cosine(0.6)),
    }
    found = search(TableSnapshot(stored, [1, 2, 3, 4]), FixedEncoder(), ENGLISH, settings=SETTINGS).passages
    assert [item.passage.pid for item in found] == [1, 3, 4]


def test_equal_scores_fall_to_the_older_passage_in_whatever_order_the_leg_gives_them() -> None:
    for dense in ([7, 3], [3, 7]):
        alike = table((7, "en", at_cosine(0.6)), (3, "en", at_cosine(0.6)), dense=dense)
        found = search(alike, FixedEncoder(), ENGLISH, settings=SETTINGS).passages
        assert [item.passage.pid for item in found] == [3, 7]
        assert found[0].score == found[1].score


def test_at_most_k_passages_come_back_and_a_k_under_one_is_refused() -> None:
    snapshot = table(*((pid, "en", at_cosine(pid / 10)) for pid in (1, 2, 3)), dense=[3, 2, 1])
    for k in (1, 2, 3, 50):
        found = search(snapshot, FixedEncoder(), ENGLISH, k, SETTINGS)
        assert [item.passage.pid for item in found.passages] == [3, 2, 1][:k]
    with pytest.raises(ValueError, match="k is 0; expected: 1 or more"):
        search(snapshot, FixedEncoder(), ENGLISH, 0)


def test_an_index_without_passages_or_one_that_is_deleted_meanwhile_is_no_error() -> None:
    found = search(table(dense=[]), FixedEncoder(), ENGLISH)
    assert (found.passages, found.warnings) == ((), ())
    snapshot = table((1, "en", at_cosine(0.9)), dense=[1], lexical=[8, 1])
    assert [item.passage.pid for item in search(snapshot, FixedEncoder(), ENGLISH).passages] == [1]


def test_function_words_are_not_looked_up_unless_there_is_nothing_else() -> None:
    snapshot = table((1, "en", at_cosine(0.9)), dense=[1])
    search(snapshot, FixedEncoder(), ENGLISH)
    assert snapshot.asked[-1] == ["name", "big", "telescope", "‿name", "‿tele"]
    search(snapshot, FixedEncoder(), "What is the how?")
    assert snapshot.asked[-1] == ["what", "is", "the", "how", "‿what"]


# --- the same on a real index -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "question",
    ["How many documents did the lawyers review?", "웹 망원경의 이름은 누구에게서 왔나요?", "台灣高鐵何時通車？"],
)
def test_the_ranking_of_a_real_index_is_that_of_a_plain_loop(
    sample_backend: EmbeddedBackend, encoder: Encoder, question: str
) -> None:
    with sample_backend.snapshot() as snapshot:
        found = search(snapshot, encoder, question, 10, SETTINGS)
        query = encoder.encode_queries([question])[0]
        everything = snapshot.vectors(range(1, 10_000))
        assert len(everything) == sum(snapshot.languages().values())
        near: dict[int, float] = {}
        for pid, (vector, _) in everything.items():
            near[pid] = 0.4 * sum(float(a) * float(b) for a, b in zip(vector, query, strict=True))
        for pid, stored in snapshot.passages(list(near)).items():
            sentences = [stored.text[a - stored.start : b - stored.start] for a, b in stored.sentences]
            near[pid] += 0.6 * max_sim_by_hand(encoder, question, sentences)
        # What the full-text index scores is taken from it; that it finds the right words is tested in test_terms.
        wanted = query_terms(question, detect_language(question))
        bm25 = {hit.pid: hit.score for hit in snapshot.lexical(wanted, 10_000)}
        texts = [{*indexed_terms(p.text), *indexed_terms(p.title)} for p in snapshot.passages(list(near)).values()]
    counts = {term: sum(term in held for held in texts) for term in set(wanted)}
    most = 2.2 * sum(max(1e-6, math.log((len(near) - n + 0.5) / (n + 0.5))) for n in counts.values())
    assert len(found.passages) == 10
    for item in found.passages:
        pid = item.passage.pid
        assert item.score + item.evidence.baseline == pytest.approx(
            near[pid] + 0.5 * bm25.get(pid, 0.0) / most, abs=5e-4
        )
        assert item.evidence.dense == pytest.approx(near[pid], abs=5e-4)
        # Scores agree to 5e-4, so that places as near as that may have changed.
        first, last = (1 + sum(value > near[pid] + by for value in near.values()) for by in (5e-4, -5e-4))
        assert first <= item.evidence.dense_rank <= last
    assert [item.score for item in found.passages] == sorted((item.score for item in found.passages), reverse=True)


@contextmanager
def indexed(folder: Path, encoder: Encoder, *texts: str, **tagged: str) -> Iterator[EmbeddedBackend]:
    """An index of small articles, each of `tagged` with its name as a tag."""
    rows = [{"text": text} for text in texts] + [{"text": text, "tags": tag} for tag, text in tagged.items()]
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    ingest(folder / "index", [str(folder / "a.jsonl")], encoder, n_workers=1)
    with closing(EmbeddedBackend(folder / "index")) as backend:
        yield backend


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBackend]:
    texts = (
        "The telescope has a golden mirror. It looks at stars.",
        "A harbour lies near the town and not far from the river.",
        'She said "never again" and left.',
    )
    with indexed(tmp_path_factory.mktemp("tiny"), HashEncoder(), *texts) as backend:
        yield backend


@pytest.mark.parametrize(
    "question",
    [
        '"golden mirror"',
        "NEAR(golden mirror, 2) OR",
        "body:golden ^mirror (",
        "'; DROP TABLE terms; -- golden mirror",
        "golden mirror \x00 \\ %s ?",
    ],
)
def test_the_full_text_syntax_in_a_question_is_just_words(tiny: EmbeddedBackend, question: str) -> None:
    with tiny.snapshot() as snapshot:
        found = search(snapshot, HashEncoder(), question)
        assert snapshot.lexical(['golden" OR "harbour'], 10) == snapshot.lexical(['"'], 10) == []
    first = next(item for item in found.passages if item.evidence.lexical_rank == 1)
    assert first.passage.text.startswith("The telescope has a golden mirror.")


def test_a_question_without_any_word_finds_by_vectors_alone(tiny: EmbeddedBackend) -> None:
    with tiny.snapshot() as snapshot:
        found = search(snapshot, HashEncoder(), "…?!")
    assert found.language == "en"  # that of the corpus
    assert {item.evidence.lexical_rank for item in found.passages} == {0}


@pytest.mark.parametrize("n_articles", [3, 400])
def test_what_is_uninformative_to_the_encoder_is_found_nowhere(
    tmp_path: Path, encoder: Encoder, n_articles: int
) -> None:
    texts = [f"Is harbour {i} 🙂 near town {i}? … It is, by way of river {i}!" for i in range(n_articles)]
    texts += [f"항구 {i}는 도시 {i} 근처에 있습니까? “네.”" for i in range(n_articles)]
    with indexed(tmp_path, encoder, *texts) as backend, backend.snapshot() as snapshot:
        for question in ("?", "…", "🙂", "𐎀𐎁𐎂", "ᚠᚢᚦ ᚨᚱᚲ?"):
            found = search(snapshot, encoder, question)
            assert (found.passages, found.n_searched) == ((), 2 * n_articles)
        assert Chain(backend, encoder, reader=WordReader()).invoke("?").reason is Abstention.NOT_FOUND


def test_a_question_in_hiragana_alone_or_of_unknown_letters_is_answered(tmp_path: Path, encoder: Encoder) -> None:
    wanted = {
        "うなぎ": "うなぎは川と海を行き来する魚です。",
        "りんごとは？": "りんごとは、秋に実る果物です。",
        "ひらがなはいつつくられましたか？": "ひらがなは平安時代につくられました。",
        "𐎀𐎁𐎂?": "𐎀𐎁𐎂 is a harbour.",  # no token of the encoder's
    }
    texts = [f"{i}番の港は{i}番の町の近くにあります。" for i in range(60)]
    texts += [f"Harbour {i} is near town {i}." for i in range(60)]
    with indexed(tmp_path, encoder, *texts, *wanted.values()) as backend, backend.snapshot() as snapshot:
        for question, text in wanted.items():
            assert search(snapshot, encoder, question).passages[0].passage.text == text


def test_one_passage_that_a_filter_leaves_is_judged_as_if_it_were_alone(tmp_path: Path) -> None:
    texts = [f"A harbour lies near town {i} and not far from river {i}." for i in range(120)]
    stars = "The telescope has a golden mirror."
    with indexed(tmp_path, HashEncoder(), *texts, stars=stars) as backend, backend.snapshot() as snapshot:
        found = search(snapshot, HashEncoder(), "golden mirror of the telescope", where=Filter(tags=("stars",)))
    (item,) = found.passages
    assert item.evidence.baseline == pytest.approx(item.evidence.signals(SearchSettings()))  # a poor one: itself


# --- the question -------------------------------------------------------------------------------------------


def test_a_question_that_is_empty_or_over_the_limit_is_refused() -> None:
    for question in ("", "  \n\t\u3000"):
        with pytest.raises(ValueError, match="the question is empty"):
            search(table(dense=[]), FixedEncoder(), question)
    at_limit = "가" * MAX_QUESTION_CHARS
    assert check_question(f"  {at_limit}\n") == at_limit
    with pytest.raises(ValueError, match="the question has 2001 characters; expected: at most 2000"):
        check_question(at_limit + "가")
    assert check_question("tea \ud83d time") == "tea ? time"  # half a surrogate pair


# --- what the encoder does not cover ------------------------------------------------------------------------


def test_languages_that_the_encoder_does_not_cover_are_reported() -> None:
    tags = ["sw", "en", "zh-Hant", "am", ""]
    snapshot = table(*((pid, tag, at_cosine(0.5)) for pid, tag in enumerate(tags, 1)), dense=[1])
    encoder = FixedEncoder(languages=frozenset({"en", "zh"}))
    assert search(snapshot, encoder, "กล้องโทรทรรศน์ชื่ออะไร").warnings == (
        "the encoder hash was not trained on the question's language (th); results may be poor",
        "the encoder hash was not trained on am, sw, which the corpus has",
    )
    assert search(snapshot, FixedEncoder(), "กล้องโทรทรรศน์ชื่ออะไร").warnings == ()  # it does not tell its languages


@pytest.mark.parametrize(("table", "column"), [("passages", "words"), ("vectors", "embedding")])
@pytest.mark.parametrize("change", ["first bit", "any bit", "length"])
def test_damaged_passages_are_found_by_their_words_and_no_search_fails(
    sample_index: Path, tmp_path: Path, encoder: Encoder, table: str, column: str, change: str
) -> None:
    shutil.copytree(sample_index, tmp_path / "index")
    connection, random_bits = sqlite3.connect(tmp_path / "index" / STORE), random.Random(7)
    for pid, stored in connection.execute(f"SELECT pid, {column} FROM {table}").fetchall():
        damaged = bytearray(stored)
        if change == "length":
            del damaged[-1]
        elif damaged:
            bit = 0 if change == "first bit" else random_bits.randrange(8 * len(damaged))
            damaged[bit // 8] ^= 1 << bit % 8
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE pid = ?", (bytes(damaged), pid))
    connection.commit()
    connection.close()
    with EmbeddedBackend(tmp_path / "index").snapshot() as snapshot:
        result = search(snapshot, encoder, "How many segments does the mirror of the Webb telescope have?", 10)
    assert "06-webb-en.md" in {Path(one.passage.source).name for one in result.passages}
    assert all(math.isfinite(one.score) and 0 <= one.relevance <= 1 for one in result.passages)
    if change == "length":
        assert any("passages are ranked by their words only; dragoman doctor" in one for one in result.warnings)
    assert [finding.repairable for finding in examine(tmp_path / "index")] == [True]


def test_a_document_that_was_altered_on_the_disk_is_left_out_with_a_warning(
    sample_index: Path, tmp_path: Path, encoder: Encoder
) -> None:
    shutil.copytree(sample_index, tmp_path / "index")
    question = "How many segments does the mirror of the Webb telescope have?"
    connection = sqlite3.connect(tmp_path / "index" / STORE)
    change = "UPDATE documents SET text = replace(text, 'mirror', 'mirrow') WHERE source LIKE '%06-webb-en.md'"
    assert connection.execute(change).rowcount == 1
    connection.commit()
    connection.close()
    with closing(EmbeddedBackend(tmp_path / "index")) as backend:
        with backend.snapshot() as snapshot:
            result = search(snapshot, encoder, question, 10)
        assert len(result.passages) == 10
        assert not [one for one in result.passages if "06-webb-en" in one.passage.source]
        assert "left out" in backend.note and "dragoman doctor" in backend.note
