"""What is said in passing is replied to; what is asked about the world goes to the articles."""

from __future__ import annotations

import tomllib
from contextlib import closing
from pathlib import Path

import pytest
import regex

from index.encoders.base import Encoder
from index.ingest import ingest
from index.store.base import Filter
from index.store.sqlite import EmbeddedBackend
from rag.answer import Abstention
from rag.answerers.base import Turn
from rag.chain import Chain
from rag.conversation import reply
from rag.events import Done, PassagesFound
from rag.testing import WordReader

TABLE = tomllib.loads((Path(__file__).parent.parent.parent / "rag/conversation.toml").read_text("utf-8"))


def replied(message: str, backend: EmbeddedBackend, language: str = "", *, goes_on: bool = False) -> tuple[str, str]:
    """(kind, language) of the reply to a message, both empty where there is none."""
    found = reply(message, language, backend, goes_on=goes_on)
    if found is None:
        return "", ""
    own = TABLE[found[1]]
    kind = next(
        kind for kind in ("hello", "thanks", "bye", "about", "count", "titles") if like(own[f"say_{kind}"], found[0])
    )
    return kind, found[1]


def like(template: str, text: str) -> bool:
    pattern = regex.sub(r"\\\{\w+\\\}", ".+", regex.escape(template, special_only=False))
    return bool(regex.match(pattern, text, regex.DOTALL))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Hiiii!!", ("hello", "en")),
        ("ok thanks, bye", ("thanks", "en")),
        ("How many articles are there?", ("count", "en")),
        ("Hallo, wie geht's?", ("about", "de")),
        ("Worum geht es hier?", ("titles", "de")),
        ("Buenos dias", ("hello", "es")),
        ("salut, ça va ?", ("about", "fr")),
        ("muito obrigada!", ("thanks", "pt")),
        ("Привет, кто ты?", ("about", "ru")),
        ("teşekkür ederim", ("thanks", "tr")),
        ("مرحباً", ("hello", "ar")),
        ("你好,请问你是谁?", ("about", "zh-Hans")),
        ("謝謝喔", ("thanks", "zh-Hant")),
        ("最新ニュースは?", ("titles", "ja")),
        ("ありがとうございます!", ("thanks", "ja")),
        ("안녕하세요", ("hello", "ko")),
        ("기사가 몇 개 있나요?", ("count", "ko")),
        ("ขอบคุณมากนะคะ", ("thanks", "th")),
        ("नमस्ते जी", ("hello", "hi")),
        ("cảm ơn bạn nhiều nhé", ("thanks", "vi")),
        ("terima kasih banyak ya", ("thanks", "id")),
        ("תודה רבה", ("thanks", "he")),
        ("asante sana", ("thanks", "sw")),
    ],
)
def test_what_is_said_in_passing_is_understood_in_its_language(
    message: str, expected: tuple[str, str], sample_backend: EmbeddedBackend
) -> None:
    assert replied(message, sample_backend) == expected


@pytest.mark.parametrize(
    "question",
    [
        "Hello, when is Kimchi Day?", "hello kitty", "thanksgiving date", "help for flood victims",
        "test results 2023", "hola magazine founder", "who are you voting for in Berlin?",
        "good morning america host", "cool roofs benefit", "how many articles does the constitution have",
        "how many documents were leaked", "newest bridge in Oslo", "latest news about the tram", "ok corral",
        "bye laws of the club", "what is the moon", "what is this bridge made of", "Danke schön Lied Sänger",
        "Guten Tag Heft Preis", "wer ist der Bürgermeister", "Hilfe für Erdbebenopfer",
        "wie viele Artikel hat das Grundgesetz", "cuántos artículos tiene la ley", "gracias a quién ganaron",
        "ayuda a domicilio precio", "merci de qui", "qui est le maire", "combien d'articles compte la loi",
        "oi telecom dívida", "bom dia lisboa audiência", "привет из сочи год выпуска",
        "сколько статей в конституции", "помощь беженцам сумма", "merhaba gazetesi sahibi",
        "yardım kampanyası ne zaman", "السلام عليكم أغنية من", "كم عدد مقالات القانون", "你好李焕英票房",
        "谢谢你的爱1999", "測試結果", "有多少篇论文被撤回", "こんにちは赤ちゃん 作曲", "ありがとうの歌は誰の歌",
        "記事は何年に書かれた", "안녕 프란체스카 방영", "도움 단체 이름", "สวัสดีบางกอก ฉายเมื่อไร",
        "cảm ơn bác sĩ là phim gì", "halo effect adalah", "tes dna biaya", "नमस्ते लंदन फिल्म", "50 articles",
        "2024", "?", "🙏",
    ],
)  # fmt: skip
def test_a_question_about_the_world_is_none_of_it(question: str, sample_backend: EmbeddedBackend) -> None:
    assert replied(question, sample_backend) == ("", "")


def test_the_asker_s_language_decides_between_two_that_say_the_same(sample_backend: EmbeddedBackend) -> None:
    assert replied("ciao", sample_backend, "it")[1] == "it"
    assert replied("ciao", sample_backend, "de")[1] == "de"
    assert replied("ok", sample_backend, "pt-BR")[1] == "pt"


@pytest.mark.parametrize(
    ("message", "language", "expected"),
    [
        ("hola, thanks", "en", ("thanks", "en")),
        ("Bonjour, who are you?", "en", ("about", "en")),
        ("hi, 你是谁", "zh-Hans", ("about", "zh-Hans")),
        ("oi, thanks", "pt-BR", ("thanks", "pt")),
        ("ok 谢谢", "", ("thanks", "en")),
    ],
)
def test_a_message_may_mix_languages(
    message: str, language: str, expected: tuple[str, str], sample_backend: EmbeddedBackend
) -> None:
    assert replied(message, sample_backend, language) == expected


def test_what_is_this_is_no_question_about_the_collection_after_an_answer(sample_backend: EmbeddedBackend) -> None:
    assert replied("What is this?", sample_backend)[0] == "titles"
    assert replied("What is this?", sample_backend, goes_on=True)[0] == ""


def test_replies_say_what_the_collection_holds(sample_backend: EmbeddedBackend) -> None:
    text, _ = reply("how many articles are there?", "en", sample_backend) or ("", "")
    sizes = sample_backend.stats().languages
    assert text.startswith("There are 30 articles: ") and f"한국어 {sizes['ko']}" in text
    text, _ = reply("latest news", "en", sample_backend) or ("", "")
    dates = sorted((one.date for one in sample_backend.documents()), reverse=True)
    assert [line[-11:-1] for line in text.splitlines()[1:]] == dates[:5]


def test_an_article_without_a_title_is_named_by_its_file_and_not_by_a_folder(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "note.txt").write_text("The tram runs.", "utf-8")
    ingest(tmp_path / "index", [str(tmp_path / "secret")], encoder, n_workers=0)
    with closing(EmbeddedBackend(tmp_path / "index")) as backend:
        text, _ = reply("latest news", "en", backend) or ("", "")
    assert "note.txt" in text and "secret" not in text


def test_every_language_has_every_reply_with_the_same_places() -> None:
    for own in TABLE.values():
        assert list(own) == list(TABLE["en"])
        assert {name: set(regex.findall(r"\{\w+\}", text)) for name, text in own.items()} == {
            name: set(regex.findall(r"\{\w+\}", text)) for name, text in TABLE["en"].items()
        }
        assert not any(set("[]") & set(text) for text in own.values())
    for tag in ("zh-Hans", "zh-Hant", "ja"):
        assert not any(set(",!?:()") & set(text) for name, text in TABLE[tag].items() if name.startswith("say_"))


def test_a_chain_replies_without_a_search_and_counts_it_as_no_answer(
    sample_backend: EmbeddedBackend, encoder: Encoder
) -> None:
    chain = Chain(sample_backend, encoder, reader=WordReader())
    events = list(chain.stream("Hallo, wer bist du?", [Turn("Wann ist der Tag?", "Am 22. November.")]))
    done = events[-1]
    assert isinstance(done, Done) and PassagesFound(()) in events
    answer = done.answer
    assert (answer.abstained, answer.reason, answer.answer_language) == (True, Abstention.CONVERSATION, "de")
    assert answer.text.startswith("Ich bin ein Programm. Ich beantworte Fragen aus 30 Artikeln")
    assert (answer.citations, answer.retrieved, answer.closest) == ((), (), None)


def test_a_filter_that_takes_nothing_is_told_from_an_empty_index(
    sample_backend: EmbeddedBackend, encoder: Encoder
) -> None:
    chain = Chain(sample_backend, encoder, reader=WordReader())
    answer = chain.invoke("When is Kimchi Day?", where=Filter(since="2999"))
    assert (answer.reason, answer.text) == (Abstention.FILTERED, "No article matches the filter.")
