"""Answers without a model: the sentences of the articles that bear most on the question, verbatim."""

from __future__ import annotations

from collections.abc import Iterator

from index.names.question import written
from index.text.language import same_language
from rag.answer import AnswerSentence
from rag.answerers.base import Draft, Task, close_sentence, finish, say
from rag.answerers.sentences import Candidate, ranked
from rag.citations import without_markers
from rag.events import Event
from rag.phrases import phrase, phrase_language
from rag.verify import Verdict

_MAX_SENTENCES = 3
_MIN_SURE = 0.7  # confidence at which a name is told in both scripts
_MARGIN = 1.5  # log-odds below the best sentence that a further one may be; docs/decisions/0012


class ExtractiveAnswerer:
    """The default answerer: offline, instant, and every sentence of it is a quotation."""

    def answer(self, task: Task) -> Iterator[Event]:
        draft = Draft()
        chosen = _choose(task)
        language = phrase_language(task.language)
        others = sorted(
            {item.passage.language for item in chosen if not same_language(item.passage.language, task.language)}
        )
        name = "intro_other" if others else "intro"
        yield say(draft, phrase(name, language).replace("{languages}", ", ".join(others)))
        for item in chosen:
            number = draft.cite(item.passage, item.start, item.end)
            quote = item.passage.text[item.start - item.passage.start : item.end - item.passage.start]
            shown = " ".join(without_markers(quote).split())
            yield say(draft, f"\n{shown} [{number}]{_names_told(task, item, quote)}")
            yield close_sentence(draft, AnswerSentence(shown, Verdict.SUPPORTED, (number,)))
        yield from finish(task, draft, abstained=False, answer_language=language)


def _names_told(task: Task, item: Candidate, quote: str) -> str:
    """The names of the question that the quotation has in another form, as in " (Altman = 阿爾特曼)"."""
    forms = next((found.forms for found in task.found.passages if found.passage.pid == item.passage.pid), ())
    told = {
        form.name: shown
        for form in reversed(forms)
        if form.confidence >= _MIN_SURE and form.other_script and (shown := written(form.form, quote))
    }
    return f" ({'; '.join(f'{name} = {shown}' for name, shown in told.items())})" if told else ""


def _choose(task: Task) -> list[Candidate]:
    """The best sentences, no two of them overlapping, best first."""
    with task.lock:
        candidates = ranked(task.found, task.encoder)
    chosen: list[Candidate] = []
    for item in candidates:
        if len(chosen) == _MAX_SENTENCES or (chosen and item.score < chosen[0].score - _MARGIN):
            break
        overlaps = any(
            item.passage.doc_id == other.passage.doc_id and item.start < other.end and other.start < item.end
            for other in chosen
        )
        if not overlaps:
            chosen.append(item)
    return chosen
