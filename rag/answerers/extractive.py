"""Answers without a model: the most relevant sentences of the articles, verbatim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from index.text.language import same_language
from index.text.names import written
from rag.answer import Abstention, AnswerSentence, Verdict
from rag.answerers.base import Draft, Task, abstain, finish
from rag.citations import without_markers
from rag.events import Event
from rag.phrases import phrase, phrase_language
from rag.reader.choice import Candidate

_MAX_SENTENCES = 3
_MIN_CONFIDENCE = 0.7  # of a name's other form that is shown
_MARGIN = 2.5  # below the score of the best sentence, that a further one may be; docs/decisions/0012


class ExtractiveAnswerer:
    """The default answerer: offline, instant, and every sentence of its answer is a quotation."""

    def answer(self, task: Task) -> Iterator[Event]:
        draft = Draft()
        if not task.sentences:
            yield from abstain(task, Abstention.NOT_FOUND)
            return
        chosen = _choose(task.sentences)
        language = phrase_language(task.language)
        languages = {item.passage.language for item in chosen}
        others = sorted(name for name in languages if not same_language(name, task.language))
        intro = phrase("intro_other" if others else "intro", language)
        yield draft.say(intro.replace("{languages}", ", ".join(others)))
        for item in chosen:
            number = draft.cite(item.passage, item.start, item.end, (item.answer_start, item.answer_end))
            shown = " ".join(without_markers(item.text).split())
            yield draft.say(f"\n{shown} [{number}]{_other_forms(task, item)}")
            yield draft.close(AnswerSentence(shown, Verdict.QUOTED, (number,)))
        yield from finish(task, draft, answer_language=language)


def _other_forms(task: Task, item: Candidate) -> str:
    """The names of the question that the quotation has in another script, as in " (Altman = 阿爾特曼)"."""
    forms = next((found.evidence.forms for found in task.found.passages if found.passage.pid == item.passage.pid), ())
    pairs = {
        form.name: shown
        for form in reversed(forms)
        if form.confidence >= _MIN_CONFIDENCE and form.other_script and (shown := written(form.form, item.text))
    }
    return f" ({'; '.join(f'{name} = {shown}' for name, shown in pairs.items())})" if pairs else ""


def _choose(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The best sentences, no two of them overlapping, best first."""
    chosen: list[Candidate] = []
    for item in candidates:
        if len(chosen) == _MAX_SENTENCES or (chosen and item.score < chosen[0].score - _MARGIN):
            break
        if not any(item.overlaps(other) for other in chosen):
            chosen.append(item)
    return chosen
