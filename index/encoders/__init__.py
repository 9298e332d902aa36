"""Encoders behind one protocol: the embedded one, sentence-transformers, LangChain."""

from __future__ import annotations

from pathlib import Path

from index.encoders.base import Encoder, FloatArray
from index.encoders.static import EMBEDDED, StaticEncoder, is_static_model

__all__ = ["DEFAULT_ENCODER", "Encoder", "FloatArray", "load_encoder"]

DEFAULT_ENCODER = "embedded"


def load_encoder(name: str, device: str | None = None) -> Encoder:
    """The encoder called `name`.

    `embedded` is the static one in the package, `e5` the contextual one there (multilingual-e5-small);
    `langchain:PROVIDER:MODEL` any LangChain embeddings; a directory of a static model that model; anything else goes to
    sentence-transformers.

    Raises:
        EncoderUnavailable: It cannot be loaded; the error says what to do.
    """
    if name == DEFAULT_ENCODER:
        return StaticEncoder(EMBEDDED, DEFAULT_ENCODER)
    if is_static_model(Path(name)):
        return StaticEncoder(Path(name), name)
    from index.encoders import others

    if name == others.E5:
        return others.e5()
    return others.from_provider(name) if name.startswith("langchain:") else others.TransformerEncoder(name, device)
