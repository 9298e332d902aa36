"""Trained models as ONNX with 8 bits a weight, for `rag.reader.onnx` and `index.encoders.contextual`; and back."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn
from torch.nn import functional

from rag.training.model import ReaderModel

_OPSET = 17


class _Encoder(nn.Module):  # type: ignore[misc]  # torch is not followed
    """From word vectors to one vector of unit length a text: the mean of its states."""

    def __init__(self, model: ReaderModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Vectors (n, dim) of word vectors (n, n_tokens, dim)."""
        weights = mask[:, :, None].to(words.dtype)
        return functional.normalize((self.model.states(words, mask) * weights).sum(1) / weights.sum(1), dim=1)


def export(model: ReaderModel, path: Path) -> None:
    """Write the reader's layers."""
    _write(model, model, ("mask", "in_passage"), ("span", "answerable", "label"), path)


def export_encoder(model: ReaderModel, path: Path) -> None:
    """Write the layers of an untrained model as the contextual encoder."""
    _write(_Encoder(model), model, ("mask",), ("vector",), path)


def _write(layers: nn.Module, model: ReaderModel, masks: Sequence[str], outputs: Sequence[str], path: Path) -> None:
    """Write layers from word vectors to `outputs`.

    Weights have 8 bits and a scale a row; activations are quantised as they come. The range is reduced to 7 bits:
    without VNNI, sums of two products would overflow 16 bits.
    """
    layers.to("cpu").eval()
    ones = torch.ones(2, 16, dtype=torch.int64)
    names = ("words", *masks, *outputs)
    by_token = {0: "n", 1: "n_tokens"}
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter of torch is deprecated; the new one needs another library
        plain = Path(scratch) / path.name
        torch.onnx.export(
            layers,
            (model.words(ones), *(ones for _ in masks)),
            str(plain),
            input_names=["words", *masks],
            output_names=list(outputs),
            dynamic_axes={name: by_token if name in ("words", *masks, "span") else {0: "n"} for name in names},
            opset_version=_OPSET,
            dynamo=False,
        )
        quantize_dynamic(
            plain,
            path,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            op_types_to_quantize=["MatMul", "Gemm"],
        )


def load_exported(model: ReaderModel, path: Path) -> None:
    """Put the weights of an exported reader into `model`, as exactly as 8 bits hold them."""
    graph = onnx.load(path).graph
    stored = {one.name.removeprefix("model."): numpy_helper.to_array(one) for one in graph.initializer}
    # The exporter renames the matrices of the layers, but keeps their order.
    renamed = (node.input[1] for node in graph.node if node.op_type == "MatMulInteger" and "::" in node.input[1])
    state = model.trained_state()
    for name in (name for name, value in state.items() if value.ndim == 2):
        kept = f"{name}_Transposed"
        found = kept if f"{kept}_quantized" in stored else next(renamed).removesuffix("_quantized")
        values, zero, scale = (stored[found + part] for part in ("_quantized", "_zero_point", "_scale"))
        stored[name] = ((values.astype(np.float32) - zero) * scale).T
    model.load_state_dict({name: torch.from_numpy(stored[name].copy()) for name in state}, strict=False)
