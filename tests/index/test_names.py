"""Names across scripts: how they sound, what a text says of them, what is known, and what a search makes of it."""

from __future__ import annotations

import functools
import json
import random
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from index.encoders.base import Encoder
from index.errors import AliasesUnusable
from index.ingest import ingest, refresh
from index.names import sounds
from index.names.forms import bare_forms, name_forms, sound_terms
from index.names.known import NO_NAMES, KnownNames, common_names, keys_in, name_key, read_aliases
from index.names.mined import Alias, mined_aliases
from index.names.question import Origin, is_acronym, mentions, other_forms, shown_names, written
from index.names.sounds import likeness, near, phonemes, sound_of
from index.relevance import lacking
from index.search import search
from index.settings import IndexSettings
from index.store.base import StoredPassage
from index.store.sqlite import EmbeddedBackend, Writer, examine
from index.store.sqlite.schema import STORE
from rag.testing import HashEncoder

# --- sounds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sound", "names"),
    [
        ("ltmn", "Altman 알트만 阿爾特曼 阿尔特曼 アルトマン Альтман ألتمان אלטמן Άλτμαν ऑल्टमैन Ալտման".split()),
        ("mlt", ["Murati", "무라티", "穆拉提", "Мурати", "ムラティ"]),
        ("ntl", ["Nadella", "나델라", "納德拉", "Наделла"]),
        ("tl", ["Dario", "다리오", "達里奧", "Дарио", "ডারিও", "डारियो"]),
        ("plkmn", ["Brockman", "브록만", "布羅克曼", "Брокман"]),
        ("", ["", "42", "«»"]),
    ],
)  # fmt: skip
def test_a_name_has_one_sound_in_every_script(sound: str, names: list[str]) -> None:
    assert {name: sound_of(name) for name in names} == dict.fromkeys(names, sound)


@pytest.mark.parametrize(
    ("name", "spelled"),
    [("Schmidt", "smidt"), ("Philip", "filip"), ("Washington", "wasinton"), ("Xavier", "ksavier"), ("Cicero", "sisero"),
     ("Mitch", "mis"), ("Thomas", "tomas"), ("习近平", "sijinpin"), ("阿尔特曼", "alteman"), ("서울", "soul"),
     ("МОСКВА", "moskva")],
)  # fmt: skip
def test_spelling_follows_the_sound(name: str, spelled: str) -> None:
    assert phonemes(name) == spelled


def test_near_sounds_differ_in_one_class() -> None:
    assert near("lt") == {"lt"}
    around = near("ltm")
    # Left out: tm, lm, lt; put in: any class at four places; changed: l to n, t to s, m to n.
    assert {"ltm", "tm", "lm", "lt", "pltm", "lptm", "ltpm", "ltmp", "ntm", "lsm", "ltn"} <= around
    assert around.isdisjoint({"lltm", "ptm", "lpm", "ltp"})
    assert all(abs(len(sound) - 3) <= 1 for sound in around if sound != "l")


def slow_likeness(name: str, other: str) -> float:
    """By the definition: the cheapest of all ways to edit one into the other, by recursion."""
    codes = [[ord(char) - 96 for char in phonemes(one)] for one in (name, other)]
    own, theirs = codes

    @functools.cache
    def cost(i: int, j: int) -> float:
        ways = []
        if i:
            ways.append(cost(i - 1, j) + sounds._LEFT_OUT[own[i - 1]])
        if j:
            ways.append(cost(i, j - 1) + sounds._LEFT_OUT[theirs[j - 1]])
        if i and j:
            ways.append(cost(i - 1, j - 1) + sounds._SUBSTITUTED[own[i - 1], theirs[j - 1]])
        return min(ways, default=0.0)

    weight = sum(sounds._WEIGHT[code] for code in [*own, *theirs]) / 2
    return float(1 - cost(len(own), len(theirs)) / weight)


NAMES = [
    "Altman",
    "알트만",
    "阿爾特曼",
    "アルトマン",
    "Schröder",
    "Шрёдер",
    "Karpathy",
    "카파시",
    "卡帕西",
    "Li",
    "Сэм",
    "Jong-un",
]


@pytest.mark.parametrize("name", NAMES)
def test_likeness_is_the_cheapest_edit_over_the_mean_weight(name: str) -> None:
    assert likeness(name, NAMES) == pytest.approx([slow_likeness(name, other) for other in NAMES], abs=1e-12)


def test_likeness_by_hand() -> None:
    # altman and alteman (阿尔特曼): an e more, 0.12; weights a.25 l1 t1 m1 a.25 n1 = 4.5, and 4.75.
    assert likeness("Altman", ["阿尔特曼"]) == pytest.approx([1 - 0.12 / 4.625], abs=1e-12)
    # nadela (納德拉), nadella: an l more, 0.45; 3.75 and 4.75.
    assert likeness("納德拉", ["Nadella"]) == pytest.approx([1 - 0.45 / 4.25], abs=1e-12)
    assert likeness("Altman", ["Altman", "ALTMAN", "Seoul"])[:2].tolist() == [1.0, 1.0]
    assert likeness("Altman", ["Seoul"])[0] < 0.3
    assert likeness("Altman", []).shape == (0,)


# --- forms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("Where did Sam Altman go, and why?", ["sam", "altman"]),
        ("nothing here is a name", []),
        ("董事會前主席格雷格·布羅克曼說", ["席格雷格", "格雷格", "席格雷", "布罗克曼", "罗克曼", "布罗克"]),
        ("나델라는 말했다", ["나델라는", "나델라", "나델"]),
        ("アルトマンは解雇された", ["アルトマン"]),
        ("قال ألتمان", ["قال", "ألتمان"]),
        ("У Альтмана", ["альтмана"]),
        ("OpenAI的競爭對手", ["openai"]),
        ("ＡＬＴＭＡＮ", ["altman"]),
    ],
)
def test_words_that_may_be_names(text: str, forms: list[str]) -> None:
    assert name_forms(text, "") == forms


def test_han_characters_write_foreign_names_in_chinese_only() -> None:
    assert name_forms("布羅克曼", "zh-Hant") == ["布罗克曼", "罗克曼", "布罗克"]
    assert name_forms("布羅克曼とトム", "ja") == ["トム"]


def test_what_is_written_with_a_name_in_one_word_is_taken_off() -> None:
    assert "سام" in bare_forms("والسام")
    assert "אלטמן" in bare_forms("לאלטמן")
    assert "альтман" in bare_forms("альтманом")
    assert bare_forms("altman") == ("altman",)


def test_sound_terms_carry_the_form_that_stands_in_the_text() -> None:
    assert sound_terms("Altman, Альтманом", "ru") == ["ltmn:altman", "ltmnm:альтманом", "ltmn:альтманом"]


# --- what a text says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("與著名的iPhone設計師喬尼·艾維(Jony Ive)討論", [("喬尼·艾維", "Jony Ive"), ("艾維", "Ive")]),
        ("前主席格雷格·布羅克曼(Greg Brockman)", [("格雷格·布羅克曼", "Greg Brockman"), ("布羅克曼", "Brockman")]),
        ("Daniel Kokotajlo(이하 DK 형)는", [("Daniel Kokotajlo", "DK")]),
        ("「量子もつれ」（quantum entanglement）とは", [("量子もつれ", "quantum entanglement")]),
        ("The World Health Organization (WHO) said", [("World Health Organization", "WHO")]),
        ("в Организации Объединённых Наций (ООН) и", [("Организации Объединённых Наций", "ООН")]),
        ("대표 안드레이 카파시(Andrej Karpathy)는", [("안드레이 카파시", "Andrej Karpathy"), ("카파시", "Karpathy")]),
        ("세계보건기구(WHO)는", [("세계보건기구", "WHO")]),
        ("قال سام ألتمان (Sam Altman) إن", [("سام ألتمان", "Sam Altman"), ("ألتمان", "Altman")]),
        ("北大西洋公約組織（NATO，簡稱北約）", [("北大西洋公約組織", "NATO"), ("北大西洋公約組織", "北約")]),
        ("ผู้ก่อตั้ง แซม อัลต์แมน (Sam Altman)", [("แซม อัลต์แมน", "Sam Altman"), ("อัลต์แมน", "Altman")]),
        ("「ジェームズ・ウェッブ宇宙望遠鏡」（JWST）", [("ジェームズ・ウェッブ宇宙望遠鏡", "JWST")]),
        ("在亞馬遜(in English: Amazon)修建", [("亞馬遜", "Amazon")]),
        ("「量子」（英語：quantum）", [("量子", "quantum")]),
        # And what says nothing of the kind.
        ("公路（in English）", []),
        ("電影《阿凡達》（冠軍）", []),
        ("「国際プロレス」（いずれも現在は消滅）と", []),
        ("社名を「楽天」（以下、甲）という", []),
        ("Der «Hacker» (eigentlich anders)", []),
        ("Samuel Harris Altman (born April 22, 1985)", []),
        ("the cat (Felis catus) is", []),
        ("Il presidente Emmanuel Macron (sinistra)", []),
        ("in 1998 (1999)", []),
        ("(Sam Altman) alone", []),
        ("unclosed (Sam Altman", []),
        ("他說自己(I)", []),
        ("", []),
    ],
)
def test_aliases_that_a_text_tells(text: str, pairs: list[tuple[str, str]]) -> None:
    found = mined_aliases(text)
    assert [(alias.name, alias.other) for alias in found] == pairs
    assert all(0 < alias.confidence <= 1 for alias in found)


def test_a_hostile_text_costs_little_and_gives_few() -> None:
    many = "".join(f"Ab{'c' * (i % 7)} (ΑΒ{i}γ) " for i in range(20_000)) + "(" * 50_000 + "阿" * 50_000
    assert len(mined_aliases(many)) <= 201
    generator = random.Random(0)
    han = "".join("".join(chr(generator.randint(0x4E00, 0x9FA0)) for _ in range(45)) + "(Zqx)\n" for _ in range(4_000))
    started = time.process_time()
    mined_aliases(han)
    assert time.process_time() - started < 10.0  # looking through all of the text for each takes minutes


# --- names known beforehand ---------------------------------------------------------------------------------


def test_no_name_of_the_table_belongs_to_two_things() -> None:
    table = common_names()
    assert len(table.by_key) > 800
    by_row: dict[str, frozenset[str]] = {}
    for key, aliases in table.by_key.items():
        by_row[key] = frozenset({key, *(name_key(alias.other) for alias in aliases)})
    for key, row in by_row.items():
        assert len(key) > 1
        assert all(by_row[other] == row for other in row), key


def test_a_question_is_looked_up_by_every_stretch_of_its_terms() -> None:
    assert keys_in("Sam Altman?") == ["sam altman", "sam", "altman"]
    assert name_key("微軟") in keys_in("微软投資了多少錢？")
    assert name_key("마이크로소프트") in keys_in("마이크로소프트는 얼마를 투자했나요?")
    assert len(keys_in("a " * 2_000)) < 20_000


def test_your_own_names_are_read(tmp_path: Path) -> None:
    path = tmp_path / "aliases.toml"
    path.write_text('names = [["Jony Ive", "喬尼·艾維", "조니 아이브"], ["ACME", "아크메"]]', "utf-8")
    own = read_aliases(path)
    assert {alias.other for alias in own.aliases([name_key("JONY IVE")])} == {"喬尼·艾維", "조니 아이브"}
    assert own.aliases([name_key("喬尼·艾維")])[0].confidence == 1.0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("names = [", "not valid TOML"),
        ('alias = [["a", "b"]]', "has the keys alias"),
        ("", r"has the keys \(none\)"),
        ('names = "Ive"', "has the keys names"),
        ('names = [["Jony Ive", "조니 아이브"], ["alone"]]', r"row 2 is \['alone'\]"),
        ('names = [["Ive", "IVE"]]', "row 1"),
        ('names = [["Ive", 3]]', "row 1"),
        ('names = [["Ive", "…"]]', "row 1"),
    ],
)
def test_a_file_of_names_that_is_none_is_said_to_be_so(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "aliases.toml"
    path.write_text(content, "utf-8")
    with pytest.raises(AliasesUnusable, match=says):
        read_aliases(path)


def test_a_file_of_names_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(AliasesUnusable, match="cannot be read"):
        read_aliases(tmp_path / "none.toml")


# --- what else the names of a question are called -----------------------------------------------------------


class Corpus:
    """Knows the forms and the aliases that it is given."""

    def __init__(self, forms: Sequence[str] = (), aliases: Sequence[tuple[str, str, float]] = ()) -> None:
        self.forms = forms
        self.known = [
            Alias(*pair) for name, other, sure in aliases for pair in ((name, other, sure), (other, name, sure))
        ]

    def phonetic(self, keys: Sequence[str]) -> dict[str, int]:
        return {form: 1 for form in self.forms if sound_of(form) in keys}

    def aliases(self, keys: Sequence[str]) -> list[Alias]:
        return [alias for alias in self.known if name_key(alias.name) in keys]


def found(corpus: Corpus, question: str, language: str = "en", yours: KnownNames = NO_NAMES) -> dict[str, Origin]:
    return {form.form: form.origin for form in other_forms(corpus, question, language, yours)}


def test_a_name_is_found_by_its_sound_in_other_scripts() -> None:
    corpus = Corpus(["阿尔特曼", "알트만", "アルトマン", "ألتمان", "巴黎", "서울", "leike"])
    assert found(corpus, "Why was Altman fired?") == dict.fromkeys(
        ["阿尔特曼", "알트만", "アルトマン", "ألتمان"], Origin.SOUND
    )
    assert found(corpus, "알트만은 왜 해고되었나요?", "ko") == dict.fromkeys(
        ["阿尔特曼", "アルトマン", "ألتمان"], Origin.SOUND
    )
    assert found(corpus, "얀 라이케는 누구인가요?", "ko") == {"leike": Origin.SOUND}
    assert found(corpus, "who is leike?") == {}  # what the question says itself
    assert found(corpus, "what about altman?") == dict.fromkeys(
        ["阿尔特曼", "알트만", "アルトマン", "ألتمان"], Origin.SOUND
    )


def test_confidence_falls_with_likeness_and_few_forms_are_kept() -> None:
    forms = other_forms(Corpus(["阿尔特曼", "옐트민", "olteman", "ultiman", "altumana", "eltman"]), "Altman", "en")
    assert len(forms) == 4
    assert [form.confidence for form in forms] == sorted((form.confidence for form in forms), reverse=True)
    first = likeness("altman", [forms[0].form])[0]
    assert forms[0].confidence == pytest.approx(min(1.0, (first - 0.72) / 0.23), abs=1e-3)


def test_a_name_is_found_by_what_an_article_says_and_through_it() -> None:
    corpus = Corpus(aliases=[("喬尼·艾維", "Jony Ive", 0.8), ("조니 아이브", "Jony Ive", 0.9)])
    forms = other_forms(corpus, "조니 아이브는 누구와 논의했나요?", "ko")
    assert [(form.name, form.form, round(form.confidence, 2)) for form in forms] == [
        ("조니 아이브", "Jony Ive", 0.9),
        ("조니 아이브", "喬尼·艾維", 0.72),
    ]


def test_your_own_names_go_before_what_others_say() -> None:
    yours = KnownNames.of([["Hinton", "辛頓"]], 1.0)
    forms = other_forms(Corpus(aliases=[("Hinton", "辛頓", 0.5)]), "What did Hinton say?", "en", yours)
    assert [(form.form, form.confidence, form.origin) for form in forms] == [("辛頓", 1.0, Origin.USER)]


def test_a_common_name_is_found_in_the_table() -> None:
    names = found(Corpus(), "How much has Microsoft put into it?")
    assert {"微软", "마이크로소프트", "マイクロソフト"} <= names.keys()
    assert set(names.values()) == {Origin.TABLE}


@pytest.mark.parametrize("question", ["Who is it?", "chi parla ai bambini?", "Il y en a un?", "ms per frame?"])
def test_an_acronym_is_none_in_small_letters(question: str) -> None:
    assert found(Corpus(), question) == {}
    assert "World Health Organization" in found(Corpus(), "What does the WHO say?")


@pytest.mark.parametrize(
    ("name", "text", "stands"),
    [
        ("阿尔特曼", "阿爾特曼被解僱", "阿爾特曼"),
        ("altman", "Altman's", "Altman"),
        ("altman", "Altmans", ""),
        ("WHO", "who says", ""),
        ("WHO", "the WHO says", "WHO"),
        ("러시아", "러시아는", "러시아"),
        ("러시아", "벨러시아는", ""),
        ("ألتمان", "قال ألتمان إن", "ألتمان"),
        ("C++ (x", "a C++ (x y", "C++ (x"),
    ],
)
def test_a_name_stands_in_a_text_by_itself(name: str, text: str, stands: str) -> None:
    assert written(name, text) == stands


def test_acronyms() -> None:
    assert [is_acronym(name) for name in ("WHO", "U.S.", "Who", "OPENAI", "中", "")] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]


# --- stored, searched, deleted ------------------------------------------------------------------------------

CHINESE = "微軟首席執行官對外表示，設計師喬尼·艾維(Jony Ive)與阿爾特曼討論了硬件。"
KOREAN = "조니 아이브(Jony Ive)는 새로운 기기를 설계하고 있다. 올트먼도 함께했다."
STRANGER = "The lighthouse on the island was opened in 1861 and still shines every night."


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    folder = tmp_path / "articles"
    folder.mkdir()
    (folder / "zh.txt").write_text(CHINESE, "utf-8")
    (folder / "ko.txt").write_text(KOREAN, "utf-8")
    for i in range(12):
        (folder / f"en{i}.txt").write_text(f"{STRANGER} It was the {i}th.", "utf-8")
    return folder


def test_names_are_stored_with_their_document_and_go_with_it(articles: Path, tmp_path: Path, encoder: Encoder) -> None:
    ingest(tmp_path / "index", [str(articles)], encoder)
    backend = EmbeddedBackend(tmp_path / "index")
    with backend.snapshot() as held:
        assert held.phonetic(["ltmn"])["阿尔特曼"] == 1
        assert [(alias.name, alias.other) for alias in held.aliases([name_key("Jony Ive")])] == [
            ("Jony Ive", "조니 아이브"),
            ("Jony Ive", "喬尼·艾維"),
        ]
        (articles / "zh.txt").unlink()
        ingest(tmp_path / "index", [str(articles)], encoder)
        assert held.phonetic(["ltmn"])["阿尔特曼"] == 1  # a snapshot is one state
    for reader in (backend, EmbeddedBackend(tmp_path / "index")):
        with reader.snapshot() as snapshot:
            assert "阿尔特曼" not in snapshot.phonetic(["ltmn"])
            assert [alias.other for alias in snapshot.aliases([name_key("Jony Ive")])] == ["조니 아이브"]
            assert snapshot.aliases([name_key("喬尼·艾維")]) == []
            assert snapshot.phonetic([]) == {}
            assert snapshot.aliases([]) == []


def test_a_changed_document_bears_its_new_names_only(articles: Path, tmp_path: Path, encoder: Encoder) -> None:
    ingest(tmp_path / "index", [str(articles)], encoder)
    (articles / "zh.txt").write_text(CHINESE.replace("喬尼·艾維(Jony Ive)", "薩提亞·納德拉(Satya Nadella)"), "utf-8")
    ingest(tmp_path / "index", [str(articles)], encoder)
    with EmbeddedBackend(tmp_path / "index").snapshot() as snapshot:
        assert snapshot.aliases([name_key("喬尼·艾維")]) == []
        assert [alias.other for alias in snapshot.aliases([name_key("Nadella")])] == ["納德拉"]


def test_a_question_about_one_form_finds_the_others(articles: Path, tmp_path: Path, encoder: Encoder) -> None:
    ingest(tmp_path / "index", [str(articles)], encoder)
    with EmbeddedBackend(tmp_path / "index").snapshot() as snapshot:
        passages = search(snapshot, encoder, "조니 아이브는 누구인가요?").passages
        named = {item.passage.source.rpartition("/")[2]: item for item in passages if item.names > 0}
        # The Korean article has the name as asked, and gets nothing more for having it in Latin letters too.
        assert named.keys() == {"zh.txt"}
        told = {form.form for form in named["zh.txt"].forms if form.origin is Origin.TEXT}
        assert {"Jony Ive", "喬尼·艾維"} <= told
        by_sound = search(snapshot, encoder, "Hvem er Altman?").passages
        (first, *_) = by_sound
        assert first.passage.source.endswith("zh.txt")
        assert (first.forms[0].name, first.forms[0].form, first.forms[0].origin) == ("Altman", "阿尔特曼", Origin.SOUND)
        assert 0 < first.names <= 1


def test_an_index_from_before_names_is_searched_and_gets_them_by_refresh(
    articles: Path, tmp_path: Path, encoder: Encoder
) -> None:
    folder = tmp_path / "index"
    ingest(folder, [str(articles)], encoder)
    connection = sqlite3.connect(folder / STORE)
    connection.executescript("DROP TABLE names; DROP TABLE aliases; DROP TABLE words; PRAGMA user_version = 2;")
    connection.execute("UPDATE documents SET settings_key = 'before'")
    connection.commit()
    connection.close()
    with EmbeddedBackend(folder).snapshot() as snapshot:
        assert (snapshot.phonetic(["ltmn"]), snapshot.aliases([name_key("Jony Ive")])) == ({}, [])
        assert search(snapshot, encoder, "Jony Ive").passages
    refresh(folder, encoder, IndexSettings())
    with EmbeddedBackend(folder).snapshot() as snapshot:
        assert "阿尔特曼" in snapshot.phonetic(["ltmn"])
        assert len(snapshot.aliases([name_key("Jony Ive")])) == 2
    assert examine(folder) == []


def test_names_that_were_lost_are_found_to_be_and_mended(articles: Path, tmp_path: Path) -> None:
    encoder, folder = HashEncoder(), tmp_path / "index"
    ingest(folder, [str(articles)], encoder)
    with Writer(folder, encoder) as writer, writer.transaction():
        writer.connection.execute("DELETE FROM names WHERE rowid <= 2")
    assert [finding.what for finding in examine(folder)] == ["the index of names lacks 2 documents"]
    from index.store.sqlite import repair

    with Writer(folder, encoder) as writer:
        repair(writer)
    assert examine(folder) == []
    with EmbeddedBackend(folder).snapshot() as snapshot:
        assert "阿尔特曼" in snapshot.phonetic(["ltmn"])
        assert json.dumps([alias.other for alias in snapshot.aliases([name_key("Ive")])]) != "[]"


# --- what a passage holds of them ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language", "names"),
    [
        ("Paris hosted the games with London", "en", ["London"]),
        ("OPENAI fired him", "en", ["OPENAI"]),
        ("When did GPT-4 and Webb come?", "en", ["GPT-4", "Webb"]),
        ("アルトマンとトムはどこですか", "ja", ["アルトマン", "トム"]),
        ("Кто уволил Альтмана?", "ru", ["Альтмана"]),
        ("누가 OpenAI를 세웠나요?", "ko", ["OpenAI"]),
        ("what is it?", "en", []),
        ("Nhật Bản và thành phố Hồ Chí Minh", "vi", ["Hồ Chí Minh"]),  # written in syllables; the first word is none
        ("Ông Hồ Chí Minh, Nguyễn Du", "vi", ["Nguyễn Du"]),
        ("Mr Ban Ki Moon", "en", ["Ban", "Ki", "Moon"]),
    ],
)
def test_names_that_a_script_shows(text: str, language: str, names: list[str]) -> None:
    assert shown_names(text, language) == names


def test_the_names_and_numbers_of_a_question_are_what_a_passage_may_lack() -> None:
    question = "How many people did Sam Altman and Microsoft employ in 2,019, and in 2020?"
    forms = other_forms(Corpus(["阿尔特曼"]), question, "en")
    asked = mentions(question, "en", forms)
    assert any({"altman", name_key("阿尔特曼")} <= phrases for phrases in asked)
    assert any({"microsoft", name_key("微軟")} <= phrases for phrases in asked)
    assert frozenset({"2019"}) in asked
    assert frozenset({"2020"}) in asked

    def share(text: str, title: str = "") -> float:
        return lacking(asked, stored(text, title))

    assert share("Nothing of it.") == 1.0
    # Held: altman, microsoft and 2019 of sam, altman, microsoft, 2019 and 2020.
    assert len(asked) == 5
    held = share("阿爾特曼在二〇一九年加入微軟。")
    assert held == pytest.approx(1 - 3 / len(asked))
    assert share("In 2020 it grew.", "Sam Altman") == pytest.approx(1 - 3 / len(asked))
    assert lacking([], stored("anything")) == 0.0


def stored(text: str, title: str = "") -> StoredPassage:
    return StoredPassage(1, "d", "s", title, "", "", "", "en", "", 0, len(text), text, ((0, len(text)),))
