"""Answers without a model: the sentences of the articles that bear most on the question, verbatim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import regex

from index.backends.base import StoredPassage
from index.encoders.base import Encoder, FloatArray, LateInteraction
from index.language import function_words, same_language
from index.search import ScoredPassage
from index.terms import terms
from rag.answer import AnswerSentence
from rag.answerers.base import Draft, Task, close_sentence, finish, say
from rag.citations import without_markers
from rag.events import Event
from rag.phrases import phrase, phrase_language

_MAX_PASSAGES = 5  # passages whose sentences are weighed
_MAX_SENTENCES = 3
_MIN_SHARE = 0.92  # of the best sentence's score, for a further one
_MAX_SIM_SHARE = 0.6  # of the word by word score beside the cosine
_WORDS_WEIGHT = 0.1  # of shared words and numbers beside the cosine
_RANK_WEIGHT = 0.1  # of the passage's rank: 1 for the first, 6/7 for the second, ...
_RANK_CONSTANT = 5


@dataclass(frozen=True, slots=True)
class _Candidate:
    passage: StoredPassage
    start: int
    end: int
    score: float


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
            yield say(draft, f"\n{shown} [{number}]")
            yield close_sentence(draft, AnswerSentence(shown, True, (number,)))
        yield from finish(task, draft, abstained=False, answer_language=language)


def _choose(task: Task) -> list[_Candidate]:
    """The best sentences, no two of them overlapping, best first."""
    candidates = sorted(_candidates(task), key=lambda item: (-item.score, item.passage.pid, item.start))
    chosen: list[_Candidate] = []
    for item in candidates:
        if len(chosen) == _MAX_SENTENCES or (chosen and item.score < _MIN_SHARE * chosen[0].score):
            break
        overlaps = any(
            item.passage.doc_id == other.passage.doc_id and item.start < other.end and other.start < item.end
            for other in chosen
        )
        if not overlaps:
            chosen.append(item)
    return chosen


def _candidates(task: Task) -> Iterator[_Candidate]:
    passages = task.found.passages[:_MAX_PASSAGES]
    spans = [
        (rank, scored, start, end) for rank, scored in enumerate(passages, 1) for start, end in scored.passage.sentences
    ]
    texts = [
        scored.passage.text[start - scored.passage.start : end - scored.passage.start]
        for _, scored, start, end in spans
    ]
    cosines = sentence_scores(task.encoder, task.found.question, texts)
    wanted = {term for term in terms(task.found.question) if term not in function_words(task.language)}
    for (rank, scored, start, end), text, cosine in zip(spans, texts, cosines, strict=True):
        if _says_nothing(text):
            continue
        share = len(wanted.intersection(terms(text))) / len(wanted) if wanted else 0.0
        score = float(cosine) + _WORDS_WEIGHT * share + _RANK_WEIGHT * (_RANK_CONSTANT + 1) / (_RANK_CONSTANT + rank)
        yield _Candidate(scored.passage, start, end, score - _heading_penalty(scored, start, end))


def sentence_scores(encoder: Encoder, question: str, sentences: Sequence[str]) -> FloatArray:
    """How near each sentence is to the question, (n,): its cosine, and how well the question's words are met in it."""
    query = encoder.encode_queries([question])[0]
    scores: FloatArray = encoder.encode_passages(sentences) @ query
    if isinstance(encoder, LateInteraction):
        scores = (1 - _MAX_SIM_SHARE) * scores + _MAX_SIM_SHARE * encoder.max_sim([question], sentences)[0]
    return scores


def _says_nothing(text: str) -> bool:
    """Whether a "sentence" has too few letters to answer anything (a list mark, a page number)."""
    return len(regex.findall(r"\p{L}", text)) < 4


def _heading_penalty(scored: ScoredPassage, start: int, end: int) -> float:
    # A heading repeats the question's words and answers nothing; a question in the text neither.
    text = scored.passage.text[start - scored.passage.start : end - scored.passage.start]
    is_heading = bool(scored.passage.section) and text == scored.passage.section
    is_title = text.strip() == scored.passage.title
    asks = regex.search(r"[?？؟]['\"”’»」』)）]*$", text) is not None
    if is_heading or is_title:
        return 0.5
    return 0.3 if asks else 0.0
