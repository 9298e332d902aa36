"""What measures, outcomes and verdicts are called in a report, and what each means, for somebody new to them."""

from __future__ import annotations

from dataclasses import dataclass

from eval.runs.rows import Outcome
from rag.prompts import language_name


@dataclass(frozen=True, slots=True)
class Word:
    """A name to show and its explanation in a line; `sign` goes before it, so that colour is not all that tells."""

    name: str
    meaning: str
    sign: str = ""
    kind: str = ""  # good, bad, or neither


MEASURES = {
    "recall@1": Word("Evidence found first", "Share of the expected evidence that the first passage found holds."),
    "recall@5": Word("Evidence in the first 5", "Share of the expected evidence that the first 5 passages found hold."),
    "recall@10": Word(
        "Evidence in the first 10", "Share of the expected evidence that the first 10 passages found hold."
    ),
    "precision@5": Word("Useful among the first 5", "Share of the first 5 passages found that hold expected evidence."),
    "mrr@10": Word(
        "Rank of the evidence",
        "1 where the first passage holds evidence, 1/2 where it is the second, and so on; 0 beyond the tenth.",
    ),
    "map@10": Word(
        "Evidence early", "The precision at each passage that holds evidence, averaged; 1 where they come first."
    ),
    "ndcg@10": Word(
        "Order of the passages", "How near the order of the first 10 passages is to the best possible one, which is 1."
    ),
    "answer.f1": Word("Words shared", "How far the words of the answer and of the expected answer are the same."),
    "answer.em": Word("Answer is word for word", "Share of answers that are the expected answer and nothing else."),
    "answer.contains": Word("Answer as expected", "Share of questions whose answer contains an expected answer."),
    "answer.char3": Word(
        "Letters shared",
        "Share of the expected answer, in runs of three letters, that the answer has; lenient with names.",
    ),
    "citation.precision": Word("Citations right", "Share of the citations that point at expected evidence."),
    "citation.recall": Word("Evidence cited", "Share of the expected evidence that the answer cites."),
    "citation.f1": Word("Citations overall", "Citations right and evidence cited in one number (harmonic mean)."),
    "support.unsupported": Word(
        "Sentences not borne out",
        "Share of the sentences that their citations do not fully bear out, as the checks see it; less is better.",
    ),
    "language.right": Word("Right language", "Share of answers in the language of the question."),
    "abstention.right": Word(
        "Answered or refused rightly", "Share of questions answered if they can be, refused if not."
    ),
    "abstention.precision": Word("Refusals right", "Of the refusals, the share on questions that have no answer."),
    "abstention.recall": Word("Unanswerable refused", "Of the questions that have no answer, the share refused."),
    "abstention.f1": Word("Refusals overall", "Refusals right and unanswerable refused in one number (harmonic mean)."),
    "abstention.roc_auc": Word(
        "Answerable told from not",
        "How often a question with an answer gets a higher relevance than one without; 0.5 is chance.",
    ),
}

OUTCOMES = {
    Outcome.FAILED: Word("failed", "An error, or the expected evidence is not in the index.", "⚠", "bad"),
    Outcome.ANSWERED: Word("answered without an answer", "The articles hold no answer, yet one was given.", "✗", "bad"),
    Outcome.NOT_RETRIEVED: Word("not retrieved", "No passage that was found holds the expected evidence.", "✗", "bad"),
    Outcome.REFUSED: Word("refused", "Evidence was found, but the answer says that there is none.", "✗", "bad"),
    Outcome.NOT_USED: Word("not used", "Evidence was found, but the answer does not cite it.", "✗", "bad"),
    Outcome.WRONG: Word("used, but wrong", "The answer cites the evidence but lacks what was expected.", "✗", "bad"),
    Outcome.UNJUDGED: Word("not judged", "There is nothing to judge the question by in this kind of run.", "○"),
    Outcome.RETRIEVED: Word("retrieved", "A passage that was found holds the expected evidence.", "✓", "good"),
    Outcome.ABSTAINED: Word("rightly refused", "The articles hold no answer, and the system said so.", "✓", "good"),
    Outcome.RIGHT: Word("right", "The answer has what was expected.", "✓", "good"),
}
"""From the worst to the best."""

VERDICTS = {
    "supported": Word("supported", "The cited passage bears the sentence out.", "✓", "good"),
    "partly": Word("partly supported", "The cited passage bears a part of the sentence out.", "◐"),
    "unsupported": Word("not supported", "The cited passage does not bear the sentence out.", "✗", "bad"),
    "no_source": Word("no source", "The sentence cites nothing.", "○", "bad"),
}

REASONS = {
    "empty": "there is nothing to search in",
    "not_found": "no passage bears on the question",
    "not_in_passages": "the model holds that the passages do not answer",
}


def measure_word(measure: str) -> Word:
    """The word of a measure; its own name where a later version added it."""
    return MEASURES.get(measure) or Word(measure, measure)


def verdict_word(verdict: str) -> Word:
    """The word of a verdict; its own name where it is not known."""
    return VERDICTS.get(verdict) or Word(verdict, verdict, "?")


def language_label(tag: str) -> str:
    """A language as a reader knows it, with its tag: `Korean (ko)`."""
    if not tag or tag == "?":
        return "unknown"
    name = language_name(tag)
    return f"{name} ({tag})" if name != tag else tag
