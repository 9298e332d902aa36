"""The trained table as a directory: int8 rows with a scale each, in the format of model2vec.

Both `model2vec.StaticModel.from_pretrained` and `SentenceTransformer` read it, and give the
same vectors as `index.encoders.static` (held by a test).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.training import vocabulary

_MODULES = [
    {"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"},
    {"idx": 1, "name": "1", "path": "1_Normalize", "type": "sentence_transformers.models.Normalize"},
]


def quantise(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """(n, dim) as int8 rows and the factor (n,) that gives each back, largest component at 127."""
    factors = np.maximum(np.abs(vectors).max(axis=1), 1e-12) / 127
    return np.rint(vectors / factors[:, None]).astype(np.int8), factors.astype(np.float32)


def write(
    folder: Path,
    vectors: NDArray[np.float32],
    tokenizer: Any,
    rows: Sequence[int],
    languages: Sequence[str],
) -> None:
    """Write the model: `vectors` (pieces, dim), `tokenizer`, and the row of `vectors` that each of its ids has."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    table, factors = quantise(vectors)
    mapping = np.asarray(rows, np.int64)
    tensors: dict[str, NDArray[Any]] = {"embeddings": table, "weights": factors[mapping]}
    if not np.array_equal(mapping, np.arange(len(table))):
        tensors["mapping"] = mapping.astype(np.int32)
    save_file(tensors, folder / "model.safetensors")
    vocabulary.save(tokenizer, folder / "tokenizer.json")
    config = {
        "model_type": "model2vec",
        "architectures": ["StaticModel"],
        "normalize": True,
        "max_length": None,
        "embedding_dtype": "int8",
        "hidden_dim": int(vectors.shape[1]),
        "languages": sorted(languages),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=4) + "\n", "utf-8")
    (folder / "modules.json").write_text(json.dumps(_MODULES, indent=4) + "\n", "utf-8")
