"""The reader in the package: a small multilingual model in ONNX, run by onnxruntime on the CPU.

`rag/reader/embedded/README.md` is its model card; `python -m rag.training export` makes its files.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from index.store.base import StoredPassage
from rag.reader.base import Judgement, Reading, SentenceReading
from rag.reader.pairs import Pair, make_pair, padded

FloatArray = NDArray[np.float32]
EMBEDDED = Path(__file__).parent / "embedded"
LAYERS, WORDS, TOKENIZER = "layers.onnx", "words.npy", "tokenizer.json"  # files of a model
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])  # 32 weights of 4 bits, as llama.cpp's Q4_0
MAX_TOKENS = 512
_BATCH = 4  # pairs a run, of like lengths: padding costs time
_MAX_ANSWER_TOKENS = 40
_MOST_THREADS = 2
_UNLIKELY = -30.0  # log-odds, of what cannot be


class OnnxReader:
    """Reads with a model of three heads: where the answer stands, whether there is one, whether a claim holds."""

    name = "embedded"

    def __init__(self, folder: Path = EMBEDDED) -> None:
        """Load the model in `folder`."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(_MOST_THREADS, _n_cores())
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting takes no processor
        options.log_severity_level = 3  # errors
        self._session = onnxruntime.InferenceSession(str(folder / LAYERS), options, providers=["CPUExecutionProvider"])
        self._words = np.load(folder / WORDS, mmap_mode="r")
        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        self._lock = threading.Lock()  # one run has all threads

    def read(self, question: str, passages: Sequence[StoredPassage]) -> list[Reading]:
        pairs = [make_pair(self._tokenizer, question, one.title, one.text, MAX_TOKENS) for one in passages]
        found: dict[int, Reading] = {}
        for i, (span, answerable, _) in self._scores(pairs):
            text = span[pairs[i].text_first : len(pairs[i].ids) - 1].astype(np.float64)
            if not len(text):
                found[i] = Reading(_UNLIKELY, _UNLIKELY, ())
                continue
            margin = float((np.logaddexp.reduce(text, axis=0) - span[0]).mean())
            found[i] = Reading(answerable, margin, tuple(_sentences(_log_softmax(text, axis=0), pairs[i], passages[i])))
        return [found[i] for i in range(len(pairs))]

    def judge(self, claims: Sequence[tuple[str, StoredPassage]]) -> list[Judgement]:
        pairs = [make_pair(self._tokenizer, claim, one.title, one.text, MAX_TOKENS) for claim, one in claims]
        found = {i: Judgement(*np.exp(_log_softmax(label)).tolist()) for i, (*_, label) in self._scores(pairs)}
        return [found[i] for i in range(len(pairs))]

    def _scores(self, pairs: Sequence[Pair]) -> Iterator[tuple[int, Any]]:
        """(number, (span (n_tokens, 2), answerable, label (3,))) of each pair, all logits; short ones first."""
        order = sorted(range(len(pairs)), key=lambda i: len(pairs[i].ids))
        for begin in range(0, len(order), _BATCH):
            own = order[begin : begin + _BATCH]
            batch = padded([(pairs[i].ids, pairs[i].first) for i in own])
            inputs = {"words": self._vectors(batch.ids), "mask": batch.mask, "in_passage": batch.in_passage}
            with self._lock:
                outputs = self._session.run(None, inputs)
            yield from ((i, (span, float(a), label)) for i, span, a, label in zip(own, *outputs, strict=True))

    def _vectors(self, ids: NDArray[np.int64]) -> FloatArray:
        """Word vectors of tokens, (n, n_tokens, dim)."""
        blocks = self._words[ids]
        nibbles = blocks["nibbles"]
        signed = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).astype(np.float32) - 8
        vectors: FloatArray = signed * blocks["scale"].astype(np.float32)[..., None]
        return vectors.reshape(*ids.shape, -1)


def _n_cores() -> int:
    """Cores that this process may use; not every system can tell."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _sentences(both: NDArray[np.float64], pair: Pair, passage: StoredPassage) -> Iterator[SentenceReading]:
    """The reading of each sentence; `both` are log-probabilities of start and end at the passage's tokens, (n, 2)."""
    offsets = np.array(pair.offsets).reshape(-1, 2) + passage.start
    for start, end in passage.sentences:
        inside = np.flatnonzero((offsets[:, 0] < end) & (offsets[:, 1] > start))
        if not len(inside):
            continue
        first, last = _best_span(both[inside])
        # A piece may begin with the space before its word.
        answer = passage.text[offsets[inside[first], 0] - passage.start : offsets[inside[last], 1] - passage.start]
        answer_start = int(offsets[inside[first], 0]) + len(answer) - len(answer.lstrip())
        score = float(np.logaddexp.reduce(both[inside], axis=0).mean())
        yield SentenceReading(
            start, end, max(start, answer_start), min(end, int(offsets[inside[last], 1])), max(_UNLIKELY, score)
        )


def _best_span(scores: NDArray[np.float64]) -> tuple[int, int]:
    """First and last token of the best span, at most `_MAX_ANSWER_TOKENS` long; `scores` are (n, 2)."""
    pairs = scores[:, 0][:, None] + scores[:, 1][None, :]
    ahead = np.arange(len(scores))[None, :] - np.arange(len(scores))[:, None]
    best = int(np.where((ahead >= 0) & (ahead < _MAX_ANSWER_TOKENS), pairs, -np.inf).argmax())
    return best // len(scores), best % len(scores)


def _log_softmax(values: NDArray[Any], axis: int = -1) -> NDArray[np.float64]:
    shifted = values - values.max(axis=axis, keepdims=True)
    normal: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return normal
