"""The chain as a LangChain Runnable, and its search as a LangChain retriever, for other people's chains."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import ConfigDict

from index.store.base import EVERYTHING, Filter
from rag.answer import Answer
from rag.answerers.base import Turn
from rag.chain import Chain
from rag.citations import without_markers
from rag.events import Event

Asked = str | Mapping[str, Any]
_METADATA = ("doc_id", "source", "title", "url", "date", "language", "start", "end")


class ChainRunnable(Runnable[Asked, Any]):
    """A question in, an `Answer` out; `stream` and `astream` give the chain's events.

    The input is the question, or a mapping with `question`, `history` (of `Turn`s or of LangChain's messages,
    oldest first), `where` (a `Filter`) and `interface` (a language), of which only the first is needed. Within a
    sequence (`chain.as_runnable() | next_step`) the next step gets the `Answer`, streamed or not.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def invoke(self, input: Asked, config: RunnableConfig | None = None, **kwargs: Any) -> Answer:
        """The answer as a whole; errors as of `Chain.invoke`."""
        answer: Answer = self._call_with_config(lambda asked: self._chain.invoke(*_read(asked)), input, config)
        return answer

    async def ainvoke(self, input: Asked, config: RunnableConfig | None = None, **kwargs: Any) -> Answer:
        """`invoke` for async code."""

        async def answer(asked: Asked) -> Answer:
            return await self._chain.ainvoke(*_read(asked))

        found: Answer = await self._acall_with_config(answer, input, config)
        return found

    def stream(self, input: Asked, config: RunnableConfig | None = None, **kwargs: Any) -> Iterator[Event]:
        """The events of `Chain.stream`."""

        def events(inputs: Iterator[Asked]) -> Iterator[Event]:
            for asked in inputs:
                yield from self._chain.stream(*_read(asked))

        yield from self._transform_stream_with_config(iter([input]), events, config)

    async def astream(self, input: Asked, config: RunnableConfig | None = None, **kwargs: Any) -> AsyncIterator[Event]:
        """The events of `Chain.astream`."""

        async def one() -> AsyncIterator[Asked]:
            yield input

        async def events(inputs: AsyncIterator[Asked]) -> AsyncIterator[Event]:
            async for asked in inputs:
                async for event in self._chain.astream(*_read(asked)):
                    yield event

        async for event in self._atransform_stream_with_config(one(), events, config):
            yield event

    def transform(
        self, input: Iterator[Asked], config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Answer]:
        """The answer, for the next step of a sequence that is streamed."""
        *_, asked = input
        yield self.invoke(asked, config)

    async def atransform(
        self, input: AsyncIterator[Asked], config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Answer]:
        """`transform` for async code."""
        *_, asked = [one async for one in input]
        yield await self.ainvoke(asked, config)


class DragomanRetriever(BaseRetriever):
    """Passages as LangChain documents; the metadata has the span of each."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    chain: Chain
    k: int = 10
    where: Filter = EVERYTHING

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [
            Document(
                page_content=item.passage.text,
                metadata={name: getattr(item.passage, name) for name in _METADATA} | {"score": item.score},
            )
            for item in self.chain.retrieve(query, self.k, self.where).passages
        ]


def _read(asked: Asked) -> tuple[str, list[Turn], Filter, str]:
    """Question, history, filter and interface of an input.

    Raises:
        ValueError: It has no question, or one that is not text.
    """
    if isinstance(asked, str):
        return asked, [], EVERYTHING, ""
    if not isinstance(asked, Mapping) or not isinstance(asked.get("question"), str):
        raise ValueError(f"the input is {asked!r:.100}; expected: a question, or a mapping with one as `question`")
    where, interface = asked.get("where") or EVERYTHING, asked.get("interface") or ""
    return asked["question"], _turns(asked.get("history") or ()), where, interface


def _turns(history: Sequence[Turn | BaseMessage]) -> list[Turn]:
    """The conversation as questions with their answers, without markers."""
    found: list[Turn] = []
    for item in history:
        if isinstance(item, Turn):
            found.append(item)
        elif isinstance(item, HumanMessage):
            found.append(Turn(item.text, ""))
        elif isinstance(item, AIMessage) and found:
            found[-1] = Turn(found[-1].question, without_markers(item.text))
    return found
