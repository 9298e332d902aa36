"""The trained model as the files of `rag.reader.onnx`: layers with 8 bits a weight, word vectors with 4 bits."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn
from torch.nn import functional

from index.encoders.transformer import BLOCK, WORDS
from rag.reader.onnx import LAYERS
from rag.training.model import ReaderModel

_OPSET = 17


class _Layers(nn.Module):  # type: ignore[misc]  # torch is not followed
    """The layers of a model, in operations that onnxruntime knows how to fuse."""

    def __init__(self, model: ReaderModel) -> None:
        super().__init__()
        self.model = model

    def states(self, words: Tensor, mask: Tensor) -> Tensor:
        """States of the last layer, (n, n_tokens, dim), of word vectors of that shape."""
        bert = self.model.bert
        own = bert.embeddings
        places = own.position_embeddings(torch.arange(words.shape[1])[None])
        states = own.LayerNorm(words + places + own.token_type_embeddings.weight[0])
        bias = (1 - mask[:, None, None, :].to(words.dtype)) * -1e4
        for layer in bert.encoder.layer:
            states = self._layer(layer, states, bias)
        return states

    def _layer(self, layer: nn.Module, states: Tensor, bias: Tensor) -> Tensor:
        n, n_tokens, dim = states.shape
        heads = self.model.bert.config.num_attention_heads
        attention = layer.attention
        asked, keys, values = (
            part(states).view(n, n_tokens, heads, dim // heads).transpose(1, 2)
            for part in (attention.self.query, attention.self.key, attention.self.value)
        )
        weights = (asked @ keys.transpose(-1, -2) / (dim // heads) ** 0.5 + bias).softmax(-1)
        mixed = (weights @ values).transpose(1, 2).reshape(n, n_tokens, dim)
        states = attention.output.LayerNorm(attention.output.dense(mixed) + states)
        inner = functional.gelu(layer.intermediate.dense(states))
        return layer.output.LayerNorm(layer.output.dense(inner) + states)


class _ReaderLayers(_Layers):
    """From word vectors to the scores of the heads."""

    outputs = ("span", "answerable", "label")

    def forward(self, words: Tensor, mask: Tensor, in_passage: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(span (n, n_tokens, 2), answerable (n,), label (n, 3)) of word vectors (n, n_tokens, dim)."""
        span, answerable, label = self.model.heads(self.states(words, mask), in_passage)
        return span, answerable, label


class _EncoderLayers(_Layers):
    """From word vectors to one vector of unit length a text: the mean of its states."""

    outputs = ("vector",)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Vectors (n, dim) of word vectors (n, n_tokens, dim)."""
        weights = mask[:, :, None].to(words.dtype)
        return functional.normalize((self.states(words, mask) * weights).sum(1) / weights.sum(1), dim=1)


def export(model: ReaderModel, folder: Path) -> None:
    """Write the reader's layers and the word vectors into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    model.to("cpu").eval()
    np.save(folder / WORDS, blocks_of(model.bert.embeddings.word_embeddings.weight.detach().numpy()))
    _write(_ReaderLayers(model), ("words", "mask", "in_passage"), folder / LAYERS)


def export_encoder(model: ReaderModel, path: Path) -> None:
    """Write the layers of an untrained model, with all those of its base, as the contextual encoder."""
    _write(_EncoderLayers(model.to("cpu").eval()), ("words", "mask"), path)


def _write(layers: _ReaderLayers | _EncoderLayers, inputs: Sequence[str], path: Path) -> None:
    """Write layers as ONNX.

    Weights have 8 bits and a scale a row; activations are quantised as they come. The range is reduced to 7 bits:
    without VNNI, sums of two products would overflow 16 bits.
    """
    words = layers.model.bert.embeddings.word_embeddings.weight.detach()
    masks = [torch.ones(2, 16, dtype=torch.int64) for _ in inputs[1:]]
    axes = {
        name: {0: "n", 1: "n_tokens"} if name in (*inputs, "span") else {0: "n"} for name in (*inputs, *layers.outputs)
    }
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter of torch is deprecated; the new one needs another library
        plain = Path(scratch) / path.name
        torch.onnx.export(
            layers,
            (words[torch.ones(2, 16, dtype=torch.int64)], *masks),
            str(plain),
            input_names=list(inputs),
            output_names=list(layers.outputs),
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )
        quantize_dynamic(plain, path, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)


def blocks_of(words: np.ndarray) -> np.ndarray:
    """Rows of weights as blocks of 4 bits, (n, dim / 32); exact for weights that were read from such blocks."""
    rows = words.reshape(len(words), -1, 32)
    # The weight farthest from 0 is -8 scales, as in llama.cpp.
    farthest = np.take_along_axis(rows, np.abs(rows).argmax(-1, keepdims=True), -1)[..., 0]
    scale = (farthest / -8).astype(np.float16)
    divisor = np.where(scale == 0, 1, scale.astype(np.float32))[..., None]
    values = np.clip(np.rint(rows / divisor) + 8, 0, 15).astype(np.uint8)
    blocks = np.zeros(rows.shape[:2], BLOCK)
    blocks["scale"] = scale
    blocks["nibbles"] = values[..., :16] | values[..., 16:] << 4
    return blocks
