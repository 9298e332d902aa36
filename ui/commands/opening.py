"""From a session's settings to an open chain, or to the encoder that an index is written with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui.config import Config

if TYPE_CHECKING:
    from index.encoders.base import Encoder
    from rag.answerers.base import Answerer
    from rag.chain import Chain
    from rag.followups import Rewriter
    from rag.reader.cross_encoders import Reranker


def open_chain(config: Config) -> Chain:
    """The chain for an index, with the encoder that the index was made with.

    Raises:
        EncoderMismatch: Another encoder was asked for, or it has changed.
    """
    from index.encoders import load_encoder
    from index.errors import EncoderMismatch
    from index.names import NO_NAMES, read_aliases
    from index.store import open_backend, shown_place
    from rag.chain import Chain, ChainSettings
    from rag.followups import carried_over

    backend = open_backend(config.index)
    encoder = load_encoder(config.encoder or backend.encoder_name)
    if encoder.fingerprint != backend.encoder_fingerprint:
        place = shown_place(config.index)
        raise EncoderMismatch(
            f"the index in {place} was made with encoder {backend.encoder_name} ({backend.encoder_fingerprint})",
            f"the same, not {encoder.name} ({encoder.fingerprint})",
            f"use the index's own encoder, or run: dragoman index --refresh --encoder {encoder.name} --index {place}",
        )
    answerer: Answerer | None = None
    rewriter: Rewriter = carried_over
    reranker: Reranker | None = None
    if config.model:
        from rag.answerers.generative import GenerativeAnswerer, load_chat_model
        from rag.followups import ModelRewriter

        model = load_chat_model(config.model)
        fallback = load_chat_model(config.fallback_model) if config.fallback_model else None
        answerer, rewriter = GenerativeAnswerer(model, fallback=fallback), ModelRewriter(model)
    if config.reranker:
        from rag.reader.cross_encoders import CrossEncoderReranker

        reranker = CrossEncoderReranker(config.reranker)
    names = read_aliases(config.aliases) if config.aliases else NO_NAMES
    settings = ChainSettings(k=config.k)
    return Chain(backend, encoder, answerer, settings, rewriter=rewriter, reranker=reranker, names=names)


def encoder_for(config: Config) -> Encoder:
    """The encoder to write with: the one asked for, else the index's own, else the default."""
    from index.encoders import DEFAULT_ENCODER, load_encoder
    from index.errors import IndexMissing
    from index.store import open_backend

    try:
        return load_encoder(config.encoder or open_backend(config.index).encoder_name)
    except IndexMissing:
        return load_encoder(DEFAULT_ENCODER)
