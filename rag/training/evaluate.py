"""How well the reader does on held-out examples; `python -m eval.benchmarks` measures answers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from rag.training.model import ReaderModel, Scores
from rag.training.prepare import Prepared
from rag.training.train import Batch, whole

_MAX_ANSWER_TOKENS = 40
_BATCH = 32


def best_spans(scores: Scores) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The best span of each row as (first, last) token, (n, 2), and how far its score is above "no answer", (n,)."""
    start, end = scores.start.float(), scores.end.float()
    n_tokens = start.shape[1]
    pairs = start[:, :, None] + end[:, None, :]
    places = torch.arange(n_tokens)
    ahead = places[None, :] - places[:, None]
    allowed = (ahead >= 0) & (ahead < _MAX_ANSWER_TOKENS) & (places[:, None] > 0)
    flat = pairs.masked_fill(~allowed.to(pairs.device), -1e9).flatten(1)
    best = flat.argmax(1)
    margin = flat.gather(1, best[:, None])[:, 0] - start[:, 0] - end[:, 0]
    return torch.stack([best // n_tokens, best % n_tokens], 1).cpu().numpy(), margin.cpu().numpy()


@torch.no_grad()  # type: ignore[untyped-decorator]
def evaluate(model: ReaderModel, prepared: Prepared) -> dict[str, float]:
    """Measures on the held-out examples, each in [0, 1].

    `span_exact` is the share of answerable ones whose first and last token are both right, `span_overlap` the mean F1
    of the tokens, `answerable_auc` the ROC-AUC of the second head, `label_accuracy` that of the third.
    """
    model.eval()
    rows = np.flatnonzero(prepared.validation)
    exact: list[float] = []
    overlap: list[float] = []
    logits: list[float] = []
    right: list[float] = []
    for begin in range(0, len(rows), _BATCH):
        own = rows[begin : begin + _BATCH]
        batch = Batch([whole(prepared, int(row)) for row in own], prepared, own, next(model.parameters()).device.type)
        scores = model(batch.ids, batch.mask, batch.in_passage)
        spans, _ = best_spans(scores)
        for row, span in zip(own, spans, strict=True):
            if prepared.start[row] > 0:
                wanted = (int(prepared.start[row]), int(prepared.end[row]))
                exact.append(float(tuple(span) == wanted))
                overlap.append(_token_f1((int(span[0]), int(span[1])), wanted))
        logits += scores.answerable.float().tolist()
        known = batch.label >= 0
        right += (scores.label.argmax(1) == batch.label)[known].float().tolist()
    truth = prepared.answerable[rows]
    model.train()
    return {
        "span_exact": float(np.mean(exact)),
        "span_overlap": float(np.mean(overlap)),
        "answerable_auc": float(roc_auc_score(truth[truth >= 0], np.array(logits)[truth >= 0])),
        "label_accuracy": float(np.mean(right)),
    }


def _token_f1(found: tuple[int, int], wanted: tuple[int, int]) -> float:
    """F1 of two spans of tokens, both ends included."""
    common = min(found[1], wanted[1]) - max(found[0], wanted[0]) + 1
    return 2 * common / (found[1] - found[0] + wanted[1] - wanted[0] + 2) if common > 0 else 0.0
