"""A second opinion on a sentence: does it follow from what it cites? By a model, and off by default.

A judge can only lower what the checks in code have found. So a document that talks a judge into
a yes gains nothing by it, and a judge that is wrong costs a mark, never a false "supported".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import regex

from index.store.base import StoredPassage
from rag.answerers.models import Completer, ModelLimits, load_chat_model
from rag.errors import ModelFailed
from rag.prompts import grade_prompts, judge_prompts
from rag.verify.support import Support, Verdict

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from index.entailment import EntailmentModel

_MAX_PREMISE_CHARS = 1_500
_LEAST = 0.5  # probability from which an entailment, or a contradiction, is one


class Judgement(StrEnum):
    """What a judge makes of a statement and a passage."""

    ENTAILED = "entailed"
    NEUTRAL = "neutral"
    CONTRADICTED = "contradicted"
    NONE = "none"  # it gave no opinion
    NOT_ASKED = "not asked"


class Judge(Protocol):
    """Says whether a passage bears out a statement."""

    def judge(self, statement: str, premise: str) -> Judgement: ...


class EntailmentJudge:
    """A cross-encoder trained on natural language inference."""

    def __init__(self, model: EntailmentModel) -> None:
        self._model = model

    def judge(self, statement: str, premise: str) -> Judgement:
        (found,) = self._model.entailments([(premise, statement)])
        if found.entailed >= _LEAST:
            return Judgement.ENTAILED
        return Judgement.CONTRADICTED if found.contradicted >= _LEAST else Judgement.NEUTRAL


class ModelJudge:
    """Any LangChain chat model; one short call a sentence and passage."""

    def __init__(self, model: BaseChatModel, limits: ModelLimits | None = None) -> None:
        limits = limits or ModelLimits(piece_timeout_s=15.0, total_timeout_s=30.0, n_retries=1)
        self._model = Completer(model, limits)

    def judge(self, statement: str, premise: str) -> Judgement:
        try:
            said = self._model.complete(*judge_prompts(statement, premise))
        except ModelFailed:
            return Judgement.NONE
        return _first_word(said)


def _first_word(said: str) -> Judgement:
    """What the first word of a reply says."""
    word = regex.search(r"\p{L}+", said)
    return _WORDS.get(word.group().upper() if word else "", Judgement.NONE)


_WORDS = {"YES": Judgement.ENTAILED, "PARTLY": Judgement.NEUTRAL, "NO": Judgement.CONTRADICTED}


class AnswerGrader:
    """Any LangChain chat model as a grader of answers, for measuring; not part of an answer's verdicts."""

    def __init__(self, model: BaseChatModel, limits: ModelLimits | None = None) -> None:
        self._model = Completer(model, limits)

    def grade(self, question: str, expected: Sequence[str], answer: str) -> float:
        """1 where the answer gives an expected one, 0.5 in part, 0 where not; NaN where the model does not say."""
        try:
            said = self._model.complete(*grade_prompts(question, expected, answer))
        except ModelFailed:
            return math.nan
        return _GRADES.get(_first_word(said), math.nan)


_GRADES = {Judgement.ENTAILED: 1.0, Judgement.NEUTRAL: 0.5, Judgement.CONTRADICTED: 0.0}


def load_judge(name: str) -> Judge:
    """The judge called `name`: a chat model as PROVIDER:NAME, or else a cross-encoder for entailment.

    Raises:
        ModelUnavailable: The chat model cannot be had here.
        CrossEncoderUnavailable: The cross-encoder cannot be had here.
    """
    if ":" in name:
        return ModelJudge(load_chat_model(name))
    from index.entailment import EntailmentModel

    return EntailmentJudge(EntailmentModel(name))


def judged(found: Support, statement: str, passage: StoredPassage, judge: Judge) -> tuple[Support, Judgement]:
    """`found` with its verdict lowered where `judge` says so, and what it said.

    What is unsupported already is not asked about.
    """
    if found.verdict not in (Verdict.SUPPORTED, Verdict.PARTLY):
        return found, Judgement.NOT_ASKED
    said = judge.judge(statement, _premise(found, passage))
    if said is Judgement.CONTRADICTED:
        return replace(found, verdict=Verdict.UNSUPPORTED), said
    return (replace(found, verdict=Verdict.PARTLY) if said is Judgement.NEUTRAL else found), said


def _premise(found: Support, passage: StoredPassage) -> str:
    """The passage with its title; of a long one the sentences around the span that decides."""
    start, end = found.start, found.end
    for first, last in sorted(passage.sentences, key=lambda span: abs(span[0] - found.start)):
        if max(end, last) - min(start, first) <= _MAX_PREMISE_CHARS:
            start, end = min(start, first), max(end, last)
    text = passage.text[start - passage.start : end - passage.start]
    return f"{passage.title}\n{text}" if passage.title else text
