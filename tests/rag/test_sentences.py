"""Which sentences answer: the kind of a question, what a sentence holds, and the order that comes of it."""

from __future__ import annotations

import math
import tomllib
import unicodedata
from collections.abc import Callable
from importlib.resources import files

import pytest

from index.encoders.base import Encoder
from index.search import ScoredPassage, SearchResult
from rag.answerers.kinds import Kind, holds, kind_of
from rag.answerers.sentences import WEIGHTS, ranked, sentences
from rag.testing import HashEncoder

MakePassage = Callable[..., ScoredPassage]


@pytest.mark.parametrize(
    ("kind", "questions"),
    [
        (
            Kind.WHO,
            """en: Who founded it? | de: Wer hat es gegründet? | fr: Qui l'a fondé ? | es: ¿Quién lo fundó? |
            ru: Кто основал? | zh: 誰創立了它？ | ja: 誰が設立しましたか？ | ko: 누가 설립했나요? | ar: من أسسها؟ |
            hi: इसकी स्थापना किसने की? | th: ใครก่อตั้ง""",
        ),
        (
            Kind.WHEN,
            """en: In what year was it founded? | de: Wann war das? | fr: En quelle année ? | es: ¿Cuándo fue? |
            ru: В каком году? | zh: 何时成立？ | ja: いつ設立されましたか？ | ko: 언제 설립되었나요? | ar: متى تأسست؟ |
            hi: यह कब हुआ? | vi: Năm nào?""",
        ),
        (
            Kind.NUMBER,
            """en: How many people came? | de: Wie viele kamen? | fr: Combien sont venus ? | es: ¿Cuántos vinieron? |
            ru: Сколько их? | zh: 有多少人？ | ja: 何人来ましたか？ |
            ko: 몇 명이 왔나요? | ar: كم عددهم؟ | tr: Kaç kişi geldi?""",
        ),
        (
            Kind.WHERE,
            """en: Where is it? | de: Wo liegt es? | fr: Où est-ce ? | es: ¿Dónde está? | ru: Где это? |
            zh: 它在哪裡？ | ja: どこですか？ | ko: 어디에 있나요? | ar: أين هو؟ | hi: यह कहाँ है?""",
        ),
        (
            Kind.WHY,
            """en: Why did it fail? | de: Warum? | fr: Pourquoi ? | es: ¿Por qué? | ru: Почему? |
            zh: 為什麼？ | ja: なぜですか？ | ko: 왜요?""",
        ),
        (
            Kind.HOW,
            "en: How does it work? | de: Wie funktioniert es? | fr: Comment ? | ru: Как это работает? | zh: 如何運作？",
        ),
        (Kind.OTHER, "en: Name the tower. | de: Nenne den Turm. | zh: 塔的名字 | xx: What? Who?"),
    ],
)
def test_a_question_is_of_its_kind_in_every_language(kind: Kind, questions: str) -> None:
    for entry in questions.split(" |"):
        language, question = entry.strip().split(": ", 1)
        assert kind_of(question, language) is kind, entry


def test_the_longer_phrase_decides_and_words_are_whole() -> None:
    assert kind_of("How many years ago?", "en") is Kind.NUMBER  # not "how"
    assert kind_of("Whoever shows it", "en") is Kind.OTHER
    assert kind_of("Nowhere", "en") is Kind.OTHER


@pytest.mark.parametrize(
    ("language", "question", "kind"),
    [
        # Each begins with a phrase of another kind.
        ("da", "Hvor mange kom der?", Kind.NUMBER),
        ("nb", "Hvor mye kostet det?", Kind.NUMBER),
        ("bg", "В коя година?", Kind.WHEN),
        ("fi", "Mistä syystä se kaatui?", Kind.WHY),
    ],
)
def test_of_two_phrases_that_begin_at_one_place_the_longer_decides(language: str, question: str, kind: Kind) -> None:
    assert kind_of(question, language) is kind


def test_a_phrase_is_known_however_its_letters_are_composed() -> None:
    for form in ("NFC", "NFD"):
        assert kind_of(unicodedata.normalize(form, "¿Cuándo fue?"), "es") is Kind.WHEN
        assert kind_of(unicodedata.normalize(form, "কোথায়?"), "bn") is Kind.WHERE
    assert kind_of("কোথা\u09df?", "bn") is Kind.WHERE  # a letter that NFC takes apart


def test_every_language_has_every_kind() -> None:
    tables = tomllib.loads(files("rag").joinpath("questions.toml").read_text("utf-8"))
    assert len(tables) >= 30
    for language, table in tables.items():
        assert set(table) == {"who", "when", "where", "number", "why", "how", "reason"}, language
        for phrases in table.values():
            assert all(phrase.strip() == phrase != "" for phrase in phrases.split("|")), language


@pytest.mark.parametrize(
    ("sentence", "question", "language", "expected"),
    [
        ("It was opened in 1861 by Keeper.", "When was it opened?", "en", (1.0, 1.0, 1.0, 0.0)),
        ("It was opened in 1861.", "What happened in 1861?", "en", (0.0, 0.0, 0.0, 0.0)),
        ("It has thirteen and 14 lamps.", "How many lamps?", "en", (1.0, 0.0, 0.0, 0.0)),
        ("It closed because of a storm.", "Why?", "en", (0.0, 0.0, 0.0, 1.0)),
        ("그것은 1861년 3월 12일에 열렸다.", "언제?", "ko", (1.0, 1.0, 0.5, 0.0)),
        ("因為風暴而關閉。", "為什麼？", "zh-Hant", (0.0, 0.0, 0.5, 1.0)),
        ("Keeper said so.", "What did Keeper say?", "en", (0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_what_a_sentence_holds(
    sentence: str, question: str, language: str, expected: tuple[float, float, float, float]
) -> None:
    assert tuple(holds(sentence, question, language)) == expected


def result(question: str, *passages: ScoredPassage) -> SearchResult:
    return SearchResult(question, "en", passages, 0.9, ())


def test_features_by_hand(make_passage: MakePassage) -> None:
    first = make_passage("The tower is tall. It was built in 1861.", 1, score=0.5)
    second = make_passage("Nothing at all here.", 2, score=0.3)
    encoder = HashEncoder(dim=512)
    found = sentences(result("When was the tower built?", first, second), encoder)
    assert [one.text for one in found] == ["The tower is tall.", "It was built in 1861.", "Nothing at all here."]
    one, two, three = (sentence.features for sentence in found)
    assert set(one) == set(WEIGHTS)
    query = encoder.encode_queries(["When was the tower built?"])[0]
    assert two["cosine"] == pytest.approx(
        float(encoder.encode_passages(["It was built in 1861."])[0] @ query), abs=1e-6
    )
    # An encoder without a word by word score: the cosine stands for it.
    assert two["match"] == two["cosine"]
    both = encoder.encode_passages(["The tower is tall. It was built in 1861."])[0] @ query
    assert two["match with the one before"] == pytest.approx(float(both), abs=1e-6)
    assert one["match with the one before"] == one["match"]
    assert max(one["below the best of the passage"], two["below the best of the passage"]) == 0.0
    assert three["below the best of the passage"] == 0.0
    assert [one["rank"], two["rank"], three["rank"]] == [1.0, 1.0, 0.5]
    assert [one["passage below the first"], three["passage below the first"]] == pytest.approx([0.0, -0.2])
    assert [one["opens the passage"], two["opens the passage"]] == [1.0, 0.0]
    assert two["length"] == pytest.approx(math.log(len("It was built in 1861.")))
    # Of "tower" and "built" (the others are function words) each sentence has one.
    assert [one["words"], two["words"], three["words"]] == [0.5, 0.5, 0.0]
    assert [one["when: date"], two["when: date"]] == [0.0, 1.0]
    assert two["number: number"] == 0.0  # the question is of another kind


def test_the_score_is_the_weighted_sum(make_passage: MakePassage) -> None:
    found = result("When was the tower built?", make_passage("The tower is tall. It was built in 1861.", 1))
    encoder = HashEncoder(dim=512)
    scores = {candidate.start: candidate.score for candidate in ranked(found, encoder)}
    for one in sentences(found, encoder):
        by_hand = sum(WEIGHTS[name] * value for name, value in one.features.items())
        assert scores[one.start] == pytest.approx(by_hand)


def test_headings_and_questions_come_behind(make_passage: MakePassage, encoder: Encoder) -> None:
    text = "When was the lighthouse opened? The lighthouse was opened in 1861."
    found = result("When was the lighthouse opened?", make_passage(text, 1))
    assert ranked(found, encoder)[0].start == text.index("The lighthouse")
    titled = result(
        "When was it opened?",
        make_passage("The old lighthouse. It was opened in 1861.", 1, title="The old lighthouse."),
    )
    assert ranked(titled, encoder)[0].start == len("The old lighthouse. ")


def test_the_sentence_with_a_date_answers_when(make_passage: MakePassage, encoder: Encoder) -> None:
    text = "The lighthouse was opened by the harbour office. The lighthouse was opened in March 1861."
    found = result("When was the lighthouse opened?", make_passage(text, 1))
    assert ranked(found, encoder)[0].start == text.index("The lighthouse was opened in March")
    found = result("Who opened the lighthouse?", make_passage(text, 1))
    assert ranked(found, encoder)[0].start == 0
