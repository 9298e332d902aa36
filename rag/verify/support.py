"""Which span of a cited passage supports a sentence, and how far."""

from __future__ import annotations

from dataclasses import dataclass

from index.encoders.base import Encoder
from index.names import NO_NAMES, KnownNames
from index.store.base import StoredPassage
from index.text.language import detect_language
from rag.answer import Verdict
from rag.verify.figures import figures, lacking_figures
from rag.verify.names import lacking_names
from rag.verify.polarity import opposed
from rag.verify.units import other_units

# Of translated sentence pairs 99.2 % reach it, of unrelated ones 0.2 %: docs/decisions/0008.
_MIN_COSINE = 0.30


@dataclass(frozen=True, slots=True)
class Support:
    """The span of a document that supports a sentence best, and how far it does."""

    start: int
    end: int
    cosine: float
    figures: tuple[str, ...]  # numbers, with their units, dates and code names that the passage lacks
    names: tuple[str, ...] = ()  # names that it lacks
    opposed: bool = False  # one of sentence and span negates, the other does not
    verdict: Verdict = Verdict.SUPPORTED

    @property
    def holds(self) -> bool:
        return self.verdict is Verdict.SUPPORTED


def support(sentence: str, passage: StoredPassage, encoder: Encoder, user_names: KnownNames = NO_NAMES) -> Support:
    """How far `passage` supports `sentence`, with the span that decides; `user_names` are user-defined aliases."""
    language = detect_language(sentence)
    spans = passage.sentences or ((passage.start, passage.end),)
    texts = [passage.text[start - passage.start : end - passage.start] for start, end in spans]
    cosines = encoder.encode_passages(texts) @ encoder.encode_passages([sentence])[0]
    needed = figures(sentence, language)
    of_spans = [figures(text, passage.language) for text in texts]
    # A sentence with the figures goes before one that is only similar.
    scores = [float(cosine) + 0.2 * len(needed & own) for cosine, own in zip(cosines, of_spans, strict=True)]
    best = max(range(len(spans)), key=lambda i: (scores[i], -i))
    cosine = float(cosines[best])
    missing = lacking_figures(sentence, language, passage.text, passage.language, passage.date)
    missing |= other_units(sentence, language, passage.text, passage.language)
    whole = f"{passage.title}\n{passage.text}"
    names = tuple(lacking_names(sentence, language, whole, passage.language, encoder, user_names))
    is_opposed = opposed(sentence, language, texts[best], passage.language)
    verdict = _verdict(cosine, len(needed), len(missing), bool(names) or is_opposed)
    return Support(*spans[best], cosine, tuple(sorted(missing)), names, is_opposed, verdict)


def _verdict(cosine: float, n_needed: int, n_missing: int, doubted: bool) -> Verdict:
    if cosine < _MIN_COSINE or (n_missing and n_missing == n_needed):
        return Verdict.UNSUPPORTED
    return Verdict.PARTLY if n_missing or doubted else Verdict.SUPPORTED
