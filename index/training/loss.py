"""The contrastive losses, with their gradients by hand: they are most of what a batch costs."""

from __future__ import annotations

from typing import Any

Tensor = Any  # torch.Tensor; torch is imported where training runs

_ROWS_AT_ONCE = 512  # of the similarity matrix, so that it stays in the processor's cache


def contrastive(vectors: Tensor, keys: Tensor, scale: float) -> tuple[float, Tensor]:
    """Loss and its gradient by `vectors` (2n, dim), of which row i and row n + i should come near.

    InfoNCE over cosines in which a text is told apart from every other text of the batch, on both
    sides (NT-Xent, Chen et al. 2020): that a Korean text is nearer to its English translation than
    to other Korean texts is what keeps the vectors free of their language. Texts with the same
    value in `keys` (2n,) are not told apart. `scale` is the inverse temperature.
    """
    import torch

    n_texts = len(vectors)
    norms = vectors.norm(dim=1, keepdim=True).clamp_min(1e-6)
    unit = vectors / norms
    half = unit.bfloat16()
    gradient = torch.zeros_like(unit)
    loss = 0.0
    partner = (torch.arange(n_texts, device=vectors.device) + n_texts // 2) % n_texts
    for start in range(0, n_texts, _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, n_texts))
        similarity = (half[rows] @ half.T).float().mul_(scale)
        wanted = partner[rows, None]
        positive = similarity.gather(1, wanted)
        similarity.masked_fill_(keys[rows, None] == keys[None, :], -torch.inf)
        similarity.scatter_(1, wanted, positive)
        share = similarity.softmax(dim=1)
        right = share.gather(1, wanted)
        loss -= float(right.clamp_min(1e-9).log().sum())
        share.scatter_(1, wanted, right - 1)
        share_half = share.bfloat16()
        gradient[rows] += (share_half @ half).float()
        gradient += (share_half.T @ half[rows]).float()
    gradient *= scale / n_texts
    return loss / n_texts, _through_norm(gradient, unit, norms)


def contrastive_across(vectors: Tensor, keys: Tensor, scale: float) -> tuple[float, Tensor]:
    """Loss and its gradient by `vectors` (2n, dim), of which row i and row n + i should come near.

    As `contrastive`, but a text is told apart from those of the other half only (the symmetric
    InfoNCE of CLIP, Radford et al. 2021): one matrix of (n, n) similarities serves both halves, where
    `contrastive` needs (2n, 2n).
    """
    import torch

    n = len(vectors) // 2
    norms = vectors.norm(dim=1, keepdim=True).clamp_min(1e-6)
    unit = vectors / norms
    half = unit.bfloat16()
    left, right = half[:n], half[n:]
    place = torch.arange(n, device=vectors.device)
    # exp of (similarity - scale), which is at most 1: no maximum need be found first.
    powers = torch.empty(n, n, dtype=torch.bfloat16, device=vectors.device)
    by_row, by_column = unit.new_zeros(n), unit.new_zeros(n)
    positive = unit.new_zeros(n)
    for start in range(0, n, _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, n))
        similarity = (left[rows] @ right.T).float().mul_(scale).sub_(scale)
        wanted = place[rows, None]
        positive[rows] = similarity.gather(1, wanted)[:, 0]
        similarity.masked_fill_(keys[rows, None] == keys[None, n:], -torch.inf)
        similarity.scatter_(1, wanted, positive[rows, None])
        similarity.exp_()
        by_row[rows] = similarity.sum(dim=1)
        by_column += similarity.sum(dim=0)
        powers[rows] = similarity.bfloat16()
    loss = float((by_row.log() + by_column.log() - 2 * positive).sum())
    gradient = torch.zeros_like(unit)
    for start in range(0, n, _ROWS_AT_ONCE):
        rows = slice(start, min(start + _ROWS_AT_ONCE, n))
        share = powers[rows].float().mul_(1 / by_row[rows, None] + 1 / by_column[None, :])
        wanted = place[rows, None]
        share.scatter_add_(1, wanted, share.new_full(wanted.shape, -2.0))
        share_half = share.bfloat16()
        gradient[rows] = (share_half @ right).float()
        gradient[n:] += (share_half.T @ left[rows]).float()
    gradient *= scale / (2 * n)
    return loss / (2 * n), _through_norm(gradient, unit, norms)


def _through_norm(gradient: Tensor, unit: Tensor, norms: Tensor) -> Tensor:
    """The gradient by vectors of the lengths `norms`, given that by their `unit` vectors."""
    return (gradient - (gradient * unit).sum(dim=1, keepdim=True) * unit) / norms
