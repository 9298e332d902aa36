"""The chain within LangChain: its four ways of calling, in a sequence, with a conversation, traced."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda

from index.encoders.base import Encoder
from index.store.base import Filter
from index.store.sqlite import EmbeddedBackend
from rag.answer import Answer
from rag.answerers.base import Turn
from rag.answerers.generative import GenerativeAnswerer
from rag.chain import Chain, ChainSettings
from rag.events import Done, Event
from rag.runnable import ChainRunnable
from rag.testing import ScriptedChatModel, WordReader

QUESTION = "예전 오픈AI 이사회 구성원 가운데 새 이사회에 그대로 남은 유일한 사람은 누구인가?"
ALWAYS = ChainSettings(min_relevance=0.0)


@pytest.fixture
def chain(sample_backend: EmbeddedBackend, encoder: Encoder) -> Chain:
    return Chain(sample_backend, encoder, settings=ALWAYS, reader=WordReader())


def untimed(answer: Answer) -> Answer:
    return replace(answer, timings_ms={})


def told(events: list[Event]) -> list[Event]:
    """Events without the times taken."""
    return [Done(untimed(event.answer)) if isinstance(event, Done) else event for event in events]


async def streamed(runnable: Any, asked: Any) -> list[Any]:
    return [item async for item in runnable.astream(asked)]


def test_invoke_gives_the_answer_and_stream_the_events(chain: Chain) -> None:
    runnable, expected = chain.as_runnable(), untimed(chain.invoke(QUESTION))
    assert untimed(runnable.invoke(QUESTION)) == expected
    assert untimed(asyncio.run(runnable.ainvoke(QUESTION))) == expected
    assert [untimed(answer) for answer in runnable.batch([QUESTION, QUESTION])] == [expected, expected]
    events = told(list(chain.stream(QUESTION)))
    assert told(list(runnable.stream(QUESTION))) == events
    assert told(asyncio.run(streamed(runnable, QUESTION))) == events


def test_in_a_sequence_the_next_step_gets_the_answer_streamed_or_not(chain: Chain) -> None:
    piped = RunnableLambda(str.strip) | chain.as_runnable() | RunnableLambda(lambda answer: answer.text)
    expected = chain.invoke(QUESTION).text
    assert piped.invoke(f" {QUESTION} ") == expected
    assert list(piped.stream(f" {QUESTION} ")) == [expected]
    assert asyncio.run(piped.ainvoke(QUESTION)) == expected
    assert asyncio.run(streamed(piped, QUESTION)) == [expected]


def test_a_conversation_and_a_filter_go_in_as_a_mapping(chain: Chain) -> None:
    runnable = chain.as_runnable()
    follow_up = "And how much did it cost?"
    history = [Turn("When was the Webb telescope launched?", "In 2021.")]
    expected = untimed(chain.invoke(follow_up, history))
    assert expected != untimed(chain.invoke(follow_up))
    assert untimed(runnable.invoke({"question": follow_up, "history": history})) == expected
    messages = [
        SystemMessage("Be brief."),
        AIMessage("Hello!"),
        HumanMessage("When was the Webb telescope launched?"),
        AIMessage("In 2021. [1]"),
    ]
    assert untimed(runnable.invoke({"question": follow_up, "history": messages})) == expected
    japanese = Filter(languages=("ja",))
    found = runnable.invoke({"question": QUESTION, "where": japanese})
    assert untimed(found) == untimed(chain.invoke(QUESTION, where=japanese))
    assert {item.passage.language for item in found.retrieved} == {"ja"}


@pytest.mark.parametrize("asked", [{}, {"question": 3}, None])
def test_an_input_without_a_question_is_refused(chain: Chain, asked: Any) -> None:
    with pytest.raises(ValueError, match="expected: a question, or a mapping with one as `question`"):
        chain.as_runnable().invoke(asked)


class Recorder(BaseCallbackHandler):
    """What a tracer is told: which run began within which."""

    def __init__(self) -> None:
        self.parents: dict[str, UUID | None] = {}
        self.ids: dict[str, UUID] = {}

    def on_chain_start(self, *args: Any, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        self.ids["chain"], self.parents["chain"] = run_id, parent_run_id

    def on_chat_model_start(self, *args: Any, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any) -> None:
        self.ids["model"], self.parents["model"] = run_id, parent_run_id


@pytest.mark.parametrize("way", ["invoke", "astream"])
def test_the_models_call_is_traced_within_the_chains_run(
    sample_backend: EmbeddedBackend, encoder: Encoder, way: str
) -> None:
    model = ScriptedChatModel(script=lambda keys: [f"아담 디안젤로입니다 [{keys[0]}]."])
    runnable = ChainRunnable(Chain(sample_backend, encoder, GenerativeAnswerer(model), ALWAYS, reader=WordReader()))
    recorder = Recorder()
    config: Any = {"callbacks": [recorder]}

    async def consume() -> None:
        async for _ in runnable.astream(QUESTION, config):
            pass

    if way == "invoke":
        runnable.invoke(QUESTION, config)
    else:
        asyncio.run(consume())
    assert recorder.parents["chain"] is None
    assert recorder.parents["model"] == recorder.ids["chain"]
