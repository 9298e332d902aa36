"""Cross-encoders, models that read two texts together: by name, for a reranker or for entailment. Imports torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from index.errors import CrossEncoderUnavailable


def load_cross_encoder(name: str, device: str | None, flag: str, example: str) -> Any:
    """The sentence-transformers `CrossEncoder` called `name` (hub name or directory).

    Args:
        name: As sentence-transformers takes it.
        device: `cpu`, `cuda`, `mps`; the best one there is where it is None.
        flag: Of the command line that asked for it, for the message.
        example: A model that would do, for the message.

    Raises:
        CrossEncoderUnavailable: The library or the model cannot be had here.
    """
    try:
        from sentence_transformers import CrossEncoder
    except ImportError as error:
        raise CrossEncoderUnavailable(
            f"the model {name!r} needs sentence-transformers, which is not there",
            "the extra `models`",
            f"leave {flag} out, or: pip install 'dragoman[models]'",
        ) from error
    try:
        return CrossEncoder(
            name, device=device, trust_remote_code=False, local_files_only=os.environ.get("HF_HUB_OFFLINE") == "1"
        )
    except Exception as error:
        raise CrossEncoderUnavailable(
            f"the model {name!r} is not on this machine and could not be fetched ({type(error).__name__})",
            f"a cross-encoder of the hub, as {example}, or a directory with one",
            f"check the model in {name}" if Path(name).exists() else f"hf download {name}",
        ) from error
