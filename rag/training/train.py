"""The training loop: batches of like lengths, checkpoints, and going on where it stopped."""

from __future__ import annotations

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
from torch import Tensor
from torch.nn import functional

from rag.reader.pairs import padded
from rag.training.model import ReaderModel, Scores
from rag.training.prepare import Prepared

_POOL = 64  # batches that are sorted by length together
_SHORTEST, _LONGEST = 48, 144  # tokens of a part of a passage
_KEPT_WHOLE = 0.15  # share of the questions that keep their passage
_OTHERS_SHARE = 5  # of the examples that are not natural, one in so many is in an epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How the reader is trained."""

    n_steps: int
    batch_tokens: int = 2_048  # tokens a step, padding included
    learning_rate: float = 1.5e-4
    head_rate: float = 5e-4
    warm_up: int = 100  # steps
    weight_decay: float = 0.01
    checkpoint_s: float = 300.0
    seed: int = 0


class Cut(NamedTuple):
    """The tokens of an example, the first one of its title, and the first and last one of its answer."""

    ids: NDArray[np.int32]
    first: int
    start: int
    end: int


def whole(prepared: Prepared, row: int) -> Cut:
    """An example as it is."""
    ids = prepared.ids[prepared.offsets[row] : prepared.offsets[row + 1]]
    return Cut(ids, int(prepared.first[row]), int(prepared.start[row]), int(prepared.end[row]))


def shortened(prepared: Prepared, row: int, rng: np.random.Generator) -> Cut:
    """A question with a part of its passage, most of the time; the answer is in it.

    Short examples are cheap, and each time that one comes its part is another. A claim keeps its passage: what
    decides on it may stand anywhere.
    """
    found = whole(prepared, row)
    text_first = int(prepared.text_first[row])
    n = len(found.ids) - 1 - text_first  # tokens of the passage
    n_kept = int(rng.integers(_SHORTEST, _LONGEST))
    if prepared.label[row] >= 0 or n <= n_kept or rng.random() < _KEPT_WHOLE:
        return found
    low, high = 0, n - n_kept
    if found.start > 0:
        n_kept = max(n_kept, found.end - found.start + 1)
        low = max(0, found.end - text_first + 1 - n_kept)
        high = min(found.start - text_first, n - n_kept)
    begin = int(rng.integers(low, max(low, high) + 1))
    ids = np.concatenate(
        [found.ids[:text_first], found.ids[text_first + begin : text_first + begin + n_kept], found.ids[-1:]]
    )
    moved = (found.start - begin, found.end - begin) if found.start > 0 else (found.start, found.end)
    return Cut(ids, found.first, *moved)


class Batch:
    """Examples as tensors, padded to the longest; see `Prepared` for the meaning of each."""

    def __init__(self, cut: Sequence[Cut], prepared: Prepared, rows: NDArray[np.int64], device: str) -> None:
        """The examples with these numbers, whose tokens and answers are in `cut`."""

        def on_device(values: NDArray[np.generic]) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(device)

        self.ids, self.mask, self.in_passage = map(on_device, padded([(one.ids, one.first) for one in cut]))
        self.start, self.end = (on_device(np.array([getattr(one, name) for one in cut])) for name in ("start", "end"))
        self.answerable = on_device(prepared.answerable[rows].astype(np.int64))
        self.label = on_device(prepared.label[rows].astype(np.int64))


def loss_of(scores: Scores, batch: Batch) -> Tensor:
    """The mean of the three heads' losses; a head learns only from the examples that tell it something."""
    parts = []
    known = batch.start >= 0
    if known.any():
        parts.append(functional.cross_entropy(scores.start[known], batch.start[known]) / 2)
        parts.append(functional.cross_entropy(scores.end[known], batch.end[known]) / 2)
    known = batch.answerable >= 0
    if known.any():
        target = batch.answerable[known].to(scores.answerable.dtype)
        parts.append(functional.binary_cross_entropy_with_logits(scores.answerable[known], target))
    known = batch.label >= 0
    if known.any():
        parts.append(functional.cross_entropy(scores.label[known], batch.label[known]))
    return torch.stack(parts).sum()


def batches(prepared: Prepared, settings: TrainSettings, step: int) -> Iterator[tuple[list[Cut], NDArray[np.int64]]]:
    """Examples of each step from `step` on, and their numbers; the order depends on the seed alone.

    An epoch has every natural example, which are worth most, and a new fifth of the others.
    """
    natural = np.flatnonzero(~prepared.validation & prepared.natural)
    others = np.flatnonzero(~prepared.validation & ~prepared.natural)
    n_seen = 0
    for epoch in range(10_000):
        rng = np.random.default_rng([settings.seed, epoch])
        chosen = rng.permutation(others)[: max(1, len(others) // _OTHERS_SHARE)]
        rows = rng.permutation(np.concatenate([natural, chosen]))
        cut = [shortened(prepared, int(row), rng) for row in rows]
        for own in _epoch(np.array([len(one.ids) for one in cut]), settings.batch_tokens, rng):
            if n_seen >= step:
                yield [cut[i] for i in own], rows[own]
            n_seen += 1


def _epoch(lengths: NDArray[np.int64], batch_tokens: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Numbers of examples in batches of like lengths, in random order."""
    n_pool = max(1, _POOL * batch_tokens // int(lengths.mean()))
    found = []
    for begin in range(0, len(lengths), n_pool):
        pool = begin + np.argsort(lengths[begin : begin + n_pool], kind="stable")
        at = 0
        while at < len(pool):
            n = 1
            while at + n < len(pool) and (n + 1) * lengths[pool[at + n]] <= batch_tokens:
                n += 1
            found.append(pool[at : at + n])
            at += n
    return [found[i] for i in rng.permutation(len(found))]


def train(
    model: ReaderModel, prepared: Prepared, work: Path, settings: TrainSettings, say: Callable[[str], None]
) -> int:
    """Train up to `settings.n_steps` steps, from the checkpoint in `work` where there is one; the steps done.

    A checkpoint is written every `checkpoint_s` seconds and at the end, by a rename, so that a stop loses little.
    """
    device = next(model.parameters()).device.type
    optimizer = torch.optim.AdamW(_groups(model, settings), weight_decay=settings.weight_decay)
    step = _resume(model, optimizer, work)
    saved, losses, n_examples, started = time.monotonic(), [], 0, time.monotonic()
    model.train()
    for cut, rows in batches(prepared, settings, step):
        if step >= settings.n_steps:
            break
        batch = Batch(cut, prepared, rows, device)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            scores = model(batch.ids, batch.mask, batch.in_passage)
        loss = loss_of(Scores(*(part.float() for part in scores)), batch)
        for group in optimizer.param_groups:
            group["lr"] = group["highest_lr"] * _rate(step, settings)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step, n_examples = step + 1, n_examples + len(rows)
        losses.append(loss.item())
        if step % 20 == 0:
            pace = n_examples / (time.monotonic() - started)
            say(f"step {step} loss {np.mean(losses[-100:]):.3f} examples/s {pace:.1f}")
        if time.monotonic() - saved >= settings.checkpoint_s:
            _save(model, optimizer, step, work)
            saved = time.monotonic()
    _save(model, optimizer, step, work)
    return step


def _groups(model: ReaderModel, settings: TrainSettings) -> list[dict[str, object]]:
    heads = [p for name, p in model.named_parameters() if not name.startswith("bert.")]
    body = [p for name, p in model.named_parameters() if name.startswith("bert.") and p.requires_grad]
    return [
        {"params": body, "highest_lr": settings.learning_rate},
        {"params": heads, "highest_lr": settings.head_rate},
    ]


def _rate(step: int, settings: TrainSettings) -> float:
    """Share of the learning rate at a step: rises linearly, then falls as a cosine to a hundredth."""
    if step < settings.warm_up:
        return (step + 1) / settings.warm_up
    done = min(1.0, (step - settings.warm_up) / max(1, settings.n_steps - settings.warm_up))
    return 0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2


def _save(model: ReaderModel, optimizer: torch.optim.Optimizer, step: int, work: Path) -> None:
    """Write a checkpoint beside the last one, then put it in its place."""
    work.mkdir(parents=True, exist_ok=True)
    parts = {"model.safetensors": model.trained_state()}
    for name, state in parts.items():
        save_file({key: value.contiguous() for key, value in state.items()}, work / f".{name}")
    torch.save(optimizer.state_dict(), work / ".optimizer.pt")
    (work / ".step.json").write_text(json.dumps({"step": step}), "utf-8")
    for name in ("model.safetensors", "optimizer.pt", "step.json"):
        (work / f".{name}").replace(work / name)


def _resume(model: ReaderModel, optimizer: torch.optim.Optimizer, work: Path) -> int:
    """Load the checkpoint in `work`; the number of its step, 0 where there is none."""
    if not (work / "step.json").exists():
        return 0
    load_trained(model, work / "model.safetensors")
    optimizer.load_state_dict(torch.load(work / "optimizer.pt", weights_only=True))
    return int(json.loads((work / "step.json").read_text("utf-8"))["step"])


def load_trained(model: ReaderModel, path: Path) -> None:
    """Put trained weights into `model`.

    Raises:
        ValueError: They are of a model with other layers.
    """
    state = load_file(path)
    expected = model.trained_state().keys()
    if state.keys() != expected:
        raise ValueError(
            f"{path} holds {len(state)} tensors; expected: {len(expected)}, of as many layers; "
            "fix: name the layers it was trained with, or another folder"
        )
    model.load_state_dict(state, strict=False)
