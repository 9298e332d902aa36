"""The training loop: batches prepared beside it, checkpoints, a log of the loss."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from index.training.batches import Batch, PairSampler, TopicSampler
from index.training.corpus import Corpus, Ragged, gather
from index.training.frames import Frames
from index.training.loss import contrastive, contrastive_across
from index.training.model import Table, Touched, touched

_AHEAD = 3  # batches prepared before they are needed
_LOG_EVERY = 50  # steps
_HELD_OUT = 4_096  # pairs, for the accuracy that the log shows

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What shapes the vectors. Rates are Adam's, for rows of about unit length."""

    dim: int = 256
    steps: int = 15_000
    pairs: int = 3_072
    topics: int = 1_024
    topic_every: int = 4
    scale: float = 20.0
    rate: float = 0.02
    warmup: int = 300
    seed: int = 1

    def rate_at(self, step: int) -> float:
        """Rises over `warmup` steps, then falls to zero in a straight line."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        return self.rate * (self.steps - step) / max(1, self.steps - self.warmup)


def train(
    corpus: Corpus,
    tokens: Ragged,
    frames: Frames,
    features: csr_matrix,
    recipe: Recipe,
    folder: Path,
    device: str,
    progress: Progress,
    checkpoint_every: int = 1_000,
) -> NDArray[np.float32]:
    """The vector of every piece, (pieces, dim), trained by `recipe`.

    Goes on from the checkpoint in `folder` where there is one of the same recipe; the batch of
    a step depends on the seed and the step alone, so that a resumed run ends like one in one go.
    """
    held_out = _held_out(corpus, recipe.seed)
    pairs = PairSampler(corpus, tokens, held_out)
    topics = TopicSampler(corpus, tokens, frames)
    table = Table(features.shape[1], recipe.dim, recipe.seed, device)
    step = _resume(folder, table, recipe)

    def prepare(number: int) -> tuple[Batch, Touched, bool]:
        rng = np.random.default_rng([recipe.seed, number])
        of_topics = number % recipe.topic_every == recipe.topic_every - 1
        batch = topics.draw(recipe.topics, rng) if of_topics else pairs.draw(recipe.pairs, rng)
        return batch, touched(batch.texts, features), of_topics

    import torch

    losses: dict[bool, list[float]] = {False: [], True: []}
    started, first = time.monotonic(), step
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        for number, (batch, rows, of_topics) in _ahead(prepare, step, recipe.steps):
            vectors = table.vectors(rows)
            keys = torch.from_numpy(batch.keys).to(device)
            loss, gradient = (contrastive if of_topics else contrastive_across)(vectors, keys, recipe.scale)
            table.step(rows, gradient, recipe.rate_at(number))
            losses[of_topics].append(loss)
            done = number + 1
            if done % _LOG_EVERY == 0 or done == recipe.steps:
                seconds = (time.monotonic() - started) / (done - first)
                row = {
                    "step": done,
                    "pairs": round(float(np.mean(losses[False][-_LOG_EVERY:] or [0])), 4),
                    "topics": round(float(np.mean(losses[True][-_LOG_EVERY:] or [0])), 4),
                    "seconds_a_step": round(seconds, 3),
                }
                log.write(json.dumps(row) + "\n")
                log.flush()
                left = seconds * (recipe.steps - done)
                progress(
                    f"step {done}/{recipe.steps}  loss {row['pairs']} pairs, {row['topics']} topics  "
                    f"{seconds:.2f} s a step, {left / 60:.0f} min left"
                )
                losses = {False: [], True: []}
            if done % checkpoint_every == 0 or done == recipe.steps:
                _save(folder, table, recipe)
                accuracy = _accuracy(table, corpus, tokens, features, np.flatnonzero(held_out))
                log.write(json.dumps({"step": done, "held_out": round(accuracy, 4)}) + "\n")
                progress(
                    f"step {done}/{recipe.steps}  {accuracy:.3f} of {held_out.sum():,} held-out pairs find each other"
                )
    return table.piece_vectors(features)


def _held_out(corpus: Corpus, seed: int) -> NDArray[np.bool_]:
    """Pairs kept out of training: to see in one glance whether it learns."""
    out = np.zeros(len(corpus.english), bool)
    out[np.random.default_rng(seed).choice(len(out), min(_HELD_OUT, len(out) // 10), replace=False)] = True
    return out


def _accuracy(table: Table, corpus: Corpus, tokens: Ragged, features: csr_matrix, pairs: NDArray[np.int64]) -> float:
    """Share of the English texts of `pairs` to which their own translation is the nearest, in [0, 1]."""
    import torch

    rows = np.concatenate([corpus.english[pairs], corpus.other[pairs]])
    vectors = table.vectors(touched(gather(tokens, rows), features))
    unit = torch.nn.functional.normalize(vectors, dim=1)
    nearest = (unit[: len(pairs)] @ unit[len(pairs) :].T).argmax(dim=1).cpu()
    return float((nearest == torch.arange(len(pairs))).float().mean())


def _ahead(
    prepare: Callable[[int], tuple[Batch, Touched, bool]], first: int, last: int
) -> Iterator[tuple[int, tuple[Batch, Touched, bool]]]:
    with ThreadPoolExecutor(1) as pool:
        waiting: list[Future[tuple[Batch, Touched, bool]]] = []
        try:
            for number in range(first, last):
                while len(waiting) < _AHEAD and number + len(waiting) < last:
                    waiting.append(pool.submit(prepare, number + len(waiting)))
                yield number, waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def _save(folder: Path, table: Table, recipe: Recipe) -> None:
    import torch

    path = folder / "checkpoint.pt"
    state = {
        "recipe": asdict(recipe),
        "n_steps": table.n_steps,
        "values": table.values.cpu(),
        "first": table.first.cpu(),
        "second": table.second.cpu(),
    }
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def _resume(folder: Path, table: Table, recipe: Recipe) -> int:
    """Load the checkpoint into `table`; returns the step to go on from."""
    import torch

    path = folder / "checkpoint.pt"
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    if state["recipe"] != asdict(recipe) or state["values"].shape != table.values.shape:
        return 0
    for name in ("values", "first", "second"):
        getattr(table, name).copy_(state[name])
    table.n_steps = state["n_steps"]
    return int(state["n_steps"])
