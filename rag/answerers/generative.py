"""Answers by any LangChain chat model, with citations that code resolves and checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from index.language import detect_language, same_language
from index.segment import split_sentences
from rag.answer import AnswerSentence
from rag.answerers.base import Draft, Task, close_sentence, finish, say, warn
from rag.answerers.extractive import ExtractiveAnswerer
from rag.citations import MarkerStream, make_keys
from rag.errors import ModelFailed, ModelUnavailable
from rag.events import Delta, Done, Event
from rag.phrases import phrase, phrase_language
from rag.prompts import REFUSAL, new_fence, system_prompt, user_prompt
from rag.verify import support

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from index.search import ScoredPassage

_MAX_PASSAGES = 6
_MAX_HISTORY = 4


def load_chat_model(spec: str) -> BaseChatModel:
    """The chat model `PROVIDER:NAME` names, by LangChain's `init_chat_model`.

    Raises:
        ModelUnavailable: The provider's package or its key is missing, or the name is unknown.
    """
    provider = spec.split(":")[0] if ":" in spec else ""
    try:
        from langchain.chat_models import init_chat_model

        model: BaseChatModel = init_chat_model(spec, temperature=0)
    except Exception as error:
        raise ModelUnavailable(
            f"the model {spec!r} cannot be set up ({type(error).__name__}: {str(error)[:300]})",
            "PROVIDER:NAME, as in openai:gpt-5-mini or ollama:llama3.2, the provider's package and its key",
            f"pip install langchain-{provider or 'openai'}, and set the provider's key in the environment",
        ) from error
    return model


class GenerativeAnswerer:
    """Streams a model's answer; a model that fails never means no answer."""

    def __init__(self, model: BaseChatModel) -> None:
        self._model = model

    def answer(self, task: Task) -> Iterator[Event]:
        draft = Draft()
        try:
            yield from self._answer(task, draft)
        except ModelFailed as error:
            yield from _fall_back(task, draft, str(error))

    def _answer(self, task: Task, draft: Draft) -> Iterator[Event]:
        keys = make_keys(task.found.passages[:_MAX_PASSAGES])
        fence = new_fence()
        messages = _messages(task, keys, fence)
        stream = MarkerStream(frozenset(keys))
        writer = _SentenceWriter(task, draft, keys)
        head = ""
        started = False
        for text in self._stream(messages):
            if not started:
                # A refusal is one word: nothing is shown until it is clear that this is none.
                head += text
                if REFUSAL.startswith(head.strip()[: len(REFUSAL)]):
                    if head.strip().startswith(REFUSAL):
                        break
                    continue
                started = True
                pieces = stream.feed(head)
            else:
                pieces = stream.feed(text)
            for piece in pieces:
                yield from writer.take(piece)
        if not started and head.strip().startswith(REFUSAL):
            yield from abstain(task, draft)
            return
        for piece in [*(stream.feed(head) if not started else ()), *stream.close()]:
            yield from writer.take(piece)
        yield from writer.close()
        if not draft.sentences:
            raise ModelFailed("the model returned no text", "an answer or a refusal", "try again or another model")
        yield from _remarks(task, draft, stream)
        yield from finish(task, draft, abstained=False, answer_language=writer.language())

    def _stream(self, messages: list[Any]) -> Iterator[str]:
        try:
            for chunk in self._model.stream(messages):
                if text := _text_of(chunk.content):
                    yield text
        except Exception as error:
            raise ModelFailed(
                f"the model failed ({type(error).__name__}: {str(error)[:200]})",
                "an answer",
                "try again or another model",
            ) from error


class _SentenceWriter:
    """Collects text and markers into sentences, and gives each its citations and verdict."""

    def __init__(self, task: Task, draft: Draft, keys: dict[str, ScoredPassage]) -> None:
        self._task, self._draft, self._keys = task, draft, keys
        self._text = ""  # since the last closed sentence, markers left out
        self._cited: list[str] = []

    def take(self, piece: str | tuple[str, ...]) -> Iterator[Event]:
        if isinstance(piece, tuple):
            self._cited.extend(key for key in piece if key not in self._cited)
            return
        # Text behind a marker begins a new sentence, unless it is only the stop of the old one.
        stripped = piece.lstrip(" ")
        if self._cited and stripped and stripped[0] not in ".。!！?？…":
            yield from self._close_sentences(final=True)
        elif self._cited and stripped:
            self._text = self._text.rstrip() + stripped[0]
            piece = stripped[1:]
            yield from self._close_sentences(final=True)
        self._text += piece

    def close(self) -> Iterator[Event]:
        yield from self._close_sentences(final=True)

    def language(self) -> str:
        return detect_language(" ".join(sentence.text for sentence in self._draft.sentences))

    def _close_sentences(self, final: bool) -> Iterator[Event]:
        text, cited = self._text, self._cited
        self._text, self._cited = "", []
        spans = split_sentences(text, self._task.language)
        for i, (start, end) in enumerate(spans):
            # Markers stand behind the sentence that they belong to: the last one.
            keys = cited if i == len(spans) - 1 else []
            yield from self._emit(text[start:end], keys)

    def _emit(self, sentence: str, keys: list[str]) -> Iterator[Event]:
        numbers, supported = [], False
        for key in keys:
            passage = self._keys[key].passage
            found = support(sentence, passage, self._task.encoder)
            numbers.append(self._draft.cite(passage, found.start, found.end))
            supported = supported or found.holds
        numbers = list(dict.fromkeys(numbers))
        space = "" if not self._draft.pieces else _space_before(self._draft.pieces[-1], sentence)
        yield say(self._draft, space + sentence + (" " if numbers else "") + "".join(f"[{n}]" for n in numbers))
        yield close_sentence(self._draft, AnswerSentence(sentence, supported, tuple(numbers)))


def abstain(task: Task, draft: Draft | None = None) -> Iterator[Event]:
    """The events of an answer that says that there is none."""
    draft = draft or Draft()
    language = phrase_language(task.language)
    yield say(draft, phrase("abstain", language))
    yield from finish(task, draft, abstained=True, answer_language=language)


def _remarks(task: Task, draft: Draft, stream: MarkerStream) -> Iterator[Event]:
    if stream.n_unknown:
        yield warn(draft, f"{stream.n_unknown} citations of passages that were not given were removed")
    n_unsupported = sum(not sentence.supported for sentence in draft.sentences)
    if n_unsupported:
        yield warn(draft, f"{n_unsupported} of {len(draft.sentences)} sentences are not supported by what they cite")
    written = detect_language(" ".join(sentence.text for sentence in draft.sentences))
    if written and task.language and not same_language(written, task.language):
        yield warn(draft, f"the answer is in {written}, not in the question's language ({task.language})")


def _fall_back(task: Task, draft: Draft, reason: str) -> Iterator[Event]:
    """The extractive answer, with a warning, after a model has failed; what it said before is replaced."""
    yield warn(draft, f"{reason}; answered from the articles' own sentences instead")
    for event in ExtractiveAnswerer().answer(task):
        if isinstance(event, Done):
            from dataclasses import replace

            yield Done(replace(event.answer, warnings=(*draft.warnings, *event.answer.warnings)))
        else:
            if isinstance(event, Delta) and draft.pieces:
                yield Delta("\n\n")
                draft.pieces.clear()
            yield event


def _messages(task: Task, keys: dict[str, ScoredPassage], fence: str) -> list[Any]:
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

    messages: list[Any] = [SystemMessage(system_prompt(task.language, next(iter(keys)), fence))]
    for turn in task.history[-_MAX_HISTORY:]:
        messages += [HumanMessage(turn.question), AIMessage(turn.answer)]
    return [*messages, HumanMessage(user_prompt(task.question, keys, fence))]


def _text_of(content: Any) -> str:
    """The text of a chunk, which providers give as a string or as a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") if isinstance(part, dict) else str(part) for part in content)


def _space_before(last: str, sentence: str) -> str:
    if last.endswith("\n") or not sentence:
        return ""
    wide = "\u2e80" <= sentence[0] <= "\u9fff" or "\u3040" <= sentence[0] <= "\u30ff"
    return "" if wide and not last.endswith("]") else " "
