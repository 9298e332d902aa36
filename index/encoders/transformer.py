"""The parts of the small transformers in the package that encoder and reader share: tokens, word vectors, runtime."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from index.encoders.base import FloatArray

SHARED = Path(__file__).parent / "multilingual"
WORDS, TOKENIZER = "words.npy", "tokenizer.json"
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])  # 32 weights of 4 bits, as llama.cpp's Q4_0
MAX_TOKENS = 512
_THREADS = 2


class TokenVectors:
    """The tokenizer of a model and the vectors of its tokens."""

    def __init__(self, folder: Path = SHARED) -> None:
        """Load those in `folder`."""
        self.tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._blocks = np.load(folder / WORDS, mmap_mode="r")

    def __call__(self, ids: NDArray[np.int64]) -> FloatArray:
        """The vectors of tokens, (..., dim), of ids of any shape."""
        blocks = self._blocks[ids]
        nibbles = blocks["nibbles"]
        signed = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).astype(np.float32) - 8
        vectors: FloatArray = signed * blocks["scale"].astype(np.float32)[..., None]
        return vectors.reshape(*ids.shape, -1)


class Session:
    """An ONNX model on the CPU; one run at a time has all threads."""

    def __init__(self, path: Path) -> None:
        """Load the model in `path`."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _THREADS
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting takes no processor
        options.log_severity_level = 3  # errors
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs of the model, in its order."""
        with self._lock:
            outputs: list[NDArray[Any]] = self._session.run(None, dict(inputs))
        return outputs


def batches(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Numbers of texts in batches of like lengths, short ones first; a batch has `max_tokens`, padding included."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    while order:
        n = 1
        while n < len(order) and (n + 1) * lengths[order[n]] <= max_tokens:
            n += 1
        yield order[:n]
        order = order[n:]
