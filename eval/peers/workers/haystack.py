"""Haystack: DocumentSplitter and the in-memory store, asked by BM25, by embeddings, or by both and a DocumentJoiner."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from collections.abc import Callable
from typing import Any

PACKAGES = ("haystack-ai", "sentence-transformers-haystack", "sentence-transformers")


def load(job: dict[str, Any]) -> Any:
    """The embedders of documents and of questions, if the mode needs them."""
    if job["mode"] == "words":
        return None
    from haystack_integrations.components.embedders.sentence_transformers import (
        SentenceTransformersDocumentEmbedder,
        SentenceTransformersTextEmbedder,
    )

    kinds = (SentenceTransformersDocumentEmbedder, SentenceTransformersTextEmbedder)
    embedders = [kind(model=job["encoder"], progress_bar=False) for kind in kinds]
    for embedder in embedders:
        embedder.warm_up()
    return embedders


def index(articles: list[dict[str, Any]], job: dict[str, Any], model: Any) -> tuple[int, Callable[[str], Any]]:
    """`Pipeline.run` over a store in memory."""
    from haystack import Document
    from haystack.components.preprocessors import DocumentSplitter
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    splitter = DocumentSplitter(split_by="word", split_length=200, split_overlap=20)
    splitter.warm_up()
    passages = splitter.run([Document(content=a["text"], meta={"id": a["id"]}) for a in articles])["documents"]
    if model:
        passages = model[0].run(passages)["documents"]
    store = InMemoryDocumentStore()
    store.write_documents(passages)
    pipeline, last, inputs = _pipeline(job, store, model)

    def ask(question: str) -> list[dict[str, Any]]:
        found = pipeline.run({name: {key: question} for name, key in inputs.items()})[last]["documents"][: job["k"]]
        starts = [passage.meta["split_idx_start"] for passage in found]
        return [
            {"doc": own.meta["id"], "text": own.content, "start": start, "end": start + len(own.content)}
            for own, start in zip(found, starts, strict=True)
        ]

    return len(passages), ask


def _pipeline(job: dict[str, Any], store: Any, model: Any) -> tuple[Any, str, dict[str, str]]:
    """The pipeline, the component whose output counts, and what each first component calls the question."""
    from haystack import Pipeline
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.retrievers import InMemoryBM25Retriever, InMemoryEmbeddingRetriever

    pipeline, inputs = Pipeline(), {}
    if job["mode"] != "vectors":
        pipeline.add_component("words", InMemoryBM25Retriever(store, top_k=job["k"]))
        inputs["words"] = "query"
    if job["mode"] != "words":
        pipeline.add_component("embedder", model[1])
        pipeline.add_component("vectors", InMemoryEmbeddingRetriever(store, top_k=job["k"]))
        pipeline.connect("embedder.embedding", "vectors.query_embedding")
        inputs["embedder"] = "text"
    if job["mode"] == "hybrid":
        pipeline.add_component("hybrid", DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=job["k"]))
        pipeline.connect("words", "hybrid")
        pipeline.connect("vectors", "hybrid")
    return pipeline, str(job["mode"]), inputs
