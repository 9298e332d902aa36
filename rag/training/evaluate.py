"""How well the reader does: on held-out examples, and on natural questions with passages from the search."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from tokenizers import Tokenizer

from index.encoders import load_encoder
from index.ingest import ingest
from index.search import search
from index.store import open_backend
from rag.training.model import ReaderModel, Scores
from rag.training.prepare import MAX_TOKENS, Layout, Prepared, layout
from rag.training.train import Batch

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
        batch = Batch(prepared, own, next(model.parameters()).device.type)
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


@torch.no_grad()  # type: ignore[untyped-decorator]
def natural_questions(model: ReaderModel, tokenizer: Tokenizer, folder: Path, k: int = 10) -> dict[str, float]:
    """Gold questions in `folder` over its corpus, read in the first `k` passages of the search.

    `first` is the share of answerable questions whose best-scored sentence holds one of the answers, `cross` the same
    of those in another language; `refusal_auc` the ROC-AUC of the best score between answerable ones and others.
    """
    model.eval()
    encoder = load_encoder("embedded")
    items = [json.loads(line) for line in (folder / "gold.jsonl").read_text("utf-8").splitlines()]
    right: list[float] = []
    cross: list[float] = []
    best: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch) / "index"
        ingest(place, [str(folder / "corpus")], encoder)
        backend = open_backend(place)
        for item in items:
            with backend.snapshot() as snapshot:
                found = search(snapshot, encoder, item["question"], k).passages
            sentence, score = _best_sentence(model, tokenizer, item["question"], [one.passage for one in found])
            best.append(score)
            if item["answerable"]:
                held = float(any(answer.casefold() in sentence.casefold() for answer in item["answers"]))
                right.append(held)
                if "cross" in item["tags"]:
                    cross.append(held)
        backend.close()
    model.train()
    truth = [item["answerable"] for item in items]
    auc = float(roc_auc_score(truth, best))
    return {"first": float(np.mean(right)), "cross": float(np.mean(cross)), "refusal_auc": auc}


def _best_sentence(
    model: ReaderModel, tokenizer: Tokenizer, question: str, passages: Sequence[Any]
) -> tuple[str, float]:
    """The sentence that holds the best span of all passages, and its passage's score."""
    pairs = [layout(tokenizer, question, one.title, one.text) for one in passages]
    if not pairs:
        return "", -1e3
    scores = model(*_tensors(pairs))
    spans, margins = best_spans(scores)
    total = margins / 2 + scores.answerable.float().numpy()
    at = int(np.argmax(total))
    first = max(0, int(spans[at][0]) - pairs[at].text_first)
    place = passages[at].start + pairs[at].offsets[min(first, len(pairs[at].offsets) - 1)][1] - 1
    own = next(((a, b) for a, b in passages[at].sentences if a <= place < b), (passages[at].start, passages[at].end))
    return passages[at].text[own[0] - passages[at].start : own[1] - passages[at].start], float(total[at])


def _tensors(pairs: Sequence[Layout]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, mask and passage mask of pairs, padded to the longest."""
    n_tokens = min(MAX_TOKENS, max(len(pair.ids) for pair in pairs))
    ids = torch.ones(len(pairs), n_tokens, dtype=torch.int64)
    mask, inside = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, pair in enumerate(pairs):
        ids[row, : len(pair.ids)] = torch.tensor(pair.ids)
        mask[row, : len(pair.ids)] = 1
        inside[row, pair.text_first : len(pair.ids) - 1] = 1
    return ids, mask, inside
