"""LlamaIndex: SentenceSplitter, and BM25Retriever, VectorStoreIndex or a QueryFusionRetriever of both."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from collections.abc import Callable
from typing import Any


def load(job: dict[str, Any]) -> Any:
    """The splitter, and the embedding model if the mode needs one."""
    from llama_index.core.node_parser import SentenceSplitter

    # As many tokens as the encoder reads; the default of 1,024 is four times that.
    splitter = SentenceSplitter(chunk_size=256, chunk_overlap=32)
    if job["mode"] == "words":
        return splitter, None
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    return splitter, HuggingFaceEmbedding(model_name=job["encoder"])


def index(articles: list[dict[str, Any]], job: dict[str, Any], model: Any) -> tuple[int, Callable[[str], Any]]:
    """A retriever's `retrieve`."""
    from llama_index.core import Document

    splitter, embedding = model
    documents = [
        Document(text=a["text"], metadata={"id": a["id"]}, excluded_embed_metadata_keys=["id"]) for a in articles
    ]
    nodes = splitter.get_nodes_from_documents(documents)
    retriever = _retriever(nodes, job, embedding)

    def ask(question: str) -> list[dict[str, Any]]:
        found = (one.node for one in retriever.retrieve(question)[: job["k"]])
        return [
            {"doc": own.metadata["id"], "text": own.text, "start": own.start_char_idx, "end": own.end_char_idx}
            for own in found
        ]

    return len(nodes), ask


def _retriever(nodes: list[Any], job: dict[str, Any], embedding: Any) -> Any:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.llms import MockLLM
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.retrievers.bm25 import BM25Retriever

    k = job["k"]
    retrievers: list[Any] = []
    if job["mode"] != "vectors":
        retrievers.append(BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=k))
    if job["mode"] != "words":
        retrievers.append(VectorStoreIndex(nodes, embed_model=embedding).as_retriever(similarity_top_k=k))
    if len(retrievers) == 1:
        return retrievers[0]
    # It wants a language model to write more queries, and with num_queries=1 never asks it.
    return QueryFusionRetriever(
        retrievers, llm=MockLLM(), mode="reciprocal_rerank", num_queries=1, similarity_top_k=k, use_async=False
    )
