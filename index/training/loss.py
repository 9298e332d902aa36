"""The contrastive loss, with its gradient by hand: what a batch costs is nearly all here."""

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
    gradient -= (gradient * unit).sum(dim=1, keepdim=True) * unit
    return loss / n_texts, gradient / norms
