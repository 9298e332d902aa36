"""Answers by any LangChain chat model, with citations that code resolves and checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from index.text.language import detect_with_probability, same_language
from rag.answer import Abstention
from rag.answerers.base import Draft, Task, finish, say, warn
from rag.answerers.extractive import ExtractiveAnswerer
from rag.answerers.guard import Instructions
from rag.answerers.models import ModelLimits, load_chat_model, stream_text
from rag.answerers.writer import SentenceWriter
from rag.citations import MarkerStream, make_keys, without_markers
from rag.errors import ModelFailed
from rag.events import Delta, Done, Event
from rag.phrases import phrase, phrase_language
from rag.prompts import REFUSAL, insistence, new_fence, system_prompt, user_prompt

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from index.search import ScoredPassage
    from rag.verify.judges import Judge

__all__ = ["GenerativeAnswerer", "ModelLimits", "load_chat_model"]

_MAX_PASSAGES = 6
_MAX_HISTORY = 4
_MIN_SURE = 0.8  # probability at which a text is held to be in another language


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
        judge: Judge | None = None,
    ) -> None:
        """An answerer by `model`.

        Args:
            model: Asked first.
            fallback: Asked where it fails; then the articles' own sentences answer.
            limits: How long each may take, and how often it is asked.
            judge: Also looks whether each sentence follows from what it cites.
        """
        self._models = [model, *([fallback] if fallback is not None else [])]
        self._limits, self._judge = limits or ModelLimits(), judge

    def answer(self, task: Task) -> Iterator[Event]:
        draft = Draft()
        for place, model in enumerate(self._models, 1):
            try:
                yield from self._in_its_language(task, draft, model)
                return
            except ModelFailed as error:
                if place < len(self._models):
                    yield warn(draft, f"{error}; asked another model instead")
                    yield from _begin_again(draft)
                else:
                    yield from _fall_back(task, draft, str(error))

    def _in_its_language(self, task: Task, draft: Draft, model: BaseChatModel) -> Iterator[Event]:
        """The answer; asked for once more where it begins in another language than the question's."""
        try:
            yield from self._answer(task, draft, model, insist=False)
        except _WrongLanguageError:
            yield from self._answer(task, draft, model, insist=True)

    def _answer(self, task: Task, draft: Draft, model: BaseChatModel, *, insist: bool) -> Iterator[Event]:
        keys = make_keys(_fitting(task, self._limits.max_prompt_tokens))
        fence = new_fence()
        messages = _messages(task, keys, fence, insist=insist)
        stream = MarkerStream(frozenset(keys))
        writer = SentenceWriter(task, draft, keys, Instructions(str(messages[0].content), fence), self._judge)
        head: str | None = ""  # a refusal is one word: nothing is shown until it is clear that this is none
        for text in stream_text(model, messages, self._limits, draft.count):
            if head is not None:
                head += text
                if _refuses(head):
                    yield from abstain(task, draft)
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
        yield from finish(task, draft, abstained=False, answer_language=writer.language())


def _checked(events: Iterator[Event], task: Task, draft: Draft, insist: bool) -> Iterator[Event]:
    """`events`, but for a first sentence in another language, of which nothing is left in the draft.

    Raises:
        _WrongLanguageError: There is such a sentence, and the model has not been asked twice.
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
    if not (written and wanted) or probability < _MIN_SURE:
        return False
    return not same_language(written, wanted) or {written, wanted} == {"zh-Hant", "zh-Hans"}


def _bare(head: str) -> str:
    """The beginning of a reply, as long as a refusal, without quotes and emphasis before it."""
    return head.lstrip(" \n\t\"'`*")[: len(REFUSAL)]


def _refuses(head: str) -> bool:
    return _bare(head) == REFUSAL


def abstain(task: Task, draft: Draft | None = None) -> Iterator[Event]:
    """The events of an answer that says that there is none."""
    draft = draft or Draft()
    language = phrase_language(task.language)
    yield say(draft, phrase("abstain", language))
    yield from finish(task, draft, abstained=True, reason=Abstention.NOT_IN_PASSAGES, answer_language=language)


def _remarks(task: Task, draft: Draft, stream: MarkerStream, writer: SentenceWriter) -> Iterator[Event]:
    if stream.n_unknown:
        yield warn(draft, f"{stream.n_unknown} citations of passages that were not given were removed")
    if writer.n_links:
        yield warn(draft, f"{writer.n_links} links, images or tags that the model wrote were removed")
    if writer.n_repeated:
        yield warn(draft, f"{writer.n_repeated} sentences that repeat the model's instructions were removed")
    if writer.n_unjudged:
        yield warn(draft, f"the judge gave no opinion on {writer.n_unjudged} of the citations")
    n_unsupported = sum(not sentence.supported for sentence in draft.sentences)
    if n_unsupported:
        yield warn(draft, f"{n_unsupported} of {len(draft.sentences)} sentences are not supported by what they cite")
    text = " ".join(sentence.text for sentence in draft.sentences)
    if _other_language(text, task.language):
        written = detect_with_probability(text)[0]
        yield warn(draft, f"the answer is in {written}, not in the question's language ({task.language})")


def _fall_back(task: Task, draft: Draft, reason: str) -> Iterator[Event]:
    """The extractive answer, with a warning, after a model has failed; what it said before is replaced."""
    yield warn(draft, f"{reason}; answered from the articles' own sentences instead")
    for event in ExtractiveAnswerer().answer(task):
        if isinstance(event, Done):
            warnings = (*draft.warnings, *event.answer.warnings)
            yield Done(replace(event.answer, warnings=warnings, usage=draft.usage))
        else:
            if isinstance(event, Delta):
                yield from _begin_again(draft)
            yield event


def _begin_again(draft: Draft) -> Iterator[Event]:
    """Forget what has been said, with a gap behind it where somebody has seen it."""
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


_TOKENS_OF_A_TITLE = 40
_CHARS_A_TOKEN = 3  # of alphabets; on the safe side for most models


def _tokens(text: str) -> int:
    """About how many tokens a model makes of `text`: one a character in scripts that say a syllable or more with it."""
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
