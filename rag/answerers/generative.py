"""Answers by any LangChain chat model, with citations that code resolves and checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import regex

from index.language import detect_language, same_language
from index.segment import split_sentences
from rag.answer import AnswerSentence
from rag.answerers.base import Draft, Task, close_sentence, finish, say, warn
from rag.answerers.extractive import ExtractiveAnswerer
from rag.citations import MarkerStream, make_keys, without_markers
from rag.errors import ModelFailed, ModelUnavailable
from rag.events import Delta, Done, Event
from rag.phrases import phrase, phrase_language
from rag.prompts import REFUSAL, new_fence, system_prompt, user_prompt
from rag.verify import Support, Verdict, support

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from index.search import ScoredPassage

_MAX_PASSAGES = 6
_MAX_HISTORY = 4
_BEGINS = regex.compile(r"[\p{L}\p{N}]")
_STOP = regex.compile(r"\s*(?:[.。!！?？…]+[”’»」』)）\"']*)?")
_GOES_ON = ",;:，、；：)）"


def load_chat_model(spec: str, *, timeout_s: float = 60.0, max_retries: int = 2) -> BaseChatModel:
    """The chat model `PROVIDER:NAME` names, by LangChain's `init_chat_model`.

    Args:
        spec: PROVIDER:NAME, as in `openai:gpt-5-mini`.
        timeout_s: For one request, and between two pieces of its answer.
        max_retries: Repeats of a request that failed, where the provider's package has them.

    Raises:
        ModelUnavailable: The provider's package or its key is missing, or the name is unknown.
    """
    provider = spec.split(":")[0] if ":" in spec else ""
    try:
        from langchain.chat_models import init_chat_model

        if not spec.split(":")[-1].strip():
            raise ValueError("no name of a model")
        model: BaseChatModel = init_chat_model(spec, temperature=0, timeout=timeout_s, max_retries=max_retries)
    except Exception as error:
        raise ModelUnavailable(
            f"the model {spec!r} cannot be set up ({type(error).__name__}: {str(error)[:300]})",
            "PROVIDER:NAME, as in openai:gpt-5-mini or ollama:llama3.2, the provider's package and its key",
            _remedy(provider),
        ) from error
    return model


# PROVIDER as LangChain spells it -> our extra that brings its package.
_EXTRAS = {
    "openai": "openai", "anthropic": "anthropic", "google_genai": "google", "mistralai": "mistral", "ollama": "ollama"
}  # fmt: skip


def _remedy(provider: str) -> str:
    extra = _EXTRAS.get(provider)
    if extra is None:
        return f"use one of {', '.join(_EXTRAS)}, or install LangChain's package for {provider or 'your provider'}"
    return f"pip install 'dragoman[{extra}]'" + ("" if extra == "ollama" else ", and set its key in the environment")


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
        head: str | None = ""  # a refusal is one word: nothing is shown until it is clear that this is none
        for text in self._stream(messages):
            if head is not None:
                head += text
                if _refuses(head):
                    yield from abstain(task, draft)
                    return
                if REFUSAL.startswith(_bare(head)):
                    continue
            for piece in stream.feed(text if head is None else head):
                yield from writer.take(piece)
            head = None
        for piece in [*stream.feed(head or ""), *stream.close()]:
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
        self._cited: list[tuple[int, str]] = []  # where in that text a key stood
        self._behind: str | None = None  # what came behind the last marker, while it is not clear what it is

    def take(self, piece: str | tuple[str, ...]) -> Iterator[Event]:
        if isinstance(piece, tuple):
            if self._behind is not None and self._behind.strip(" ,;、，；"):
                self._text += self._behind
            self._behind = ""
            self._cited += [(len(self._text.rstrip()), key) for key in piece]
        elif self._behind is None:
            self._text += piece
        else:
            self._behind += piece
            if _BEGINS.search(self._behind):
                yield from self._after_marker(self._behind)

    def close(self) -> Iterator[Event]:
        self._text = self._text.rstrip() + (self._behind or "").strip(" ")
        yield from self._close_sentences()

    def _after_marker(self, behind: str) -> Iterator[Event]:
        """Go on behind a marker: after the stop of its sentence, with the rest of it, or with the next one."""
        self._behind = None
        stop = _STOP.match(behind)
        end = stop.end() if stop else 0
        text, rest = self._text.rstrip() + behind[:end].strip(), behind[end:]
        first = rest.lstrip()[:1]
        if not text:
            self._text = rest  # a marker before all text
            return
        if not behind[:end].strip() and (first in _GOES_ON or first.islower()):
            self._text = text + ("" if first in _GOES_ON else " ") + rest.lstrip()
            return
        self._text = text
        yield from self._close_sentences()
        self._text = rest

    def language(self) -> str:
        return detect_language(" ".join(sentence.text for sentence in self._draft.sentences))

    def _close_sentences(self) -> Iterator[Event]:
        text, cited = self._text, self._cited
        self._text, self._cited = "", []
        spans = split_sentences(text, self._task.language)
        for i, (start, end) in enumerate(spans):
            # A marker stands in its sentence or behind it; one before all text belongs to the first.
            last = spans[i + 1].start if i + 1 < len(spans) else len(text)
            keys = [key for at, key in cited if (start < at or i == 0) and at <= last]
            if sentence := without_markers(text[start:end]).strip():
                yield from self._emit(sentence, list(dict.fromkeys(keys)))

    def _emit(self, sentence: str, keys: list[str]) -> Iterator[Event]:
        cited = [(key, self._support(sentence, key)) for key in keys] or self._attributed(sentence)
        numbers = [self._draft.cite(self._keys[key].passage, found.start, found.end) for key, found in cited]
        numbers = list(dict.fromkeys(numbers))
        verdict = min((found.verdict for _, found in cited), key=_ORDER.index, default=Verdict.NO_SOURCE)
        space = "" if not self._draft.pieces else _space_before(self._draft.pieces[-1], sentence)
        marked = sentence + (" " if numbers else "") + "".join(f"[{n}]" for n in numbers)
        if verdict is not Verdict.SUPPORTED:
            marked += f" ({phrase(str(verdict), phrase_language(self._task.language))})"
        yield say(self._draft, space + marked)
        yield close_sentence(self._draft, AnswerSentence(sentence, verdict, tuple(numbers)))

    def _support(self, sentence: str, key: str) -> Support:
        return support(sentence, self._keys[key].passage, self._task.encoder, self._task.names)

    def _attributed(self, sentence: str) -> list[tuple[str, Support]]:
        """The passage that bears out best a sentence that cites none; none where none does."""
        found = [(key, self._support(sentence, key)) for key in self._keys]
        holding = [one for one in found if one[1].holds]
        return [max(holding, key=lambda one: one[1].cosine)] if holding else []


_ORDER = list(Verdict)  # the best first


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
    if last.endswith("\n") or not sentence or sentence[0] in _GOES_ON:
        return ""
    wide = "\u2e80" <= sentence[0] <= "\u9fff" or "\u3040" <= sentence[0] <= "\u30ff"
    return "" if wide and not last.endswith(("]", ")")) else " "
