"""Names across scripts: phonetic keys, glosses in a text, tables, and what a search makes of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from index.encoders.base import Encoder
from index.errors import AliasesUnusable
from index.ingest import ingest
from index.names import (
    NO_NAMES,
    Alias,
    KnownNames,
    Origin,
    bare_forms,
    common_names,
    likeness,
    name_forms,
    name_key,
    other_forms,
    phonetic_key,
    phonetic_terms,
    read_aliases,
)  # fmt: skip
from index.names.glosses import glosses
from index.names.phonetic import near_keys
from index.search import search
from index.store.sqlite import EmbeddedBackend
from index.text.names import is_acronym, shown_names, written
from tests.conftest import linear_time

# --- phonetic keys -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("ltmn", "Altman 알트만 阿爾特曼 阿尔特曼 アルトマン Альтман ألتمان אלטמן Άλτμαν ऑल्टमैन Ալտման".split()),
        ("mlt", ["Murati", "무라티", "穆拉提", "Мурати", "ムラティ"]),
        ("ntl", ["Nadella", "나델라", "納德拉", "Наделла"]),
        ("tl", ["Dario", "다리오", "達里奧", "Дарио", "ডারিও", "डारियो"]),
        ("plkmn", ["Brockman", "브록만", "布羅克曼", "Брокман"]),
        ("smt", ["Schmidt", "Шмидт"]),
        ("plp", ["Philip", "Filip"]),
        ("", ["", "42", "«»"]),
    ],
)  # fmt: skip
def test_a_name_has_one_key_in_every_script(key: str, names: list[str]) -> None:
    assert {name: phonetic_key(name) for name in names} == dict.fromkeys(names, key)


def test_near_keys_differ_in_one_class() -> None:
    assert near_keys("lt") == {"lt"}
    around = near_keys("ltm")
    # Left out: tm, lm, lt; put in: any class at four places; changed: l to n, t to s, m to n.
    assert {"ltm", "tm", "lm", "lt", "pltm", "lptm", "ltpm", "ltmp", "ntm", "lsm", "ltn"} <= around
    assert around.isdisjoint({"lltm", "ptm", "lpm", "ltp"})


def test_likeness_by_hand() -> None:
    # altman and alteman (阿尔特曼): an e more, 0.12; weights a.25 l1 t1 m1 a.25 n1 = 4.5, and 4.75.
    # nadela (納德拉) and nadela (Nadella): a double letter is one sound. mulati (穆拉提), murati: l for r, 0.05; 3.75.
    pairs = [("Altman", "阿尔特曼"), ("納德拉", "Nadella"), ("Murati", "穆拉提"), ("Altman", "ALTMAN")]
    assert likeness(pairs) == pytest.approx([1 - 0.12 / 4.625, 1.0, 1 - 0.05 / 3.75, 1.0], abs=1e-12)
    assert likeness([("Altman", "Seoul")])[0] < 0.3
    assert likeness([]).shape == (0,)


# --- forms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("Where did Sam Altman go, and why?", ["sam", "altman"]),
        ("nothing here is a name", []),
        ("董事會前主席格雷格·布羅克曼說", ["席格雷格", "格雷格", "席格雷", "布罗克曼", "罗克曼", "布罗克"]),
        ("나델라는 말했다", ["나델라는", "나델라", "나델"]),
        ("OpenAI的競爭對手", ["openai"]),
        ("ＡＬＴＭＡＮ", ["altman"]),
    ],
)
def test_words_that_may_be_names(text: str, forms: list[str]) -> None:
    assert name_forms(text, "") == forms


def test_a_form_is_taken_without_what_its_language_joins_to_it() -> None:
    assert name_forms("布羅克曼とトム", "ja") == ["トム"]  # Han characters write foreign names in Chinese only
    assert "سام" in bare_forms("والسام") and "אלטמן" in bare_forms("לאלטמן")
    assert bare_forms("altman") == ("altman",)
    assert phonetic_terms("Altman, Альтманом", "ru") == ["ltmn:altman", "ltmnm:альтманом", "ltmn:альтманом"]


# --- what a text says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("與著名的iPhone設計師喬尼·艾維(Jony Ive)討論", [("喬尼·艾維", "Jony Ive"), ("艾維", "Ive")]),
        ("前主席格雷格·布羅克曼(Greg Brockman)", [("格雷格·布羅克曼", "Greg Brockman"), ("布羅克曼", "Brockman")]),
        ("Daniel Kokotajlo(이하 DK 형)는", [("Daniel Kokotajlo", "DK")]),
        ("「量子もつれ」（quantum entanglement）とは", [("量子もつれ", "quantum entanglement")]),
        ("в Организации Объединённых Наций (ООН) и", [("Организации Объединённых Наций", "ООН")]),
        ("대표 안드레이 카파시(Andrej Karpathy)는", [("안드레이 카파시", "Andrej Karpathy"), ("카파시", "Karpathy")]),
        ("قال سام ألتمان (Sam Altman) إن", [("سام ألتمان", "Sam Altman"), ("ألتمان", "Altman")]),
        ("北大西洋公約組織（NATO，簡稱北約）", [("北大西洋公約組織", "NATO"), ("北大西洋公約組織", "北約")]),
        ("ผู้ก่อตั้ง แซม อัลต์แมน (Sam Altman)", [("แซม อัลต์แมน", "Sam Altman"), ("อัลต์แมน", "Altman")]),
        ("「ジェームズ・ウェッブ宇宙望遠鏡」（JWST）", [("ジェームズ・ウェッブ宇宙望遠鏡", "JWST")]),
        ("在亞馬遜(in English: Amazon)修建", [("亞馬遜", "Amazon")]),
        # And what says nothing of the kind.
        ("公路（in English）", []),
        ("「国際プロレス」（いずれも現在は消滅）と", []),
        ("Samuel Harris Altman (born April 22, 1985)", []),
        ("the cat (Felis catus) is", []),
        ("Il presidente Emmanuel Macron (sinistra)", []),
        ("(Sam Altman) alone", []),
        ("unclosed (Sam Altman", []),
        ("", []),
    ],
)
def test_aliases_that_a_text_tells(text: str, pairs: list[tuple[str, str]]) -> None:
    found = glosses(text)
    assert [(alias.name, alias.other) for alias in found] == pairs
    assert all(0 < alias.confidence <= 1 for alias in found)


def test_a_hostile_text_costs_little_and_gives_few() -> None:
    many = "".join(f"Ab{'c' * (i % 7)} (ΑΒ{i}γ) " for i in range(20_000)) + "(" * 50_000 + "阿" * 50_000
    assert len(glosses(many)) <= 201
    generator = random.Random(0)
    han = "".join("".join(chr(generator.randint(0x4E00, 0x9FA0)) for _ in range(45)) + "(Zqx)\n" for _ in range(4_000))
    with linear_time():  # not so where all of the text is looked through for each
        glosses(han)


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


def test_your_own_names_are_read(tmp_path: Path) -> None:
    path = tmp_path / "aliases.toml"
    path.write_text('names = [["Jony Ive", "喬尼·艾維", "조니 아이브"], ["ACME", "아크메"]]', "utf-8")
    own = read_aliases(path)
    assert {alias.other for alias in own.aliases([name_key("JONY IVE")])} == {"喬尼·艾維", "조니 아이브"}
    assert own.aliases([name_key("喬尼·艾維")])[0].confidence == 1.0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("names = [", "cannot be read as TOML"),
        ('alias = [["a", "b"]]', "has the keys alias"),
        ("", r"has the keys \(none\)"),
        ('names = "Ive"', "has the keys names"),
        ('names = [["Jony Ive", "조니 아이브"], ["alone"]]', r"row 2 is \['alone'\]"),
        ('names = [["Ive", "IVE"]]', "row 1"),
        ('names = [["Ive", "…"]]', "row 1"),
    ],
)
def test_a_file_of_names_that_is_none_is_said_to_be_so(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "aliases.toml"
    path.write_text(content, "utf-8")
    with pytest.raises(AliasesUnusable, match=says):
        read_aliases(path)
    with pytest.raises(AliasesUnusable, match="cannot be read"):
        read_aliases(tmp_path / "none.toml")


# --- what else the names of a question are called -----------------------------------------------------------


class Corpus:
    """A corpus with the forms and the aliases that it is given."""

    def __init__(self, forms: Sequence[str] = (), aliases: Sequence[tuple[str, str, float]] = ()) -> None:
        self.forms = forms
        self.known = [
            Alias(*pair) for name, other, sure in aliases for pair in ((name, other, sure), (other, name, sure))
        ]

    def phonetic(self, keys: Sequence[str]) -> dict[str, int]:
        return {
            form: 1 for form in self.forms if not {phonetic_key(bare) for bare in bare_forms(form)}.isdisjoint(keys)
        }

    def aliases(self, keys: Sequence[str]) -> list[Alias]:
        return [alias for alias in self.known if name_key(alias.name) in keys]


def found(corpus: Corpus, question: str, language: str = "en", own: KnownNames = NO_NAMES) -> dict[str, Origin]:
    return {form.form: form.origin for form in other_forms(corpus, question, language, own)}


@pytest.mark.parametrize(
    ("question", "language", "forms"),
    [
        ("Why was Altman fired?", "en", ["阿尔特曼", "알트만"]),
        ("what about altman?", "en", ["阿尔特曼", "알트만"]),  # without capitals any word may be a name
        ("알트만은 왜 해고되었나요?", "ko", ["阿尔特曼", "altman"]),
        ("얀 라이케는 누구인가요?", "ko", ["leike"]),  # a short key, but the form is written with a capital
        ("كم عمر ألتمان؟", "ar", ["altman", "알트만", "阿尔特曼"]),
        ("Who is Murati?", "en", ["무라티", "ムラティ"]),
        ("who is leike?", "en", []),  # the question has this form itself
        ("Who is Brockmann?", "en", []),  # languages of one script spell a name alike
    ],
)
def test_a_name_is_found_by_its_phonetic_key_in_other_scripts(question: str, language: str, forms: list[str]) -> None:
    corpus = Corpus(["阿尔特曼", "알트만", "altman", "leike", "brockman", "무라티", "ムラティ", "巴黎", "서울"])
    matches = found(corpus, question, language)
    assert set(forms) == set(matches)
    assert set(matches.values()) <= {Origin.PHONETIC}


@pytest.mark.parametrize(
    ("question", "language", "form"),
    [
        ("OpenAI", "en", "अपनी"),  # Hindi: one's own
        ("what does the study say", "en", "يشتد"),  # Arabic: becomes stronger
        ("how many months", "en", "मिनट"),
        ("달의 크기는?", "ko", "达里"),  # of the moon
        ("When was it?", "en", "웬"),  # a function word
        ("Where is Bali?", "en", "발에"),  # Korean: at the foot
        ("أين مرصد جبل الرميلة؟", "ar", "जबल"),  # three classes, and neither script shows a name
    ],
)
def test_a_common_word_is_no_phonetic_match(question: str, language: str, form: str) -> None:
    assert found(Corpus([form]), question, language) == {}


def test_a_phonetic_match_is_the_surer_the_more_alike_and_few_are_kept() -> None:
    forms = other_forms(
        Corpus(["阿尔特曼", "옐트민", "알트만", "ольтман", "альтман", "ألتمان", "алтман"]), "Where is Altman?", "en"
    )
    assert len(forms) == 4
    assert [form.confidence for form in forms] == sorted((form.confidence for form in forms), reverse=True)
    # A key of four classes needs a likeness of 0.85; there the confidence is 0.5, and 1 at 1.
    (one,) = other_forms(Corpus(["阿尔特曼"]), "Where is Altman?", "en")
    assert one.confidence == pytest.approx(0.5 + 0.5 * ((1 - 0.12 / 4.625) - 0.85) / 0.15, abs=1e-3)


def test_a_name_is_found_by_a_gloss_and_through_it() -> None:
    corpus = Corpus(aliases=[("喬尼·艾維", "Jony Ive", 0.8), ("조니 아이브", "Jony Ive", 0.9)])
    forms = other_forms(corpus, "조니 아이브는 누구와 논의했나요?", "ko")
    assert [(form.name, form.form, round(form.confidence, 2)) for form in forms] == [
        ("조니 아이브", "Jony Ive", 0.9),
        ("조니 아이브", "喬尼·艾維", 0.72),
    ]


def test_the_tables_give_aliases_and_the_users_own_go_first() -> None:
    own = KnownNames.of([["Hinton", "辛頓"]], 1.0)
    forms = other_forms(Corpus(aliases=[("Hinton", "辛頓", 0.5)]), "What did Hinton say?", "en", own)
    assert [(form.form, form.confidence, form.origin) for form in forms] == [("辛頓", 1.0, Origin.USER)]
    common = found(Corpus(), "How much has Microsoft put into it?")
    assert {"微软", "마이크로소프트", "マイクロソフト"} <= common.keys()
    assert set(common.values()) == {Origin.TABLE}


@pytest.mark.parametrize("question", ["Who is it?", "chi parla ai bambini?", "Il y en a un?", "ms per frame?"])
def test_an_acronym_is_none_in_small_letters(question: str) -> None:
    assert found(Corpus(), question) == {}
    assert found(Corpus(), "a " * 1_000) == {}  # and soon done
    assert is_acronym("U.S.") and not is_acronym("OPENAI")
    assert "World Health Organization" in found(Corpus(), "What does the WHO say?")


@pytest.mark.parametrize(
    ("name", "text", "stands"),
    [
        ("阿尔特曼", "阿爾特曼被解僱", "阿爾特曼"),
        ("altman", "Altman's", "Altman"),
        ("altman", "Altmans", ""),
        ("WHO", "who says", ""),
        ("러시아", "러시아는", "러시아"),
        ("러시아", "벨러시아는", ""),
        ("C++ (x", "a C++ (x y", "C++ (x"),
    ],
)
def test_a_name_stands_in_a_text_by_itself(name: str, text: str, stands: str) -> None:
    assert written(name, text) == stands


# --- searched -----------------------------------------------------------------------------------------------

CHINESE = "微軟首席執行官對外表示，設計師喬尼·艾維(Jony Ive)與阿爾特曼討論了硬件。"
KOREAN = "조니 아이브(Jony Ive)는 새로운 기기를 설계하고 있다. 올트먼도 함께했다."
STRANGER = "The lighthouse on the island was opened in 1861 and still shines every night."


@contextmanager
def indexed(folder: Path, texts: dict[str, str], encoder: Encoder) -> Iterator[EmbeddedBackend]:
    for name, text in texts.items():
        (folder / f"{name}.txt").write_text(text, "utf-8")
    ingest(folder / "index", [str(folder / f"{name}.txt") for name in texts], encoder)
    with closing(EmbeddedBackend(folder / "index")) as backend:
        yield backend


def test_a_question_about_one_form_finds_the_others(tmp_path: Path, encoder: Encoder) -> None:
    texts = {"zh": CHINESE, "ko": KOREAN} | {f"en{i}": f"{STRANGER} It was the {i}th." for i in range(12)}
    with indexed(tmp_path, texts, encoder) as backend, backend.snapshot() as snapshot:
        passages = search(snapshot, encoder, "조니 아이브는 누구인가요?").passages
        named = {item.passage.source.rpartition("/")[2]: item.evidence for item in passages if item.evidence.names}
        # The Korean article has the name as the question writes it, and gets nothing more for the Latin letters.
        assert named.keys() == {"zh.txt"}
        assert {"Jony Ive", "喬尼·艾維"} <= {form.form for form in named["zh.txt"].forms}
        (first, *_) = search(snapshot, encoder, "Hvem er Altman?").passages
        assert first.passage.source.endswith("zh.txt")
        # A phonetic match counts, and is not shown.
        assert (first.evidence.names, first.evidence.forms) == (0.0, ())
        assert 0 < first.evidence.phonetic <= 1


def test_no_word_that_sounds_alike_comes_before_the_questions_own(tmp_path: Path, encoder: Encoder) -> None:
    texts = {
        "one": "OpenAI is a company in San Francisco. It makes language models.",
        "two": "The board of OpenAI dismissed its head. A study called it a mistake.",
        "hi": "वह अपनी किताब पढ़ रहा है। ओपनएआई के बारे में कुछ नहीं।",
        "ar": "المطر يشتد في المساء. الناس في بيوتهم.",
    }
    with indexed(tmp_path, texts, encoder) as backend, backend.snapshot() as snapshot:
        for question in ("OpenAI", "What is OpenAI?", "openai", "study of OpenAI"):
            found = search(snapshot, encoder, question).passages
            assert {item.passage.source.rpartition("/")[2] for item in found[:2]} == {"one.txt", "two.txt"}


# --- names as a text writes them ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "language", "names"),
    [
        ("Paris hosted the games with London", "en", ["London"]),
        ("When did GPT-4 and Webb come?", "en", ["GPT-4", "Webb"]),
        ("누가 OpenAI를 세웠나요?", "ko", ["OpenAI"]),
        ("what is it?", "en", []),
        ("Nhật Bản và thành phố Hồ Chí Minh", "vi", ["Hồ Chí Minh"]),  # written in syllables; the first word is none
        ("Ông Hồ Chí Minh, Nguyễn Du", "vi", ["Nguyễn Du"]),
        ("Mr Ban Ki Moon", "en", ["Ban", "Ki", "Moon"]),
    ],
)
def test_names_that_a_script_shows(text: str, language: str, names: list[str]) -> None:
    assert shown_names(text, language) == names
