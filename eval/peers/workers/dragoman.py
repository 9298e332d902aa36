"""Dragoman itself, measured as its peers are: `ingest` and `Chain.retrieve`, with the embedded or another encoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = ("dragoman", "faiss-cpu", "sentence-transformers")


def load(job: dict[str, Any]) -> Any:
    """The encoder: the one in the package where the mode says so."""
    import index.ingest  # noqa: F401 - an import belongs to the start, not to the ingest
    import rag.chain  # noqa: F401
    from index.encoders import load_encoder

    return load_encoder("embedded" if job["mode"] == "embedded" else job["encoder"])


def ingest(job: dict[str, Any], encoder: Any) -> int:
    """As `dragoman index` does it."""
    from index.ingest import ingest as build

    report = build(Path(job["index"]) / "index", [job["corpus"]], encoder)
    if report.failed:
        raise ValueError(f"{len(report.failed)} sources failed; the first: {report.failed[0]}")
    return report.n_passages


def opened(job: dict[str, Any], encoder: Any) -> Callable[[str], list[dict[str, Any]]]:
    """`Chain.retrieve`."""
    from index.store.sqlite import EmbeddedBackend
    from rag.chain import Chain

    chain = Chain(EmbeddedBackend(Path(job["index"]) / "index"), encoder)

    def ask(question: str) -> list[dict[str, Any]]:
        found = chain.retrieve(question, job["k"]).passages
        # Offsets count the stored text, which cleaning may have changed: the passage's text tells where it stands.
        return [
            {"doc": one.passage.source.removeprefix(job["corpus"] + "#"), "text": one.passage.text} for one in found
        ]

    return ask
