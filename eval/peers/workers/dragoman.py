"""Dragoman: `ingest` and `Chain.retrieve`, with its embedded encoder, or with the encoder of the other systems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def load(job: dict[str, Any]) -> Any:
    """The encoder."""
    import index.ingest  # noqa: F401 - imports belong to the start, not to the ingest
    import rag.chain  # noqa: F401
    from index.encoders import load_encoder

    return load_encoder("embedded" if job["mode"] == "embedded" else job["encoder"])


def index(articles: list[dict[str, Any]], job: dict[str, Any], model: Any) -> tuple[int, Callable[[str], Any]]:
    """An index in the job's folder, and `Chain.retrieve`."""
    from index.ingest import ingest
    from index.store import open_backend
    from rag.chain import Chain

    folder = Path(job["folder"]) / "index"
    report = ingest(folder, [job["corpus"]], model)
    chain = Chain(open_backend(folder), model)

    def ask(question: str) -> list[dict[str, Any]]:
        passages = (found.passage for found in chain.retrieve(question, job["k"]).passages)
        return [{"doc": one.source.rpartition("#")[2], "text": one.text} for one in passages]

    return report.n_passages, ask
