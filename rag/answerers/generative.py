"""Answers by any LangChain chat model, with citations that code resolves and checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from index.text.language import detect_language, detect_with_probability, same_language
from rag.answer import Abstention
from rag.answerers.base import Draft, Task, abstain, finish
from rag.answerers.extractive import ExtractiveAnswerer
from rag.answerers.guard import Instructions
from rag.answerers.models import ModelLimits, load_chat_model, stream_text
from rag.answerers.writer import SentenceWriter
from rag.citations import MarkerStream, make_keys, without_markers
from rag.errors import ModelFailed, PromptTooLong
from rag.events import Delta, Done, Event
from rag.prompts import REFUSAL, insistence, new_fence, system_prompt, user_prompt

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from index.search import ScoredPassage

__all__ = ["GenerativeAnswerer", "ModelLimits", "load_chat_model"]

_MAX_PASSAGES = 6
_TOKENS_OF_A_TITLE = 40
_CHARS_A_TOKEN = 3  # in alphabets; on the safe side for most models
_MAX_HISTORY = 4
_MIN_PROMPT_TOKENS = 500  # a prompt with fewer is not made shorter
_MIN_PROBABILITY = 0.8  # of a language, for a text to count as written in it


class _WrongLanguageError(Exception):
    """The first sentence is in another language than it should be; nothing of it has been shown."""


class GenerativeAnswerer:
    """Streams a model's answer; a model that fails never means no answer."""

    def __init__(
        self,
        model: BaseChatModel,
        *,
        fallback: BaseChatModel | None = None,
        limits: ModelLimits | None = None,
    ) -> None:
        """An answerer by `model`.

        Args:
            model: Asked first.
            fallback: Asked where it fails; after that the articles' own sentences answer.
            limits: How long each may take, and how often it is asked.
        """
        self._models = [model, *([fallback] if fallback is not None else [])]
        self._limits = limits or ModelLimits()

    def answer(self, task: Task) -> Iterator[Event]:
        draft = Draft()
        for place, model in enumerate(self._models, 1):
            try:
                yield from self._fitted(task, draft, model)
                return
            except ModelFailed as error:
                if place < len(self._models):
                    yield draft.warn(f"{error}; asked another model instead")
                    yield from _begin_again(draft)
                else:
                    yield from _quotations(task, draft, str(error))

    def _fitted(self, task: Task, draft: Draft, model: BaseChatModel) -> Iterator[Event]:
        """The answer; with half of the prompt as often as that is longer than the model's context."""
        max_tokens = self._limits.max_prompt_tokens
        while True:
            try:
                yield from self._in_its_language(task, draft, model, max_tokens)
                return
            except PromptTooLong:
                max_tokens //= 2
                if draft.pieces or max_tokens < _MIN_PROMPT_TOKENS:
                    raise

    def _in_its_language(self, task: Task, draft: Draft, model: BaseChatModel, max_tokens: int) -> Iterator[Event]:
        """The answer; a second request where the first begins in another language than the question."""
        try:
            yield from self._answer(task, draft, model, max_tokens, insist=False)
        except _WrongLanguageError:
            yield from self._answer(task, draft, model, max_tokens, insist=True)

    def _answer(
        self, task: Task, draft: Draft, model: BaseChatModel, max_tokens: int, *, insist: bool
    ) -> Iterator[Event]:
        keys = make_keys(_fitting(task, max_tokens))
        fence = new_fence()
        messages = _messages(task, keys, fence, insist=insist)
        stream = MarkerStream(frozenset(keys))
        writer = SentenceWriter(task, draft, keys, Instructions(str(messages[0].content), fence))
        head: str | None = ""  # a refusal is one word: nothing is shown before it is ruled out
        for text in stream_text(model, messages, self._limits, draft.count):
            if head is not None:
                head += text
                if _bare(head) == REFUSAL:
                    yield from abstain(task, Abstention.NOT_IN_PASSAGES, draft)
                    return
                if REFUSAL.startswith(_bare(head)):
                    continue
            for piece in stream.feed(text if head is None else head):
                yield from _checked(writer.take(piece), task, draft, insist)
            head = None
        for piece in [*stream.feed(head or ""), *stream.close()]:
            yield from _checked(writer.take(piece), task, draft, insist)
        yield from _checked(writer.close(), task, draft, insist)
        if not draft.sentences:
            raise ModelFailed("the model returned no text", "an answer or a refusal", "try again or another model")
        yield from _remarks(task, draft, stream, writer)
        yield from finish(task, draft, answer_language=detect_language(draft.text))


def _checked(events: Iterator[Event], task: Task, draft: Draft, insist: bool) -> Iterator[Event]:
    """`events`, unless the first sentence is in another language: then the draft is cleared.

    Raises:
        _WrongLanguageError: It is, and the model has not been asked twice.
    """
    for event in events:
        first = isinstance(event, Delta) and len(draft.pieces) == 1 and not draft.sentences
        if first and not insist and _other_language(without_markers(draft.pieces[0]), task.language):
            draft.clear()
            raise _WrongLanguageError
        yield event


def _other_language(text: str, wanted: str) -> bool:
    """Whether `text` is surely in another language than `wanted`, or in the other script of Chinese."""
    written, probability = detect_with_probability(text)
    if not (written and wanted) or probability < _MIN_PROBABILITY:
        return False
    return not same_language(written, wanted) or {written, wanted} == {"zh-Hant", "zh-Hans"}


def _bare(head: str) -> str:
    """The beginning of a reply, as long as a refusal, without quotes and emphasis before it."""
    return head.lstrip(" \n\t\"'`*")[: len(REFUSAL)]


def _remarks(task: Task, draft: Draft, stream: MarkerStream, writer: SentenceWriter) -> Iterator[Event]:
    if stream.n_unknown:
        yield draft.warn(f"{stream.n_unknown} citations of passages that were not given were removed")
    if writer.n_links:
        yield draft.warn(f"{writer.n_links} links, images or tags that the model wrote were removed")
    if writer.n_repeated:
        yield draft.warn(f"{writer.n_repeated} sentences that repeat the model's instructions were removed")
    n_unsupported = sum(not sentence.supported for sentence in draft.sentences)
    if n_unsupported:
        yield draft.warn(f"{n_unsupported} of {len(draft.sentences)} sentences are not supported by what they cite")
    if _other_language(draft.text, task.language):
        written = detect_with_probability(draft.text)[0]
        yield draft.warn(f"the answer is in {written}, not in the question's language ({task.language})")


def _quotations(task: Task, draft: Draft, reason: str) -> Iterator[Event]:
    """The extractive answer, with a warning, after a model has failed; it replaces the model's text."""
    yield draft.warn(f"{reason}; answered from the articles' own sentences instead")
    for event in ExtractiveAnswerer().answer(task):
        if isinstance(event, Done):
            warnings = (*draft.warnings, *event.answer.warnings)
            yield Done(replace(event.answer, warnings=warnings, usage=draft.usage))
        else:
            if isinstance(event, Delta):
                yield from _begin_again(draft)
            yield event


def _begin_again(draft: Draft) -> Iterator[Event]:
    """Clear the draft; with a gap in the stream where a reader has seen some of it."""
    if draft.pieces:
        yield Delta("\n\n")
    draft.clear()


def _fitting(task: Task, max_tokens: int) -> list[ScoredPassage]:
    """The first passages that fit into `max_tokens`, beside the question and the history; one at least."""
    spent = _tokens(task.question) + sum(_tokens(turn.question + turn.answer) for turn in task.history[-_MAX_HISTORY:])
    fitting: list[ScoredPassage] = []
    for item in task.found.passages[:_MAX_PASSAGES]:
        spent += _tokens(item.passage.text) + _TOKENS_OF_A_TITLE
        if fitting and spent > max_tokens:
            break
        fitting.append(item)
    return fitting


def _tokens(text: str) -> int:
    """Roughly how many tokens `text` has: one a character in scripts where a character is a syllable or more."""
    wide = sum(char > "\u0dff" for char in text)
    return wide + -(-(len(text) - wide) // _CHARS_A_TOKEN)


def _messages(task: Task, keys: dict[str, ScoredPassage], fence: str, *, insist: bool) -> list[Any]:
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

    system = system_prompt(task.language, next(iter(keys)), fence)
    messages: list[Any] = [SystemMessage(system)]
    for turn in task.history[-_MAX_HISTORY:]:
        messages += [HumanMessage(turn.question), AIMessage(without_markers(turn.answer))]
    asked = user_prompt(task.question, keys, fence)
    return [*messages, HumanMessage(f"{asked}\n\n{insistence(task.language)}" if insist else asked)]
