"""Haystack: DocumentSplitter and the in-memory store, asked by BM25, by embeddings, or by both and a DocumentJoiner."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = ("haystack-ai", "sentence-transformers-haystack", "sentence-transformers")


def load(job: dict[str, Any]) -> Any:
    """The embedder of documents or of questions, warmed up, if the mode needs one."""
    from haystack.components.preprocessors import DocumentSplitter  # noqa: F401 - it belongs to the start
    from haystack.document_stores.in_memory import InMemoryDocumentStore  # noqa: F401

    if job["mode"] == "words":
        return None
    from haystack_integrations.components.embedders.sentence_transformers import (
        SentenceTransformersDocumentEmbedder,
        SentenceTransformersTextEmbedder,
    )

    embedder = (
        SentenceTransformersTextEmbedder(model=job["encoder"], progress_bar=False)
        if job["step"] == "ask"
        else SentenceTransformersDocumentEmbedder(
            model=job["encoder"], progress_bar=False, meta_fields_to_embed=["title"]
        )
    )
    embedder.warm_up()
    return embedder


def ingest(job: dict[str, Any], embedder: Any) -> int:
    """Cut, embed, and save the store."""
    from haystack import Document
    from haystack.components.preprocessors import DocumentSplitter
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    articles = [json.loads(line) for line in Path(job["corpus"]).read_text("utf-8").split("\n") if line]
    documents = [
        Document(content=a["text"], meta={"id": a["id"]} | ({"title": a["title"]} if a["title"] else {}))
        for a in articles
    ]
    splitter = DocumentSplitter(split_by="word", split_length=200, split_overlap=20)
    splitter.warm_up()
    passages = splitter.run(documents)["documents"]
    if embedder:
        passages = embedder.run(passages)["documents"]
    store = InMemoryDocumentStore()
    n_passages: int = store.write_documents(passages)
    store.save_to_disk(str(Path(job["index"]) / "store.json"))
    return n_passages


def opened(job: dict[str, Any], embedder: Any) -> Callable[[str], list[dict[str, Any]]]:
    """`Pipeline.run` over the saved store."""
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    store = InMemoryDocumentStore.load_from_disk(str(Path(job["index"]) / "store.json"))
    pipeline, last = _pipeline(job, store, embedder)

    def ask(question: str) -> list[dict[str, Any]]:
        wanted = {}
        if embedder:
            wanted["embedder"] = {"text": question}
        if job["mode"] != "vectors":
            wanted["words"] = {"query": question}
        found = pipeline.run(wanted)[last]["documents"][: job["k"]]
        return [
            {
                "doc": passage.meta["id"],
                "text": passage.content,
                "start": passage.meta["split_idx_start"],
                "end": passage.meta["split_idx_start"] + len(passage.content),
            }
            for passage in found
        ]

    return ask


def _pipeline(job: dict[str, Any], store: Any, embedder: Any) -> tuple[Any, str]:
    """The pipeline, and the component whose output counts."""
    from haystack import Pipeline
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.retrievers import InMemoryBM25Retriever, InMemoryEmbeddingRetriever

    pipeline = Pipeline()
    if job["mode"] != "vectors":
        pipeline.add_component("words", InMemoryBM25Retriever(store, top_k=job["k"]))
    if embedder:
        pipeline.add_component("embedder", embedder)
        pipeline.add_component("vectors", InMemoryEmbeddingRetriever(store, top_k=job["k"]))
        pipeline.connect("embedder.embedding", "vectors.query_embedding")
    if job["mode"] != "hybrid":
        return pipeline, str(job["mode"])
    pipeline.add_component("both", DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=job["k"]))
    pipeline.connect("words", "both")
    pipeline.connect("vectors", "both")
    return pipeline, "both"
