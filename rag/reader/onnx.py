"""The reader in the package: a small multilingual model in ONNX, run by onnxruntime on the CPU.

`rag/reader/embedded/README.md` is its model card; `python -m rag.training export` makes its files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.encoders.contextual import contextual_encoder
from index.encoders.transformer import MAX_TOKENS, Session, TokenVectors, batches
from index.store.base import StoredPassage
from rag.reader.base import Judgement, Reading, SentenceReading
from rag.reader.pairs import Pair, make_pair, padded

EMBEDDED = Path(__file__).parent / "embedded"
LAYERS = "layers.onnx"  # tokens and word vectors are those of the contextual encoder
_BATCH_TOKENS = 1_024  # of a run, padding included: padding costs time
_MAX_ANSWER_TOKENS = 40
_UNLIKELY = -30.0  # log-odds, of what cannot be


class OnnxReader:
    """Reads with a model of three heads: where the answer stands, whether there is one, whether a claim holds."""

    name = "embedded"

    def __init__(self, folder: Path = EMBEDDED) -> None:
        """Load the model in `folder`."""
        self._session = Session(folder / LAYERS)
        self._words = TokenVectors()

    def read(self, question: str, passages: Sequence[StoredPassage]) -> list[Reading]:
        pairs = [make_pair(self._words.tokenizer, question, one.title, one.text, MAX_TOKENS) for one in passages]
        found: dict[int, Reading] = {}
        for i, (span, answerable, _) in self._scores(pairs):
            text = span[pairs[i].text_first : len(pairs[i].ids) - 1].astype(np.float64)
            if not len(text):
                found[i] = Reading(_UNLIKELY, _UNLIKELY, ())
                continue
            margin = float((np.logaddexp.reduce(text, axis=0) - span[0]).mean())
            found[i] = Reading(answerable, margin, tuple(_sentences(_log_softmax(text, axis=0), pairs[i], passages[i])))
        return [found[i] for i in range(len(pairs))]

    def near(self, question: str, texts: Sequence[str]) -> list[float]:
        encoder = contextual_encoder()
        cosines: list[float] = (encoder.embed_documents(list(texts)) @ encoder.embed_query(question)).tolist()
        return cosines

    def judge(self, claims: Sequence[tuple[str, StoredPassage]]) -> list[Judgement]:
        pairs = [make_pair(self._words.tokenizer, claim, one.title, one.text, MAX_TOKENS) for claim, one in claims]
        found = {i: Judgement(*np.exp(_log_softmax(label)).tolist()) for i, (*_, label) in self._scores(pairs)}
        return [found[i] for i in range(len(pairs))]

    def _scores(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, Any]]:
        """(number, (span (n_tokens, 2), answerable, label (3,))) of each pair, all logits; short ones first."""
        for own in batches([len(pair.ids) for pair in pairs], _BATCH_TOKENS):
            batch = padded([(pairs[i].ids, pairs[i].first) for i in own])
            outputs = self._session.run(
                {"words": self._words(batch.ids), "mask": batch.mask, "in_passage": batch.in_passage}
            )
            yield from ((i, (span, float(a), label)) for i, span, a, label in zip(own, *outputs, strict=True))


def _sentences(both: NDArray[np.float64], pair: Pair, passage: StoredPassage) -> Iterator[SentenceReading]:
    """The reading of each sentence; `both` are log-probabilities of start and end at the passage's tokens, (n, 2)."""
    offsets = np.array(pair.offsets).reshape(-1, 2) + passage.start
    for start, end in passage.sentences:
        inside = np.flatnonzero((offsets[:, 0] < end) & (offsets[:, 1] > start))
        if not len(inside):
            continue
        first, last = best_span(both[inside])
        # A piece may begin with the space before its word.
        answer = passage.text[offsets[inside[first], 0] - passage.start : offsets[inside[last], 1] - passage.start]
        answer_start = int(offsets[inside[first], 0]) + len(answer) - len(answer.lstrip())
        score = float(np.logaddexp.reduce(both[inside], axis=0).mean())
        yield SentenceReading(
            start, end, max(start, answer_start), min(end, int(offsets[inside[last], 1])), max(_UNLIKELY, score)
        )


def best_span(scores: NDArray[np.float64]) -> tuple[int, int]:
    """First and last token of the best span, at most `_MAX_ANSWER_TOKENS` long; `scores` are (n, 2)."""
    pairs = scores[:, 0][:, None] + scores[:, 1][None, :]
    ahead = np.arange(len(scores))[None, :] - np.arange(len(scores))[:, None]
    best = int(np.where((ahead >= 0) & (ahead < _MAX_ANSWER_TOKENS), pairs, -np.inf).argmax())
    return best // len(scores), best % len(scores)


def _log_softmax(values: NDArray[Any], axis: int = -1) -> NDArray[np.float64]:
    shifted = values - values.max(axis=axis, keepdims=True)
    normal: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return normal
