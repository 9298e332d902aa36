from __future__ import annotations

import asyncio
import contextlib
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from index.encoders.base import Encoder
from index.errors import IndexProblem
from index.ingest import ingest
from index.search import MAX_QUESTION_CHARS, ScoredPassage
from index.store.base import Filter
from index.store.sqlite import EmbeddedBackend
from rag.answer import Answer
from rag.answerers.base import Draft, Task, Turn, finish
from rag.answerers.generative import GenerativeAnswerer
from rag.chain import Chain, ChainSettings
from rag.events import CitationsResolved, Delta, Done, Event, Failed, PassagesFound, QuestionRead, SentenceDone, Warned
from rag.phrases import phrase
from rag.testing import ScriptedChatModel, WordReader

QUESTION = "예전 오픈AI 이사회 구성원 가운데 새 이사회에 그대로 남은 유일한 사람은 누구인가?"
ALWAYS = ChainSettings(min_relevance=0.0)


@pytest.fixture
def chain(sample_backend: EmbeddedBackend, encoder: Encoder) -> Chain:
    return Chain(sample_backend, encoder, settings=ALWAYS, reader=WordReader())


def untimed(answer: Answer) -> Answer:
    return replace(answer, timings_ms={})


def pids(passages: Sequence[ScoredPassage]) -> list[int]:
    return [item.passage.pid for item in passages]


async def collected(chain: Chain) -> list[Event]:
    return [event async for event in chain.astream(QUESTION)]


def test_the_events_come_in_the_order_question_passages_text_citations_done(chain: Chain) -> None:
    events = list(chain.stream(f"  {QUESTION}\n"))
    assert events[0] == QuestionRead(QUESTION, "ko", QUESTION)
    assert isinstance(events[1], PassagesFound)
    assert len(events[1].passages) == 10
    assert [type(event) for event in events[-2:]] == [CitationsResolved, Done]
    middle = [type(event) for event in events[2:-2]]
    n = middle.count(SentenceDone)
    assert n >= 1
    # The line above the quotations, then each quotation and its verdict.
    assert middle == [Delta, *[Delta, SentenceDone] * n]


def test_the_last_event_holds_what_the_events_before_it_told(chain: Chain) -> None:
    events = list(chain.stream(QUESTION))
    done = events[-1]
    assert isinstance(done, Done)
    answer = done.answer
    assert answer.text == "".join(event.text for event in events if isinstance(event, Delta))
    assert list(answer.sentences) == [event.sentence for event in events if isinstance(event, SentenceDone)]
    assert [event.citations for event in events if isinstance(event, CitationsResolved)] == [answer.citations]
    (found,) = [pids(event.passages) for event in events if isinstance(event, PassagesFound)]
    assert sorted(found) == sorted(pids(answer.retrieved))  # the reader has put them in its own order
    assert (answer.question, answer.language, answer.answer_language) == (QUESTION, "ko", "ko")
    assert 0 < answer.timings_ms["retrieval"] <= answer.timings_ms["total"]


def test_many_questions_at_once_get_their_own_answers(chain: Chain) -> None:
    questions = [QUESTION, "How much did the Webb telescope cost?", "高速鉄道はいつ開業しましたか。"] * 4

    async def ask_all() -> list[Answer]:
        return list(await asyncio.gather(*(chain.ainvoke(question) for question in questions)))

    answers = asyncio.run(ask_all())
    assert [untimed(answer) for answer in answers] == [untimed(chain.invoke(question)) for question in questions]


class BrokenAnswerer:
    """Says a word and fails."""

    def answer(self, task: Task) -> Iterator[Event]:
        yield Delta("well")
        raise RuntimeError("out of memory")


def test_what_goes_wrong_is_the_last_event_and_is_raised_by_invoke(
    sample_backend: EmbeddedBackend, encoder: Encoder
) -> None:
    chain = Chain(sample_backend, encoder, BrokenAnswerer(), ALWAYS, reader=WordReader())
    events = list(chain.stream(QUESTION))
    assert [event.name for event in events] == ["question", "passages", "delta", "error"]
    assert isinstance(events[-1], Failed)
    assert str(events[-1].error) == "out of memory"
    assert [event.name for event in asyncio.run(collected(chain))] == [event.name for event in events]
    with pytest.raises(RuntimeError, match="out of memory"):
        chain.invoke(QUESTION)
    with pytest.raises(RuntimeError, match="out of memory"):
        asyncio.run(chain.ainvoke(QUESTION))


def test_an_index_that_goes_away_under_a_chain_is_an_error_event(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "a.txt").write_text("The lighthouse of Anvik was opened in 1861.", "utf-8")
    ingest(tmp_path / "index", [str(tmp_path / "a.txt")], encoder)
    chain = Chain(EmbeddedBackend(tmp_path / "index"), encoder, reader=WordReader())
    shutil.rmtree(tmp_path / "index")
    *_, last = chain.stream("When was the lighthouse opened?")
    assert isinstance(last, Failed)
    assert isinstance(last.error, IndexProblem)


@pytest.mark.parametrize("question", ["", "   ", "x" * (MAX_QUESTION_CHARS + 1)])
def test_an_empty_or_too_long_question_is_refused_in_every_form(chain: Chain, question: str) -> None:
    with pytest.raises(ValueError, match=r"the question (is empty|has 2001 characters)"):
        chain.invoke(question)
    with pytest.raises(ValueError, match="the question"):
        next(chain.stream(question))
    with pytest.raises(ValueError, match="the question"):
        asyncio.run(chain.ainvoke(question))


def test_a_question_is_answered_from_the_threshold_of_relevance_on_and_not_below(
    sample_backend: EmbeddedBackend, encoder: Encoder
) -> None:
    def asked(limit: float) -> Answer:
        settings = ChainSettings(min_relevance=limit)
        return Chain(sample_backend, encoder, settings=settings, reader=WordReader()).invoke(QUESTION)

    relevance = asked(0.0).relevance
    assert 0 < relevance < 1
    at, above = asked(relevance), asked(relevance + 1e-9)
    assert (at.abstained, above.abstained) == (False, True)
    assert above.text == phrase("abstain", "ko")


def test_below_the_threshold_the_model_is_not_even_asked(sample_backend: EmbeddedBackend, encoder: Encoder) -> None:
    model = ScriptedChatModel(script=["never"])
    chain = Chain(
        sample_backend, encoder, GenerativeAnswerer(model), ChainSettings(min_relevance=1.0), reader=WordReader()
    )
    assert chain.invoke(QUESTION).abstained
    assert model.calls == []


class Recorder:
    """An answerer that keeps its tasks, and warns."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def answer(self, task: Task) -> Iterator[Event]:
        self.tasks.append(task)
        draft = Draft()
        yield draft.say("So it is.")
        yield draft.warn("from the answerer")
        yield from finish(task, draft, answer_language="en")


def test_the_answerer_gets_question_language_passages_encoder_and_history(
    sample_backend: EmbeddedBackend, encoder: Encoder
) -> None:
    recorder, turns = Recorder(), [Turn("before", "so")]
    chain = Chain(sample_backend, encoder, recorder, ALWAYS, reader=WordReader())
    chain.invoke(QUESTION, turns)
    (task,) = recorder.tasks
    assert (task.question, task.language, task.encoder, task.history) == (QUESTION, "ko", encoder, turns)
    assert sorted(pids(task.found.passages)) == sorted(pids(chain.retrieve(QUESTION).passages))
    assert {one.passage.pid for one in task.sentences} == set(pids(task.found.passages))


def test_warnings_of_the_search_and_of_the_answerer_are_told_once_each_and_in_order(
    sample_backend: EmbeddedBackend, encoder: Encoder
) -> None:
    chain = Chain(sample_backend, encoder, Recorder(), ALWAYS, reader=WordReader())
    swahili = "Darubini hiyo ilirushwa lini na iligharimu kiasi gani cha fedha?"
    events = list(chain.stream(swahili))
    done = events[-1]
    assert isinstance(done, Done)
    first = "the encoder embedded was not trained on the question's language (sw); results may be poor"
    assert done.answer.warnings == (first, "from the answerer")
    assert [event.message for event in events if isinstance(event, Warned)] == list(done.answer.warnings)


def test_a_model_answers_through_the_chain_with_citations_of_the_index(
    sample_backend: EmbeddedBackend, encoder: Encoder
) -> None:
    model = ScriptedChatModel(script=lambda keys: ["새 이사회에 남은 사람은 애덤 디앤젤로 ", f"한 명이다 [{keys[0]}]."])
    chain = Chain(sample_backend, encoder, GenerativeAnswerer(model), ALWAYS, reader=WordReader())
    answer = chain.invoke(QUESTION, where=Filter(languages=("ja",)))
    assert answer.text.startswith("새 이사회에 남은 사람은 애덤 디앤젤로 한 명이다. [1]")
    (citation,) = answer.citations
    text = sample_backend.text(citation.doc_id)
    assert text is not None
    assert text[citation.start : citation.end] == citation.quote
    assert citation.doc_id == answer.retrieved[0].passage.doc_id


class Endless:
    """Says more and more, and tells when it has been closed."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def answer(self, task: Task) -> Iterator[Event]:
        draft = Draft()
        try:
            while True:
                time.sleep(0.01)
                yield draft.say("more ")
        finally:
            self.closed.set()


def test_whoever_stops_listening_stops_the_answer(sample_backend: EmbeddedBackend, encoder: Encoder) -> None:
    endless = Endless()
    chain = Chain(sample_backend, encoder, endless, ALWAYS, reader=WordReader())

    async def listen_for_a_while() -> int:
        n = 0
        async for event in chain.astream(QUESTION):
            n += isinstance(event, Delta)
            if n == 3:
                break
        return n

    async def disconnect() -> None:
        task = asyncio.create_task(listen_forever())
        await asyncio.sleep(0.3)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await asyncio.to_thread(endless.closed.wait, 60.0)

    async def listen_forever() -> None:
        async for _ in chain.astream(QUESTION):
            pass

    assert asyncio.run(listen_for_a_while()) == 3
    assert endless.closed.wait(60.0)
    endless.closed.clear()
    asyncio.run(disconnect())
    assert endless.closed.is_set()


GERMAN = [Turn("Wann wurde der Leuchtturm gebaut und von wem?", "1850.")]


@pytest.mark.parametrize(
    ("question", "history", "interface", "language"),
    [
        ("nvidia", [], "de", "de"),
        ("brenham pm2.5 2024", [], "ja", "ja"),
        ("nvidia", GERMAN, "", "de"),
        ("nvidia", [*GERMAN, Turn("pm2.5", "")], "", "de"),  # the last earlier question that shows one
        ("Which telescope was launched from French Guiana?", GERMAN, "ko", "en"),
        (QUESTION, [], "de", "ko"),
    ],
)
def test_a_question_without_a_clear_language_is_answered_in_that_of_the_interface_or_the_conversation(
    sample_backend: EmbeddedBackend, encoder: Encoder, question: str, history: list[Turn], interface: str, language: str
) -> None:
    for limit in (0.0, 1.0):  # answered, refused
        chain = Chain(sample_backend, encoder, settings=ChainSettings(min_relevance=limit), reader=WordReader())
        answer = chain.invoke(question, history, interface=interface)
        assert (answer.language, answer.answer_language) == (language, language)
        assert answer.abstained == bool(limit)
        assert not limit or answer.text == phrase("abstain", language)
