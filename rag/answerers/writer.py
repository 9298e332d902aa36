"""A model's text as sentences: each with its citations, its verdict, and a mark where it is not supported."""

from __future__ import annotations

from collections.abc import Iterator

import regex

from index.search import ScoredPassage
from index.text.sentences import split_sentences
from rag.answer import AnswerSentence, Verdict
from rag.answerers.base import Draft, Task
from rag.answerers.guard import Instructions, without_links
from rag.citations import without_markers
from rag.events import Event
from rag.phrases import phrase
from rag.verify import Support, support

_BEGINS = regex.compile(r"[\p{L}\p{N}]")
_STOP = regex.compile(r"\s*(?:[.。!！?？…]+[”’»」』)）\"']*)?")
_ORDER = list(Verdict)  # the best first
_GOES_ON = ",;:，、；：)）"


class SentenceWriter:
    """Collects text and markers into sentences, and gives each its citations and verdict."""

    def __init__(self, task: Task, draft: Draft, keys: dict[str, ScoredPassage], instructions: Instructions) -> None:
        self._task, self._draft, self._keys, self._instructions = task, draft, keys, instructions
        self.n_links = self.n_repeated = 0  # removed
        self._text = ""  # since the last closed sentence, without markers
        self._cited: list[tuple[int, str]] = []  # position in that text, key
        self._behind: str | None = None  # text behind the last marker, until it is clear whose it is

    def take(self, piece: str | tuple[str, ...]) -> Iterator[Event]:
        """The events of a piece: text, or the keys of a marker."""
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
        """The events of the text that is left."""
        self._text = self._text.rstrip() + (self._behind or "").strip(" ")
        yield from self._close_sentences()

    def _after_marker(self, behind: str) -> Iterator[Event]:
        """Go on behind a marker: the stop of its sentence, the rest of its sentence, or the next sentence."""
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

    def _close_sentences(self) -> Iterator[Event]:
        text, cited = self._text, self._cited
        self._text, self._cited = "", []
        spans = split_sentences(text, self._task.language)
        for i, (start, end) in enumerate(spans):
            # A marker belongs to the sentence that it is in or behind; one before all text to the first.
            last = spans[i + 1].start if i + 1 < len(spans) else len(text)
            keys = [key for at, key in cited if (start < at or i == 0) and at <= last]
            shown, n_links = without_links(without_markers(text[start:end]).strip())
            self.n_links += n_links
            if self._instructions.repeated_in(shown):
                self.n_repeated += 1
            elif _BEGINS.search(shown):
                yield from self._emit(shown, list(dict.fromkeys(keys)))

    def _emit(self, sentence: str, keys: list[str]) -> Iterator[Event]:
        cited = [(key, self._support(sentence, key)) for key in keys] or self._attributed(sentence)
        numbers = [self._draft.cite(self._keys[key].passage, found.start, found.end) for key, found in cited]
        numbers = list(dict.fromkeys(numbers))
        verdict = min((found.verdict for _, found in cited), key=_ORDER.index, default=Verdict.NO_SOURCE)
        space = _space_before(self._draft.pieces[-1], sentence) if self._draft.pieces else ""
        marked = sentence + (" " if numbers else "") + "".join(f"[{n}]" for n in numbers)
        if verdict is not Verdict.SUPPORTED:
            marked += f" ({phrase(str(verdict), self._task.language)})"
        yield self._draft.say(space + marked)
        yield self._draft.close(AnswerSentence(sentence, verdict, tuple(numbers)))

    def _support(self, sentence: str, key: str) -> Support:
        return support(sentence, self._keys[key].passage, self._task.encoder, self._task.names)

    def _attributed(self, sentence: str) -> list[tuple[str, Support]]:
        """The passage that best supports a sentence without citations; empty where none does."""
        found = [(key, self._support(sentence, key)) for key in self._keys]
        holding = [one for one in found if one[1].verdict is Verdict.SUPPORTED]
        return [max(holding, key=lambda one: one[1].cosine)] if holding else []


def _space_before(last: str, sentence: str) -> str:
    if last.endswith("\n") or not sentence or sentence[0] in _GOES_ON:
        return ""
    wide = "\u2e80" <= sentence[0] <= "\u9fff" or "\u3040" <= sentence[0] <= "\u30ff"
    return "" if wide and not last.endswith(("]", ")")) else " "
