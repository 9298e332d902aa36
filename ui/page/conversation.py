"""A conversation of the page: messages to turns, a question to shown text, and what is kept of it in the browser."""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from index.errors import IndexProblem
from index.search import MAX_QUESTION_CHARS
from index.store.base import Filter
from rag.answer import Answer, AnswerSentence
from rag.answerers.base import Turn
from rag.chain import Chain
from rag.errors import AnswerProblem
from rag.events import Delta, Done, Failed, SentenceDone, Warned
from rag.phrases import Part, phrase
from ui.page.markup import answer_markdown, inert, panel_section, plain_answer

Message = dict[str, Any]
_MAX_TURNS = 4  # of a conversation that a follow-up is read with
_MIN_PAUSE_S = 0.04  # between two states of a growing answer; the first is never held back
_MAX_KEPT = 20  # conversations in the browser
_MAX_KEPT_CHARS = 200_000  # of them together: they travel with every save
_TITLE_CHARS = 60
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shown:
    """A state of an answer: its Markdown, and once it is done its section of the panel."""

    answer: str
    section: str = ""


@dataclass(slots=True)
class Remembered:
    """The last `most` answers by id, for the feedback on them, and the last opinions."""

    most: int = 500
    _answers: OrderedDict[str, Answer] = field(default_factory=OrderedDict)
    _opinions: OrderedDict[tuple[str, ...], bool] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def add(self, answer_id: str, answer: Answer) -> None:
        self._keep(self._answers, answer_id, answer)

    def get(self, answer_id: str) -> Answer | None:
        with self._lock:
            return self._answers.get(answer_id)

    def is_new(self, *opinion: str) -> bool:
        """Whether this opinion comes for the first time: gradio reports those under the flag twice."""
        return self._keep(self._opinions, opinion, True)

    def _keep(self, kept: OrderedDict[Any, Any], key: Any, value: Any) -> bool:
        with self._lock:
            if is_new := key not in kept:
                kept[key] = value
            while len(kept) > self.most:
                kept.popitem(last=False)
            return is_new


def reply(
    chain: Chain, question: str, history: Sequence[Turn], where: Filter, lang: str, remembered: Remembered
) -> Iterator[Shown]:
    """The states of an answer, the first as soon as there is any text; a failure is in the page's language."""
    answer_id = secrets.token_hex(4)
    said, warnings, sentences, last = "", "", list[AnswerSentence](), 0.0
    events = chain.stream(question, history[-_MAX_TURNS:], where, lang)
    try:
        for event in events:
            if isinstance(event, Delta):
                said += event.text
                if time.monotonic() - last >= _MIN_PAUSE_S:
                    last = time.monotonic()
                    yield Shown(answer_markdown(said, answer_id, sentences, lang))
            elif isinstance(event, SentenceDone):
                sentences.append(event.sentence)
            elif isinstance(event, Warned):
                warnings += f"\n\n⚠ {inert(event.message)}"
            elif isinstance(event, Done):
                answer = event.answer
                remembered.add(answer_id, answer)
                whole = answer_markdown(answer.text, answer_id, answer.sentences, lang)
                yield Shown(whole + warnings, panel_section(answer, answer_id, lang))
            elif isinstance(event, Failed):
                raise event.error
    except Exception as error:  # noqa: BLE001 - the page shows words, the log has the rest
        yield Shown(f"⚠ {inert(problem(error, question, lang))}")
    finally:
        events.close()  # type: ignore[attr-defined]  # nobody reads on: stop the model too


def problem(error: Exception, question: str, lang: str) -> str:
    """What went wrong, in the page's language; only our own messages say more."""
    n_chars = len(question.strip())
    if n_chars > MAX_QUESTION_CHARS:
        return (
            phrase("too_long", lang, Part.PAGE).replace("{n}", str(n_chars)).replace("{max}", str(MAX_QUESTION_CHARS))
        )
    if not n_chars:
        return phrase("empty_question", lang, Part.PAGE)
    if isinstance(error, IndexProblem):
        _log.warning("a question could not be answered: %s", error)
        return phrase("index_problem", lang, Part.PAGE)
    if isinstance(error, AnswerProblem):
        return f"{phrase('model_problem', lang, Part.PAGE)} ({error})"
    if isinstance(error, ValueError):
        return str(error)
    _log.error("a question could not be answered", exc_info=error)
    return phrase("internal", lang, Part.PAGE)


def filter_of(languages: Sequence[str] | None, since: str | None, until: str | None) -> Filter:
    """The filter of the page's fields.

    Raises:
        ValueError: A date cannot be read.
    """
    tags = tuple(str(name)[:35] for name in (languages or [])[:50])
    return Filter(languages=tags, since=(since or "").strip(), until=(until or "").strip())


def message_text(message: Message) -> str:
    """The text of a message of gradio's, whatever else is in it left out."""
    content = message.get("content", "")
    parts = content if isinstance(content, list) else [content]
    return " ".join(str(part.get("text") or "") if isinstance(part, dict) else str(part) for part in parts)


def plain_messages(history: Sequence[Message] | None) -> list[Message]:
    """Questions and answers as text alone: a client may send files and components, which nothing here makes."""
    return [
        {"role": message["role"], "content": message_text(message)}
        for message in history or []
        if message.get("role") in ("user", "assistant")
    ]


def turns(history: Sequence[Message]) -> list[Turn]:
    """Gradio's messages as the questions and answers of the conversation, oldest first, markers left out."""
    found: list[Turn] = []
    for message in history:
        said = message_text(message)
        if message.get("role") == "user":
            found.append(Turn(said, ""))
        elif found:
            found[-1] = Turn(found[-1].question, plain_answer(said))
    return found


def before_question(history: Sequence[Message], index: int | None = None) -> tuple[list[Message], str]:
    """The messages before the question at or above `index` (the last one by default), and that question."""
    at = len(history) - 1 if index is None else min(index, len(history) - 1)
    while at >= 0 and history[at]["role"] != "user":
        at -= 1
    return (list(history[:at]), message_text(history[at])) if at >= 0 else ([], "")


def kept(
    saved: Any, own_id: str, history: Sequence[Message], sections: Sequence[str]
) -> tuple[str, list[dict[str, Any]]]:
    """The id of this conversation, and all that the browser keeps, this one first; an empty one is not kept."""
    others = [one for one in _valid(saved) if one["id"] != own_id]
    messages = plain_messages(history)
    if not messages:
        return own_id, others
    own_id = own_id or secrets.token_hex(8)
    title = " ".join(message_text(messages[0]).split())
    title = title if len(title) <= _TITLE_CHARS else f"{title[:_TITLE_CHARS]}…"
    everything = [{"id": own_id, "title": title, "messages": messages, "sections": list(sections)}, *others]
    while len(everything) > _MAX_KEPT or (len(everything) > 1 and _n_chars(everything) > _MAX_KEPT_CHARS):
        everything.pop()
    return own_id, everything


def choices(saved: Any) -> list[tuple[str, str]]:
    """(title, id) of the kept conversations."""
    return [(one["title"], one["id"]) for one in _valid(saved)]


def restored(saved: Any, own_id: str) -> tuple[list[Message], list[str]]:
    """Messages and panel sections of a kept conversation, empty where there is none."""
    for one in _valid(saved):
        if one["id"] == own_id:
            return plain_messages(one["messages"]), [str(section) for section in one["sections"]]
    return [], []


def _n_chars(conversations: Sequence[dict[str, Any]]) -> int:
    return sum(len(str(one["messages"])) + len(str(one["sections"])) for one in conversations)


def _valid(saved: Any) -> list[dict[str, Any]]:
    """The conversations in the browser's storage that have our shape: anybody at the browser can write there."""
    shape = {"id": str, "title": str, "messages": list, "sections": list}
    return [
        one
        for one in (saved if isinstance(saved, list) else [])[:_MAX_KEPT]
        if isinstance(one, dict)
        and all(isinstance(one.get(name), kind) for name, kind in shape.items())
        and all(isinstance(message, dict) for message in one["messages"])
    ]
