"""A model's text as sentences: each with its citations, its verdict, and its mark where it is not borne out."""

from __future__ import annotations

from collections.abc import Iterator

import regex

from index.search import ScoredPassage
from index.text.language import detect_language
from index.text.sentences import split_sentences
from rag.answer import AnswerSentence
from rag.answerers.base import Draft, Task, close_sentence, say
from rag.answerers.guard import Instructions, without_links
from rag.citations import without_markers
from rag.events import Event
from rag.phrases import phrase
from rag.verify import Support, Verdict, support
from rag.verify.judges import Judge, Judgement, judged

_BEGINS = regex.compile(r"[\p{L}\p{N}]")
_STOP = regex.compile(r"\s*(?:[.。!！?？…]+[”’»」』)）\"']*)?")
_GOES_ON = ",;:，、；：)）"


class SentenceWriter:
    """Collects text and markers into sentences, and gives each its citations and verdict."""

    def __init__(
        self,
        task: Task,
        draft: Draft,
        keys: dict[str, ScoredPassage],
        instructions: Instructions,
        judge: Judge | None = None,
    ) -> None:
        self._task, self._draft, self._keys = task, draft, keys
        self._instructions, self._judge = instructions, judge
        self.n_links = self.n_repeated = 0  # what was removed
        self.n_unjudged = 0  # verdicts on which the judge had no opinion
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
            shown, n_links = without_links(without_markers(text[start:end]).strip())
            self.n_links += n_links
            if self._instructions.repeated_in(shown):
                self.n_repeated += 1
            elif _BEGINS.search(shown):
                yield from self._emit(shown, list(dict.fromkeys(keys)))

    def _emit(self, sentence: str, keys: list[str]) -> Iterator[Event]:
        cited = [(key, self._judged(sentence, key, self._support(sentence, key))) for key in keys]
        cited = cited or self._attributed(sentence)
        numbers = [self._draft.cite(self._keys[key].passage, found.start, found.end) for key, found in cited]
        numbers = list(dict.fromkeys(numbers))
        verdict = min((found.verdict for _, found in cited), key=_ORDER.index, default=Verdict.NO_SOURCE)
        space = "" if not self._draft.pieces else _space_before(self._draft.pieces[-1], sentence)
        marked = sentence + (" " if numbers else "") + "".join(f"[{n}]" for n in numbers)
        if verdict is not Verdict.SUPPORTED:
            marked += f" ({phrase(str(verdict), self._task.language)})"
        yield say(self._draft, space + marked)
        yield close_sentence(self._draft, AnswerSentence(sentence, verdict, tuple(numbers)))

    def _support(self, sentence: str, key: str) -> Support:
        return support(sentence, self._keys[key].passage, self._task.encoder, self._task.names)

    def _judged(self, sentence: str, key: str, found: Support) -> Support:
        if self._judge is None:
            return found
        found, said = judged(found, sentence, self._keys[key].passage, self._judge)
        self.n_unjudged += said is Judgement.NONE
        return found

    def _attributed(self, sentence: str) -> list[tuple[str, Support]]:
        """The passage that bears out best a sentence that cites none; none where none does."""
        found = [(key, self._support(sentence, key)) for key in self._keys]
        holding = [one for one in found if one[1].holds]
        if not holding:
            return []
        key, best = max(holding, key=lambda one: one[1].cosine)
        best = self._judged(sentence, key, best)
        return [(key, best)] if best.holds else []


_ORDER = list(Verdict)  # the best first


def _space_before(last: str, sentence: str) -> str:
    if last.endswith("\n") or not sentence or sentence[0] in _GOES_ON:
        return ""
    wide = "\u2e80" <= sentence[0] <= "\u9fff" or "\u3040" <= sentence[0] <= "\u30ff"
    return "" if wide and not last.endswith(("]", ")")) else " "
