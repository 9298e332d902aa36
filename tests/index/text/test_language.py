"""The language of short questions, the script of mixed ones, and Traditional against Simplified Chinese."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.text.hanzi import fold_traditional, hant_or_hans, telling_characters
from index.text.language import (
    detect_language,
    detect_with_probability,
    dominant_script,
    function_words,
    question_language,
    reads_as,
    same_language,
    script_of,
)

QUESTIONS = {
    "ar": ["من هو رئيس البلدية الجديد؟", "متى أغلق الجسر القديم؟", "كم عدد سكان المدينة؟"],
    "bg": ["Кой построи стария мост?", "Къде се намира новият музей?", "Защо беше затворено пристанището?"],
    "bn": ["নতুন সেতুটি কবে খোলা হবে?", "শহরের মেয়র কে?", "কেন বন্দরটি বন্ধ ছিল?"],
    "ca": ["Qui va construir el pont vell?", "Quan obrirà la biblioteca nova?", "Per què van tancar el port?"],
    "cs": ["Kdo postavil starý most?", "Kdy se otevře nová knihovna?", "Proč byl přístav uzavřen?"],
    "da": ["Hvem byggede den gamle bro?", "Hvornår åbner det nye bibliotek?", "Hvorfor blev havnen lukket?"],
    "de": ["Wer hat die alte Brücke gebaut?", "Wann öffnet die neue Bücherei?", "Warum wurde der Hafen geschlossen?"],
    "el": ["Ποιος έχτισε την παλιά γέφυρα;", "Πότε ανοίγει η νέα βιβλιοθήκη;", "Γιατί έκλεισε το λιμάνι;"],
    "en": ["Who built the old bridge?", "When does the new library open?", "Why was the harbour closed?"],
    "es": ["¿Quién construyó el puente viejo?", "¿Cuándo abre la nueva biblioteca?", "¿Por qué cerraron el puerto?"],
    "fa": ["چه کسی پل قدیمی را ساخت؟", "کتابخانه جدید چه زمانی باز می‌شود؟", "چرا بندر بسته شد؟"],
    "fi": ["Kuka rakensi vanhan sillan?", "Milloin uusi kirjasto avataan?", "Miksi satama suljettiin?"],
    "fr": [
        "Qui a construit le vieux pont ?",
        "Quand ouvre la nouvelle bibliothèque ?",
        "Pourquoi le port a-t-il été fermé ?",
    ],
    "he": ["מי בנה את הגשר הישן?", "מתי תיפתח הספרייה החדשה?", "מדוע נסגר הנמל?"],
    "hi": ["पुराना पुल किसने बनाया?", "नया पुस्तकालय कब खुलेगा?", "बंदरगाह क्यों बंद था?"],
    "hu": ["Ki építette a régi hidat?", "Mikor nyílik meg az új könyvtár?", "Miért zárták be a kikötőt?"],
    "id": ["Siapa yang membangun jembatan lama?", "Kapan perpustakaan baru dibuka?", "Mengapa pelabuhan itu ditutup?"],
    "it": ["Chi ha costruito il vecchio ponte?", "Quando apre la nuova biblioteca?", "Perché il porto è stato chiuso?"],
    "ja": ["古い橋を建てたのは誰ですか？", "新しい図書館はいつ開きますか？", "港はなぜ閉鎖されたのか"],
    "km": ["តើអ្នកណាសាងសង់ស្ពានចាស់?", "បណ្ណាល័យថ្មីបើកនៅពេលណា?", "ហេតុអ្វីកំពង់ផែត្រូវបានបិទ?"],
    "ko": ["옛 다리는 누가 지었나요?", "새 도서관은 언제 문을 여나요?", "항구는 왜 닫혔습니까?"],
    "nb": ["Hvem bygde den gamle brua?", "Når åpner det nye biblioteket?", "Hvorfor ble havna stengt?"],
    "nl": [
        "Wie heeft de oude brug gebouwd?",
        "Wanneer gaat de nieuwe bibliotheek open?",
        "Waarom werd de haven gesloten?",
    ],
    "pl": ["Kto zbudował stary most?", "Kiedy otworzy się nowa biblioteka?", "Dlaczego port został zamknięty?"],
    "pt": ["Quem construiu a ponte velha?", "Quando abre a nova biblioteca?", "Por que o porto foi fechado?"],
    "ro": ["Cine a construit podul vechi?", "Când se deschide noua bibliotecă?", "De ce a fost închis portul?"],
    "ru": ["Кто построил старый мост?", "Когда откроется новая библиотека?", "Почему закрыли порт?"],
    "sv": ["Vem byggde den gamla bron?", "När öppnar det nya biblioteket?", "Varför stängdes hamnen?"],
    "sw": ["Nani alijenga daraja la zamani?", "Maktaba mpya itafunguliwa lini?", "Kwa nini bandari ilifungwa?"],
    "ta": ["பழைய பாலத்தை யார் கட்டினார்கள்?", "புதிய நூலகம் எப்போது திறக்கும்?", "துறைமுகம் ஏன் மூடப்பட்டது?"],
    "th": ["ใครสร้างสะพานเก่า", "ห้องสมุดใหม่จะเปิดเมื่อไร", "ทำไมท่าเรือจึงปิด"],
    "tr": ["Eski köprüyü kim inşa etti?", "Yeni kütüphane ne zaman açılıyor?", "Liman neden kapatıldı?"],
    "uk": ["Хто збудував старий міст?", "Коли відкриється нова бібліотека?", "Чому закрили порт?"],
    "ur": ["پرانا پل کس نے بنایا؟", "نئی لائبریری کب کھلے گی؟", "بندرگاہ کیوں بند کی گئی؟"],
    "vi": ["Ai đã xây cây cầu cũ?", "Khi nào thư viện mới mở cửa?", "Tại sao cảng bị đóng cửa?"],
    "zh-Hans": ["旧桥是谁建的？", "新图书馆什么时候开门？", "港口为什么关闭？"],
    "zh-Hant": ["舊橋是誰建的？", "新圖書館什麼時候開門？", "港口為什麼關閉？"],
}
# Four words of a language that the model knows less than its neighbour (docs/decisions/0005); to be had right one day.
MISSED = {
    "Кой построи стария мост?",
    "Quan obrirà la biblioteca nova?",
    "Cine a construit podul vechi?",
    "Nani alijenga daraja la zamani?",
}
TABLE = [
    pytest.param(
        question,
        tag,
        id=f"{tag}-{i}",
        marks=pytest.mark.xfail(reason="too short for lid.176", strict=True) if question in MISSED else (),
    )
    for tag, rows in QUESTIONS.items()
    for i, question in enumerate(rows)
]


@pytest.mark.parametrize(("question", "language"), TABLE)
def test_the_language_of_a_short_question_is_found_in_any_case_and_normal_form(question: str, language: str) -> None:
    assert detect_language(question) == language
    assert detect_language(unicodedata.normalize("NFD", question)) == language
    assert detect_language(question.upper()) == language


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("OpenAI의 CEO는 누구인가요?", "ko"),
        ("Sam Altman은 왜 OpenAI를 떠났나요?", "ko"),
        ("OpenAIのCEOは誰ですか？", "ja"),
        ("Sam AltmanはなぜOpenAIを去ったのか", "ja"),
        ("Кто сейчас CEO OpenAI?", "ru"),
        ("Почему Sam Altman ушёл из OpenAI?", "ru"),
        ("من هو CEO شركة OpenAI؟", "ar"),
        ("لماذا غادر Sam Altman شركة OpenAI؟", "ar"),
        ("OpenAI 的 CEO 是誰？", "zh-Hant"),
        ("Sam Altman 為什麼離開 OpenAI？", "zh-Hant"),
        ("谁是 OpenAI 的 CEO？", "zh-Hans"),
        ("Sam Altman 为什么离开 OpenAI 的董事会？", "zh-Hans"),
        ("Ποιος είναι ο CEO της OpenAI;", "el"),
        ("ใครคือ CEO ของ OpenAI", "th"),
        ("מי המנכ\"ל של OpenAI?", "he"),
        ("OpenAI के CEO कौन हैं?", "hi"),
        ("Who is the author 村上春樹 and when was the writer born?", "en"),
        ("What does 안녕하세요 mean in English and when is it used by people?", "en"),
        ("Wer war Лев Толстой, und wann wurde der Schriftsteller in Jasnaja Poljana geboren?", "de"),
    ],
)  # fmt: skip
def test_a_few_words_of_another_script_do_not_change_the_language_of_a_question(question: str, language: str) -> None:
    assert detect_language(question) == language


@pytest.mark.parametrize(
    "text", ["", "\n\t\u3000", "3.14 – 2,71", "?!…", "👩‍🌾🌾🇰🇷", "①②③", "\u0301", "\ufeff", "\x00", "٣٤"]
)
def test_a_text_without_letters_has_no_language(text: str) -> None:
    assert detect_with_probability(text) == ("", 0.0)
    assert dominant_script(text) == ""


@pytest.mark.parametrize(
    "question", ["brenham pm2.5 2024", "nvidia", "Webb telescope", "OpenAI", "Sam Altman", "London", "2024?", "…", ""]
)
def test_a_name_or_two_keywords_show_no_language(question: str) -> None:
    assert question_language(question) == ""
    assert question_language(question, corpus="ko") == "ko"
    assert question_language(question, conversation="ja", corpus="ko") == "ja"
    assert question_language(question, interface="zh-Hant", conversation="ja", corpus="ko") == "zh-Hant"


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("climate change", "en"),
        ("Was ist KI", "de"),
        ("capital of france", "en"),
        ("알트만", "ko"),
        ("軟體", "zh-Hant"),
    ],
)
def test_a_question_that_shows_its_language_is_in_no_other(question: str, language: str) -> None:
    assert question_language(question, interface="fr", conversation="fr", corpus="fr") == language


def test_a_fallback_in_another_script_counts_for_latin_letters_only() -> None:
    assert question_language("мэр", interface="en", conversation="uk", corpus="ru") == "uk"
    assert question_language("мэр", interface="en") == detect_language("мэр")
    assert question_language("人口", interface="en", corpus="ja") == "ja"
    assert question_language("人口", interface="zh-Hant") == "zh-Hant"
    assert question_language("人口") == "zh"


def test_the_questions_of_short_articles_are_in_their_language_or_unknown(shared: Path) -> None:
    lines = (shared / "gold/natural-dev/gold.jsonl").read_text("utf-8").splitlines()
    asked = [(row["question"], row["lang"]) for row in map(json.loads, lines)]
    # Three words of a question; six characters where there are no spaces.
    cut = [(" ".join(text.split()[:3]) if " " in text else text[:6], language) for text, language in asked]
    for questions, least_right, most_wrong in ((asked, 0.92, 0.02), (cut, 0.80, 0.04)):
        found = [(question_language(text), language) for text, language in questions]
        right = sum(same_language(tag, language) for tag, language in found)
        assert right >= least_right * len(found)
        assert sum(bool(tag) for tag, _ in found) - right <= most_wrong * len(found)


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("軟體與網路", "zh-Hant"),
        ("软件与网络", "zh-Hans"),
        ("臺灣", "zh-Hant"),
        ("中国", "zh-Hans"),
        ("中國", "zh-Hant"),
        ("人口", "zh"),
        ("", "zh"),
        ("國国", "zh"),  # one of each
        ("后面的皇后，里面的公里", "zh"),  # written so in both, though a Traditional text means another 后
        ("簡體字说明書，繁體為主", "zh-Hant"),  # a majority decides
    ],
)
def test_traditional_and_simplified_are_told_apart_by_their_own_characters(text: str, tag: str) -> None:
    assert hant_or_hans(text) == tag
    traditional, simplified = telling_characters()
    assert not traditional & simplified


def test_folding_makes_both_spellings_one_of_the_same_length() -> None:
    assert fold_traditional("舊橋是誰建的？圖書館") == "旧桥是谁建的？图书馆"
    for text in ("한국어 English 日本", "旧桥是谁建的？图书馆"):
        assert fold_traditional(text) == text


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("zh-Hant", "zh-Hans", True), ("en", "en-GB", True), ("en", "es", False), ("", "", False), ("no", "nb", False)],
)
def test_tags_are_of_one_language_by_their_first_part(one: str, other: str, same: bool) -> None:
    assert same_language(one, other) is same


@pytest.mark.parametrize("language", QUESTIONS)
def test_a_language_is_written_in_the_script_of_its_questions(language: str) -> None:
    assert [dominant_script(question) for question in QUESTIONS[language]] in (
        [script_of(language)] * 3,
        # A Japanese question can be without kana, and most have more Han than kana.
        ["kana"] * 3,
    )
    assert script_of("xx") == script_of("") == ""


def test_a_text_reads_as_a_language_by_its_function_words() -> None:
    german = "Die alte Brücke wurde von der Stadt gebaut, und niemand weiß, wann sie wieder öffnet."
    assert reads_as(german, "de")
    assert reads_as(german, "de-AT")
    assert not reads_as(german, "fi")
    assert not reads_as("", "de")
    assert not reads_as("Brücke Hafen Bücherei", "de")
    assert {"der", "wer"} <= function_words("de-CH")
    assert function_words("xx") == frozenset()


@pytest.mark.parametrize("language", ["de", "ja", "zh-Hant", "th"])
def test_a_very_long_text_costs_no_more_than_its_beginning(language: str) -> None:
    text = " ".join(QUESTIONS[language]) * 20_000
    assert detect_with_probability(text) == detect_with_probability(text[:2000])
    assert detect_language(text) == language


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=[]), max_size=80))
def test_any_text_has_one_language_or_none(text: str) -> None:
    language, probability = detect_with_probability(text)
    assert 0.0 <= probability <= 1.0
    assert bool(language) == bool(dominant_script(text))
    assert language == detect_language(text)


# Measured on 612 questions a language: 0.9978 in the mean, German the least with 0.9886.
XQUAD_FLOOR = 0.99


def test_the_questions_of_xquad_are_told_apart(shared: Path) -> None:
    accuracy = {}
    for path in sorted((shared / "data/dev/xquad").glob("xquad.*.json")):
        language = path.name.split(".")[1]
        paragraphs = [p for article in json.loads(path.read_text("utf-8"))["data"] for p in article["paragraphs"]]
        questions = [qa["question"] for paragraph in paragraphs for qa in paragraph["qas"]]
        right = sum(same_language(detect_language(question), language) for question in questions)
        accuracy[language] = right / len(questions)
    assert len(accuracy) == 12
    assert sum(accuracy.values()) / len(accuracy) >= XQUAD_FLOOR, accuracy
    assert min(accuracy.values()) >= 0.97, accuracy
