"""From a session's settings to an open chain, or to the encoder that an index is written with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ui.config import Config

if TYPE_CHECKING:
    from rag.answerers.base import Answerer
    from rag.chain import Chain


def open_chain(config: Config, remember: Path | None = None) -> Chain:
    """The chain for an index, with the encoder that the index was made with.

    Args:
        config: The session's settings.
        remember: A file in which the model's answers are kept, and looked up before it is asked.

    Raises:
        EncoderMismatch: Another one was asked for, or it has changed.
    """
    from index.encoders import load_encoder
    from index.errors import EncoderMismatch
    from index.names.known import NO_NAMES, read_aliases
    from index.rerank import CrossEncoderReranker
    from index.store import open_backend, shown_place
    from rag.chain import Chain, ChainSettings
    from rag.followups import Rewriter, carried_over

    backend = open_backend(config.index)
    encoder = load_encoder(config.encoder or backend.encoder_name)
    if encoder.fingerprint != backend.encoder_fingerprint:
        place = shown_place(config.index)
        raise EncoderMismatch(
            f"the index in {place} was made with encoder {backend.encoder_name} ({backend.encoder_fingerprint})",
            f"the same, not {encoder.name} ({encoder.fingerprint})",
            f"leave --encoder out, or run: dragoman index --refresh --encoder {encoder.name} --index {place}",
        )
    answerer: Answerer | None = None
    rewriter: Rewriter = carried_over
    if config.model:
        from rag.answerers.generative import GenerativeAnswerer, load_chat_model
        from rag.followups import ModelRewriter
        from rag.verify.judges import load_judge

        model = load_chat_model(config.model, remember=remember)
        other = load_chat_model(config.fallback_model) if config.fallback_model else None
        judge = load_judge(config.judge) if config.judge else None
        answerer, rewriter = GenerativeAnswerer(model, fallback=other, judge=judge), ModelRewriter(model)
    elif config.judge:
        raise ValueError(
            "--judge looks at what a model writes, and there is none; to mend: name one with --model, or leave it out"
        )
    return Chain(
        backend,
        encoder,
        answerer,
        ChainSettings(k=config.k),
        rewriter=rewriter,
        reranker=CrossEncoderReranker(config.reranker) if config.reranker else None,
        names=read_aliases(config.aliases) if config.aliases else NO_NAMES,
    )


def encoder_for(config: Config) -> Any:
    """The encoder to write with: the one asked for, or the index's own, or the default."""
    from index.encoders import load_encoder
    from index.errors import IndexMissing
    from index.store import open_backend

    if config.encoder:
        return load_encoder(config.encoder)
    try:
        return load_encoder(open_backend(config.index).encoder_name)
    except IndexMissing:
        return load_encoder(config.new_encoder)
