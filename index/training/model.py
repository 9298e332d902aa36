"""The table being trained: rows of pieces and of the n-grams they share, and Adam on the rows a batch touches."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from index.training.corpus import Ragged
from index.training.loss import Tensor

_BETAS = (0.9, 0.99)
_EPSILON = 1e-8


@dataclass(slots=True)
class Touched:
    """What a batch needs of the table: its rows, and how texts are made of them.

    Each matrix comes with its transpose, for the way back.
    """

    rows: NDArray[np.int64]
    of_pieces: csr_matrix  # (pieces, rows)
    of_texts: csr_matrix  # (texts, pieces)
    of_pieces_back: csr_matrix
    of_texts_back: csr_matrix


def touched(texts: Ragged, features: csr_matrix) -> Touched:
    """Which rows the texts are made of."""
    pieces, position = np.unique(texts.values, return_inverse=True)
    ones = np.ones(len(position), np.float32)
    shape = (len(texts), len(pieces))
    of_texts = csr_matrix((ones, position.astype(np.int32), texts.offsets), shape)
    own = features[pieces]
    rows, column = np.unique(own.indices, return_inverse=True)
    of_pieces = csr_matrix((own.data, column.astype(np.int32), own.indptr), (len(pieces), len(rows)))
    return Touched(rows.astype(np.int64), of_pieces, of_texts, of_pieces.T.tocsr(), of_texts.T.tocsr())


class Table:
    """(pieces + n-grams, dim) rows under training."""

    def __init__(self, n_rows: int, dim: int, seed: int, device: str) -> None:
        import torch

        generator = torch.Generator().manual_seed(seed)
        values = torch.randn(n_rows, dim, generator=generator) * dim**-0.5
        self.values: Tensor = values.to(device)
        self.first: Tensor = torch.zeros_like(self.values)
        self.second: Tensor = torch.zeros_like(self.values)
        self.n_steps = 0
        self._device = device
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            self._sparse(csr_matrix((1, 1), dtype=np.float32))  # says so once

    def vectors(self, batch: Touched) -> Tensor:
        """Sum of the piece vectors of each text, (texts, dim)."""
        import torch

        rows = torch.from_numpy(batch.rows).to(self._device)
        pieces = self._sparse(batch.of_pieces) @ self.values.index_select(0, rows)
        return self._sparse(batch.of_texts) @ pieces

    def step(self, batch: Touched, gradient: Tensor, rate: float) -> None:
        """One step of Adam on the rows of `batch`, given the gradient by its text vectors."""
        import torch

        self.n_steps += 1
        rows = torch.from_numpy(batch.rows).to(self._device)
        by_row = self._sparse(batch.of_pieces_back) @ (self._sparse(batch.of_texts_back) @ gradient)
        one, two = _BETAS
        first = self.first.index_select(0, rows).mul_(one).add_(by_row, alpha=1 - one)
        second = self.second.index_select(0, rows).mul_(two).addcmul_(by_row, by_row, value=1 - two)
        self.first.index_copy_(0, rows, first)
        self.second.index_copy_(0, rows, second)
        scale = second.mul_(1 / (1 - two**self.n_steps)).sqrt_().add_(_EPSILON)
        change = first.div_(scale).mul_(-rate / (1 - one**self.n_steps))
        self.values.index_add_(0, rows, change)

    def piece_vectors(self, features: csr_matrix) -> NDArray[np.float32]:
        """The vector of every piece, (pieces, dim)."""
        result: NDArray[np.float32] = features @ self.values.cpu().numpy()
        return result

    def _sparse(self, matrix: csr_matrix) -> Tensor:
        import torch

        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int32)),
            torch.from_numpy(matrix.indices.astype(np.int32)),
            torch.from_numpy(matrix.data),
            matrix.shape,
            device=self._device,
            check_invariants=False,
        )
