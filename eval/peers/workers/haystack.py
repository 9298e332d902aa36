"""Haystack: DocumentSplitter and the in-memory store, asked by BM25, by embeddings, or by both and a DocumentJoiner."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from collections.abc import Callable
from typing import Any


def load(job: dict[str, Any]) -> Any:
    """The embedders of documents and of questions, if the mode needs them."""
    import haystack.components.preprocessors  # noqa: F401 - imports belong to the start, not to the ingest

    if job["mode"] == "words":
        return None
    from haystack_integrations.components.embedders import sentence_transformers as embedders

    kinds = (embedders.SentenceTransformersDocumentEmbedder, embedders.SentenceTransformersTextEmbedder)
    made = [kind(model=job["encoder"], progress_bar=False) for kind in kinds]
    for embedder in made:
        embedder.warm_up()
    return made


def index(articles: list[dict[str, Any]], job: dict[str, Any], model: Any) -> tuple[int, Callable[[str], Any]]:
    """The components of a pipeline, run one after the other."""
    from haystack import Document
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.preprocessors import DocumentSplitter
    from haystack.components.retrievers import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    splitter = DocumentSplitter(split_by="word", split_length=200, split_overlap=20)
    splitter.warm_up()
    passages = splitter.run([Document(content=a["text"], meta={"id": a["id"]}) for a in articles])["documents"]
    if model:
        passages = model[0].run(passages)["documents"]
    store = InMemoryDocumentStore()
    store.write_documents(passages)
    words, vectors = (kind(store, top_k=job["k"]) for kind in (InMemoryBM25Retriever, InMemoryEmbeddingRetriever))
    joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=job["k"])

    def ask(question: str) -> list[dict[str, Any]]:
        found = []
        if job["mode"] != "vectors":
            found.append(words.run(query=question)["documents"])
        if job["mode"] != "words":
            found.append(vectors.run(query_embedding=model[1].run(question)["embedding"])["documents"])
        best = found[0] if len(found) == 1 else joiner.run(found)["documents"]
        places = [(one.meta["id"], one.content, one.meta["split_idx_start"]) for one in best[: job["k"]]]
        return [{"doc": doc, "text": text, "start": start, "end": start + len(text)} for doc, text, start in places]

    return len(passages), ask
