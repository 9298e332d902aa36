"""Questions that go on from earlier ones: what is carried over without a model, and what a model is trusted with."""

from __future__ import annotations

import tomllib
from importlib.resources import files

import pytest

from index.encoders.base import Encoder
from index.search import MAX_QUESTION_CHARS
from index.store.sqlite import EmbeddedBackend
from index.text.language import function_words
from rag.answerers.base import Turn
from rag.chain import Chain, ChainSettings
from rag.events import Done, QuestionRead
from rag.followups import ModelRewriter, carried_over
from rag.testing import ScriptedChatModel, WordReader

FIRED = Turn("When was Sam Altman fired?", "On a Friday. [1]")


@pytest.mark.parametrize(
    ("earlier", "question", "query"),
    [
        # It points back, or says next to nothing: the names of the last question that has some.
        ([FIRED], "What did he say about it?", "What did he say about it? Sam Altman"),
        ([FIRED], "Why?", "Why? Sam Altman"),
        ([FIRED, Turn("Why?", "")], "Who replaced him?", "Who replaced him? Sam Altman"),
        ([Turn("Когда уволили Альтмана?", "")], "А что сказал он?", "А что сказал он? Альтмана"),
        ([Turn("アルトマンはいつ解雇されましたか？", "")], "その理由は何ですか？", "その理由は何ですか？ アルトマン"),
        ([Turn("Wann wurde Altman entlassen?", "")], "Und warum?", "Und warum? Altman"),
        ([Turn("Quand Altman a-t-il été renvoyé ?", "")], "Et pourquoi ?", "Et pourquoi ? Altman"),
        # Another language than before.
        ([FIRED], "왜요?", "왜요? Sam Altman"),
        # Without names of that kind: its words.
        ([Turn("What is kimchi made of?", "")], "How long is it kept?", "How long is it kept? kimchi made"),
        (
            [Turn("삼성전자의 CEO는 누구인가요?", "")],
            "그는 언제 태어났나요?",
            "그는 언제 태어났나요? 삼성전자의 CEO는 누구인가요?",
        ),
        ([Turn("阿爾特曼什麼時候被解僱？", "")], "他說了什麼？", "他說了什麼？ 阿爾特曼什麼時候被解僱？"),
        # A name and little else: the words of the question before, without its names.
        ([FIRED], "And Brockman?", "And Brockman? When was fired?"),
        # What stands by itself is left alone.
        ([FIRED], "What is the capital of Australia?", "What is the capital of Australia?"),
        ([FIRED], "Which temperature does water boil at on high mountains?", None),
        ([FIRED], "Does this old lighthouse on the northern island still shine every night?", None),
        ([Turn("阿爾特曼什麼時候被解僱？", "")], "其他公司的營業收入是多少？", None),
        ([], "Why?", None),
    ],
)
def test_what_is_carried_over(earlier: list[Turn], question: str, query: str | None) -> None:
    assert carried_over(question, earlier) == (query or question)


def test_only_the_last_questions_are_looked_at_and_the_query_has_a_size() -> None:
    turns = [FIRED, *[Turn("why?", "")] * 3]
    assert "Altman" not in carried_over("Why?", turns)
    long = [Turn("Altman " + "x" * (MAX_QUESTION_CHARS - 7), "")]
    assert len(carried_over("Why not?" + " " * 10, long)) <= MAX_QUESTION_CHARS


def test_pointing_words_are_no_function_words_of_every_question() -> None:
    tables = tomllib.loads(files("rag").joinpath("pointers.toml").read_text("utf-8"))
    assert len(tables) >= 30
    for language, table in tables.items():
        assert set(table) == {"pointing", "opening"}, language
        clash = set(table["pointing"].split()) & function_words(language)
        assert not clash, (language, clash)


# --- with a model -------------------------------------------------------------------------------------------


def test_a_model_is_given_the_conversation_and_its_question_is_taken() -> None:
    model = ScriptedChatModel(script=["“Why was Sam Altman fired?”\n"])
    assert ModelRewriter(model)("Why?", [FIRED]) == "Why was Sam Altman fired?"
    ((message,),) = model.calls
    prompt = str(message.content)
    assert "Question: When was Sam Altman fired?" in prompt
    assert "Last question: Why?" in prompt
    fences = [line for line in prompt.splitlines() if line.startswith("=====")]
    assert len(fences) == 2
    assert fences[0] == fences[1]


def test_without_earlier_questions_no_model_is_called() -> None:
    model = ScriptedChatModel(script=["x"])
    assert ModelRewriter(model)("Why?", []) == "Why?"
    assert model.calls == []


@pytest.mark.parametrize("script", [[RuntimeError("down")], [""], ["  \n"], ["word " * 200]])
def test_a_model_that_fails_or_rambles_is_done_without(script: list[str | Exception]) -> None:
    assert ModelRewriter(ScriptedChatModel(script=script))("Why?", [FIRED]) == "Why? Sam Altman"


# --- in the chain -------------------------------------------------------------------------------------------


def test_the_search_gets_the_query_and_the_answer_the_question(
    sample_backend: EmbeddedBackend, encoder: Encoder
) -> None:
    chain = Chain(sample_backend, encoder, settings=ChainSettings(min_relevance=0.0), reader=WordReader())
    question = "누가 그것을 발사했나요?"
    events = list(chain.stream(question, [Turn("When did the Webb telescope leave Earth?", "In 2021.")]))
    assert events[0] == QuestionRead(question, "ko", f"{question} Webb Earth")
    done = events[-1]
    assert isinstance(done, Done)
    assert (done.answer.question, done.answer.language) == (question, "ko")
    assert "webb" in done.answer.retrieved[0].passage.source


def test_a_rewriter_of_ones_own_takes_its_place(sample_backend: EmbeddedBackend, encoder: Encoder) -> None:
    chain = Chain(sample_backend, encoder, rewriter=lambda question, history: f"{question} kimchi", reader=WordReader())
    assert next(chain.stream("Why?", [FIRED])) == QuestionRead("Why?", "en", "Why? kimchi")
    assert next(chain.stream("Why?")) == QuestionRead("Why?", "", "Why?")
