"""txtai: Segmentation with a Chonkie splitter (its own has no limit of size offline), Embeddings with content."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def load(job: dict[str, Any]) -> Any:
    """An empty index with its encoder."""
    import txtai.pipeline  # noqa: F401 - imports belong to the start, not to the ingest
    from txtai import Embeddings

    if job["mode"] == "words":
        return Embeddings(keyword=True, content=True)
    # As many tokens as the model says, like sentence-transformers; txtai would read the tokenizer's limit, twice that.
    return Embeddings(path=job["encoder"], maxlength=True, content=True, hybrid=job["mode"] == "hybrid")


def index(articles: list[dict[str, Any]], job: dict[str, Any], model: Any) -> tuple[int, Callable[[str], Any]]:
    """`Embeddings.search`."""
    from txtai.pipeline import Segmentation

    cut = Segmentation(chunker="recursive", chunk_size=1000, cleantext=False)
    rows = [(json.dumps([a["id"], number]), text) for a in articles for number, text in enumerate(cut(a["text"]))]
    model.index(rows)

    def ask(question: str) -> list[dict[str, Any]]:
        return [{"doc": json.loads(row["id"])[0], "text": row["text"]} for row in model.search(question, job["k"])]

    return len(rows), ask
