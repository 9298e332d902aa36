"""The training loop: batches of like lengths, checkpoints that a training continues from, measures."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional

from index.encoders import transformer
from rag.reader.onnx import best_span
from rag.reader.pairs import padded
from rag.training.model import ReaderModel, Scores
from rag.training.prepare import Prepared

_POOL = 1_000  # examples that are sorted by length together
_SHORTEST, _LONGEST = 48, 144  # tokens of a part of a passage
_KEPT_WHOLE = 0.15  # share of the questions that keep their passage
_OTHERS_SHARE = 5  # of the examples that are not natural, one in so many is in an epoch
_MEASURED_AT_ONCE = 32
_CHECKPOINT = ("model.safetensors", "optimizer.pt", "step.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How the reader is trained."""

    n_steps: int
    batch_tokens: int = 2_048  # tokens a step, padding included
    learning_rate: float = 1.5e-4
    head_rate: float = 5e-4
    warm_up: int = 100  # steps
    checkpoint_s: float = 300.0
    seed: int = 0


class Cut(NamedTuple):
    """An example whose passage may be a part; the fields are those of `Prepared`."""

    ids: NDArray[np.int32]
    first: int
    start: int
    end: int
    answerable: int
    label: int


class Batch(NamedTuple):
    """Examples as tensors, padded to the longest; see `Prepared` for the meaning of each."""

    ids: Tensor
    mask: Tensor
    in_passage: Tensor
    start: Tensor
    end: Tensor
    answerable: Tensor
    label: Tensor


def whole(prepared: Prepared, row: int) -> Cut:
    """An example as it is."""
    ids = prepared.ids[prepared.offsets[row] : prepared.offsets[row + 1]]
    return Cut(ids, *(int(getattr(prepared, name)[row]) for name in Cut._fields[1:]))


def shortened(prepared: Prepared, row: int, rng: np.random.Generator) -> Cut:
    """A question with a part of its passage, most of the time; the answer is in it.

    Short examples are cheap, and each time that one comes its part is another. A claim keeps its passage: what
    decides on it may stand anywhere.
    """
    own = whole(prepared, row)
    head = int(prepared.text_first[row])
    n_tokens = len(own.ids) - 1 - head
    n_kept = max(int(rng.integers(_SHORTEST, _LONGEST)), own.end - own.start + 1)
    if own.label >= 0 or n_tokens <= n_kept or rng.random() < _KEPT_WHOLE:
        return own
    low, high = 0, n_tokens - n_kept
    if own.start > 0:
        low, high = max(0, own.end + 1 - head - n_kept), min(own.start - head, high)
    begin = int(rng.integers(low, high + 1))
    ids = np.concatenate([own.ids[:head], own.ids[head + begin : head + begin + n_kept], own.ids[-1:]])
    moved = begin if own.start > 0 else 0
    return own._replace(ids=ids, start=own.start - moved, end=own.end - moved)


def batch_of(examples: Sequence[Cut], device: str) -> Batch:
    """Examples as tensors."""
    columns = (np.array([getattr(one, name) for one in examples]) for name in Cut._fields[2:])
    tokens = padded([(one.ids, one.first) for one in examples])
    return Batch(*(torch.from_numpy(values).to(device) for values in (*tokens, *columns)))


def scores_of(model: ReaderModel, batch: Batch) -> Scores:
    """The scores of a batch; no answer begins or ends outside the passage."""
    device = batch.ids.device.type
    with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
        scores = model(model.words(batch.ids), batch.mask, batch.in_passage)
    outside = batch.in_passage == 0
    outside[:, 0] = False
    span = scores.span.float().masked_fill(outside[:, :, None], -1e4)
    return Scores(span, scores.answerable.float(), scores.label.float())


def loss_of(scores: Scores, batch: Batch) -> Tensor:
    """The sum of the heads' mean losses; a head learns only from the examples where its target is known."""

    def mean(logits: Tensor, target: Tensor) -> Tensor:
        total = functional.cross_entropy(logits, target, ignore_index=-1, reduction="sum")
        return total / (target >= 0).sum().clamp(min=1)

    answerable = torch.stack([torch.zeros_like(scores.answerable), scores.answerable], dim=1)
    spans = mean(scores.span[:, :, 0], batch.start) + mean(scores.span[:, :, 1], batch.end)
    return spans / 2 + mean(answerable, batch.answerable) + mean(scores.label, batch.label)


def batches(prepared: Prepared, settings: TrainSettings) -> Iterator[list[Cut]]:
    """Examples of each step; the order depends on the seed alone.

    An epoch has every natural example, which are worth most, and a new fifth of the others.
    """
    natural = np.flatnonzero(~prepared.validation & prepared.natural)
    others = np.flatnonzero(~prepared.validation & ~prepared.natural)
    for epoch in itertools.count():
        rng = np.random.default_rng([settings.seed, epoch])
        chosen = rng.permutation(others)[: max(1, len(others) // _OTHERS_SHARE)]
        cut = [shortened(prepared, int(row), rng) for row in rng.permutation(np.concatenate([natural, chosen]))]
        found = []
        for pool in (cut[begin : begin + _POOL] for begin in range(0, len(cut), _POOL)):
            alike = transformer.batches([len(one.ids) for one in pool], settings.batch_tokens)
            found += [[pool[i] for i in numbers] for numbers in alike]
        yield from (found[i] for i in rng.permutation(len(found)))


def train(
    model: ReaderModel, prepared: Prepared, work: Path, settings: TrainSettings, say: Callable[[str], None]
) -> None:
    """Train up to `settings.n_steps` steps, from the checkpoint in `work` where there is one.

    A checkpoint is written every `checkpoint_s` seconds and at the end, by a rename, so that a stop loses little.
    """
    device = next(model.parameters()).device.type
    optimizer = torch.optim.AdamW(_groups(model, settings), weight_decay=0.01)
    begin = _resume(model, optimizer, work)
    saved, losses = time.monotonic(), []
    model.train()
    for step, examples in zip(
        range(begin, settings.n_steps), itertools.islice(batches(prepared, settings), begin, None), strict=False
    ):
        batch = batch_of(examples, device)
        loss = loss_of(scores_of(model, batch), batch)
        for group in optimizer.param_groups:
            group["lr"] = group["highest_lr"] * _rate(step, settings)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % 20 == 0:
            say(f"step {step + 1} loss {np.mean(losses[-100:]):.3f}")
        if time.monotonic() - saved >= settings.checkpoint_s:
            _save(model, optimizer, step + 1, work)
            saved = time.monotonic()
    _save(model, optimizer, max(begin, settings.n_steps), work)


def _groups(model: ReaderModel, settings: TrainSettings) -> list[dict[str, object]]:
    heads = [p for name, p in model.named_parameters() if not name.startswith("bert.")]
    body = [p for p in model.bert.parameters() if p.requires_grad]
    return [
        {"params": body, "highest_lr": settings.learning_rate},
        {"params": heads, "highest_lr": settings.head_rate},
    ]


def _rate(step: int, settings: TrainSettings) -> float:
    """Share of the learning rate at a step: rises linearly, then falls as a cosine to a hundredth."""
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    done = (step - settings.warm_up) / max(1, settings.n_steps - settings.warm_up)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2


def _save(model: ReaderModel, optimizer: torch.optim.Optimizer, step: int, work: Path) -> None:
    """Write a checkpoint beside the last one, then put it in its place."""
    save_file({key: value.contiguous() for key, value in model.trained_state().items()}, work / ".model.safetensors")
    torch.save(optimizer.state_dict(), work / ".optimizer.pt")
    (work / ".step.json").write_text(json.dumps({"step": step}), "utf-8")
    for name in _CHECKPOINT:
        (work / f".{name}").replace(work / name)


def _resume(model: ReaderModel, optimizer: torch.optim.Optimizer, work: Path) -> int:
    """Load the checkpoint in `work`; the number of its step, 0 where there is none."""
    if not (work / "step.json").exists():
        return 0
    load_trained(model, work)
    optimizer.load_state_dict(torch.load(work / "optimizer.pt", weights_only=True))
    return int(json.loads((work / "step.json").read_text("utf-8"))["step"])


def load_trained(model: ReaderModel, work: Path) -> None:
    """Put the weights of the checkpoint in `work` into `model`.

    Raises:
        ValueError: They are of a model with other layers.
    """
    state = load_file(work / "model.safetensors")
    expected = model.trained_state().keys()
    if state.keys() != expected:
        raise ValueError(
            f"{work} holds {len(state)} tensors; expected: {len(expected)}, of as many layers; "
            "fix: name the layers it was trained with, or another folder"
        )
    model.load_state_dict(state, strict=False)


@torch.no_grad()  # type: ignore[untyped-decorator]
def evaluate(model: ReaderModel, prepared: Prepared) -> dict[str, float]:
    """Measures on the held-out examples, each in [0, 1].

    `span_exact` is the share of answerable ones whose first and last token are both right, `answerable_auc` the
    ROC-AUC of the second head, `label_accuracy` the share of right claims.
    """
    model.eval()
    device = next(model.parameters()).device.type
    examples = [whole(prepared, int(row)) for row in np.flatnonzero(prepared.validation)]
    exact, logits, right = [], [], []
    for begin in range(0, len(examples), _MEASURED_AT_ONCE):
        batch = batch_of(examples[begin : begin + _MEASURED_AT_ONCE], device)
        scores = scores_of(model, batch)
        for start, end, span in zip(batch.start.tolist(), batch.end.tolist(), scores.span.cpu().numpy(), strict=True):
            if start > 0:
                exact.append(best_span(span[1:]) == (start - 1, end - 1))
        logits += scores.answerable.tolist()
        right += (scores.label.argmax(1) == batch.label)[batch.label >= 0].tolist()
    truth = np.array([one.answerable for one in examples])
    known = truth >= 0
    return {
        "span_exact": float(np.mean(exact)),
        "answerable_auc": float(roc_auc_score(truth[known], np.array(logits)[known])),
        "label_accuracy": float(np.mean(right)),
    }
