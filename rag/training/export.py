"""The trained model as the files of `rag.reader.onnx`: layers with 8 bits a weight, word vectors with 4 bits."""

from __future__ import annotations

import tempfile
import warnings
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


class Layers(nn.Module):  # type: ignore[misc]  # torch is not followed
    """The model from word vectors to the scores of its heads, in operations that onnxruntime knows how to fuse."""

    def __init__(self, model: ReaderModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, words: Tensor, mask: Tensor, in_passage: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(span (n, n_tokens, 2), answerable (n,), label (n, 3)) of word vectors (n, n_tokens, dim)."""
        bert = self.model.bert
        own = bert.embeddings
        places = own.position_embeddings(torch.arange(words.shape[1])[None])
        states = own.LayerNorm(words + places + own.token_type_embeddings.weight[0])
        bias = (1 - mask[:, None, None, :].to(words.dtype)) * -1e4
        for layer in bert.encoder.layer:
            states = self._layer(layer, states, bias)
        span, answerable, label = self.model.heads(states, in_passage)
        return span, answerable, label

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


def export(model: ReaderModel, folder: Path) -> None:
    """Write the layers and the word vectors into `folder`.

    Weights of the layers have 8 bits and a scale a row; activations are quantised as they come. The range is reduced
    to 7 bits: without VNNI, sums of two products would overflow 16 bits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.to("cpu").eval()
    words = model.bert.embeddings.word_embeddings.weight.detach()
    np.save(folder / WORDS, blocks_of(words.numpy()))
    names = ("words", "mask", "in_passage")
    example = (words[torch.ones(2, 16, dtype=torch.int64)], *(torch.ones(2, 16, dtype=torch.int64) for _ in range(2)))
    axes = {name: {0: "n", 1: "n_tokens"} for name in (*names, "span")} | {"answerable": {0: "n"}, "label": {0: "n"}}
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter of torch is deprecated; the new one needs another library
        plain = Path(scratch) / LAYERS
        torch.onnx.export(
            Layers(model),
            example,
            str(plain),
            input_names=list(names),
            output_names=["span", "answerable", "label"],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )
        quantize_dynamic(
            plain, folder / LAYERS, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True,
        )  # fmt: skip


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
