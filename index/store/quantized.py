"""Vectors of a passage as stored: 8 bits a component, and one scale a vector.

Half the size of float16. A component is `value * scale / 127`; `scale` is the vector's greatest absolute component.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index.encoders.base import FloatArray, HalfArray


def row_bytes(dim: int) -> int:
    """Bytes of one packed vector: a float16 scale and `dim` signed bytes."""
    return 2 + dim


def _rows(dim: int) -> np.dtype[np.void]:
    return np.dtype([("scale", "<f2"), ("values", "i1", (dim,))])


def packed(matrix: NDArray[np.floating]) -> bytes:
    """The rows of `matrix`, (n, dim), each in `row_bytes` bytes. Packing what `unpacked` gives changes nothing."""
    matrix = np.nan_to_num(np.asarray(matrix, dtype=np.float32))
    found = np.empty(len(matrix), _rows(matrix.shape[1]))
    found["scale"] = np.abs(matrix).max(axis=1, initial=0.0)
    scale = found["scale"].astype(np.float32)[:, None]
    steps = np.divide(127 * matrix, scale, out=np.zeros_like(matrix), where=scale > 0)
    found["values"] = np.rint(steps).clip(-127, 127)
    return found.tobytes()


def unpacked(data: bytes, dim: int) -> FloatArray:
    """float32, (n, dim), of rows that `packed` wrote.

    Raises:
        ValueError: The length of `data` is no multiple of `row_bytes`.
    """
    rows = np.frombuffer(data, _rows(dim))
    values: FloatArray = rows["values"].astype(np.float32)
    scales = np.clip(np.nan_to_num(rows["scale"].astype(np.float32)), 0, 1)  # a damaged one may be anything
    values *= scales[:, None] / np.float32(127)
    return values


def rounded(matrix: NDArray[np.floating]) -> HalfArray:
    """`matrix` with the values that its packed form has, so that every store keeps the same ones."""
    return unpacked(packed(matrix), matrix.shape[1]).astype(np.float16)
