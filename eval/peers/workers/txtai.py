"""txtai: Segmentation with a Chonkie splitter (its own has no limit of size offline), Embeddings with content."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = ("txtai", "chonkie", "faiss-cpu", "sentence-transformers", "transformers")


def load(job: dict[str, Any]) -> Any:
    """An empty index, its encoder loaded, to ingest into; one that is opened loads its encoder itself."""
    from txtai import Embeddings

    if job["step"] == "ask":
        return Embeddings()
    import txtai.pipeline  # noqa: F401 - an import belongs to the start, not to the ingest

    if job["mode"] == "words":
        return Embeddings(keyword=True, content=True)
    # As many tokens as the model says, like sentence-transformers; txtai would read the tokenizer's limit, twice that.
    return Embeddings(path=job["encoder"], maxlength=True, content=True, hybrid=job["mode"] == "hybrid")


def ingest(job: dict[str, Any], embeddings: Any) -> int:
    """Cut, index and save."""
    from txtai.pipeline import Segmentation

    cut = Segmentation(chunker="recursive", chunk_size=1000, cleantext=False)
    articles = [json.loads(line) for line in Path(job["corpus"]).read_text("utf-8").split("\n") if line]
    rows = [
        (json.dumps([article["id"], number]), text)
        for article in articles
        for number, text in enumerate(cut(article["text"]))
    ]
    embeddings.index(rows)
    embeddings.save(job["index"])
    return len(rows)


def opened(job: dict[str, Any], embeddings: Any) -> Callable[[str], list[dict[str, Any]]]:
    """`Embeddings.search` of the saved index."""
    embeddings.load(job["index"])

    def ask(question: str) -> list[dict[str, Any]]:
        found = embeddings.search(question, job["k"])
        return [{"doc": json.loads(row["id"])[0], "text": row["text"]} for row in found]

    return ask
