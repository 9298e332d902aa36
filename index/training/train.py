"""The training loop: a table of vectors, contrastive losses, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from index.training.batches import Batch, PairSampler, TopicSampler
from index.training.corpus import Corpus, Ragged

Tensor = Any  # torch.Tensor; torch is imported where training runs
Progress = Callable[[str], None]

_LOG_EVERY = 50  # steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What shapes the encoder. Rates are Adam's, for rows of about unit length."""

    pieces: int = 106_000  # of the vocabulary
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


class Table:
    """Rows of pieces and of the n-grams they share, (pieces + n-grams, dim), and Adam on the rows of a batch."""

    def __init__(self, features: csr_matrix, dim: int, seed: int, device: str) -> None:
        import torch

        torch.manual_seed(seed)
        self._features, self._device = features, device
        self.rows = torch.nn.EmbeddingBag(features.shape[1], dim, mode="sum", sparse=True)
        torch.nn.init.normal_(self.rows.weight, std=dim**-0.5)
        self.rows.to(device)
        self.adam = torch.optim.SparseAdam(self.rows.parameters(), betas=(0.9, 0.99), eps=1e-8)

    def vectors(self, texts: Ragged) -> Tensor:
        """Sum of the piece vectors of each text, (texts, dim); a piece's is the sum of its features' rows."""
        import torch

        ones = np.ones(len(texts.values), np.float32)
        shape = (len(texts), self._features.shape[0])
        of_rows = csr_matrix((ones, texts.values, texts.offsets), shape) @ self._features
        indices, offsets, weights = (
            torch.from_numpy(array).to(self._device)
            for array in (of_rows.indices.astype(np.int64), of_rows.indptr[:-1].astype(np.int64), of_rows.data)
        )
        return self.rows(indices, offsets, per_sample_weights=weights)

    def step(self, loss: Tensor, rate: float) -> None:
        """One step against the gradient of `loss`."""
        self.adam.param_groups[0]["lr"] = rate
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()

    def piece_vectors(self) -> NDArray[np.float32]:
        """The vector of every piece, (pieces, dim)."""
        result: NDArray[np.float32] = self._features @ self.rows.weight.detach().cpu().numpy()
        return result


def contrastive(vectors: Tensor, keys: Tensor, scale: float) -> Tensor:
    """The loss of `vectors` (2n, dim), of which row i and row n + i should be similar.

    InfoNCE over cosines, in which every other text of the batch counts against a text (NT-Xent, Chen et al. 2020):
    that a Korean text is nearer to its translation than to other Korean texts keeps the vectors free of their language.
    Texts with the same value in `keys` (2n,) are not distinguished. `scale` is the inverse temperature.
    """
    import torch

    unit = torch.nn.functional.normalize(vectors, dim=1)
    n_texts = len(unit)
    partner = (torch.arange(n_texts, device=unit.device) + n_texts // 2) % n_texts
    same = keys[:, None] == keys[None, :]
    same.scatter_(1, partner[:, None], False)
    return torch.nn.functional.cross_entropy((unit @ unit.T * scale).masked_fill(same, -torch.inf), partner)


def contrastive_across(vectors: Tensor, keys: Tensor, scale: float) -> Tensor:
    """As `contrastive`, but a text is distinguished from those of the other half only (CLIP, Radford et al. 2021)."""
    import torch

    unit = torch.nn.functional.normalize(vectors, dim=1)
    n = len(unit) // 2
    own = torch.arange(n, device=unit.device)
    same = keys[:n, None] == keys[None, n:]
    same.fill_diagonal_(False)
    cosines = (unit[:n] @ unit[n:].T * scale).masked_fill(same, -torch.inf)
    entropy = torch.nn.functional.cross_entropy
    return (entropy(cosines, own) + entropy(cosines.T, own)) / 2


def train(
    corpus: Corpus,
    tokens: Ragged,
    features: csr_matrix,
    recipe: Recipe,
    folder: Path,
    device: str,
    progress: Progress,
    checkpoint_every: int = 1_000,
) -> NDArray[np.float32]:
    """The vector of every piece, (pieces, dim), trained by `recipe`.

    Goes on from the checkpoint in `folder` where there is one of the same recipe; the batch of a step depends on the
    seed and the step alone, so that a resumed run ends like one in one go.
    """
    import torch

    samplers = (PairSampler(corpus, tokens), TopicSampler(corpus, tokens))
    table = Table(features, recipe.dim, recipe.seed, device)
    losses: list[float] = []
    for number, of_topics, batch in _batches(samplers, recipe, _resume(folder, table, recipe)):
        keys = torch.from_numpy(batch.keys).to(device)
        loss = (contrastive if of_topics else contrastive_across)(table.vectors(batch.texts), keys, recipe.scale)
        table.step(loss, recipe.rate_at(number))
        losses.append(float(loss.detach()))
        done = number + 1
        if done % _LOG_EVERY == 0 or done == recipe.steps:
            progress(f"step {done}/{recipe.steps}  loss {np.mean(losses):.4f}")
            losses.clear()
        if done % checkpoint_every == 0 or done == recipe.steps:
            _save(folder, table, recipe, done)
    return table.piece_vectors()


def _batches(
    samplers: tuple[PairSampler, TopicSampler], recipe: Recipe, first: int
) -> Iterator[tuple[int, bool, Batch]]:
    """(step, whether it is of topics, batch)."""
    for number in range(first, recipe.steps):
        rng = np.random.default_rng([recipe.seed, number])
        of_topics = number % recipe.topic_every == recipe.topic_every - 1
        yield number, of_topics, samplers[of_topics].draw(recipe.topics if of_topics else recipe.pairs, rng)


def _save(folder: Path, table: Table, recipe: Recipe, n_steps: int) -> None:
    import torch

    path = folder / "checkpoint.pt"
    state = {"rows": table.rows.state_dict(), "adam": table.adam.state_dict()}
    torch.save({"recipe": asdict(recipe), "n_steps": n_steps, **state}, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)


def _resume(folder: Path, table: Table, recipe: Recipe) -> int:
    """Load the checkpoint into `table`; returns the step to go on from."""
    import torch

    path = folder / "checkpoint.pt"
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    if state["recipe"] != asdict(recipe) or state["rows"]["weight"].shape != table.rows.weight.shape:
        return 0
    table.rows.load_state_dict(state["rows"])
    table.adam.load_state_dict(state["adam"])
    return int(state["n_steps"])
