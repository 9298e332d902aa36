"""LlamaIndex: SentenceSplitter, and BM25Retriever, VectorStoreIndex or a QueryFusionRetriever of both."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = ("llama-index-core", "llama-index-embeddings-huggingface", "llama-index-retrievers-bm25",
            "sentence-transformers")  # fmt: skip


def load(job: dict[str, Any]) -> Any:
    """The embedding model, if the mode needs one."""
    if job["step"] == "ingest":
        _splitter()  # the tokenizer that it loads belongs to the start, not to the ingest

    if job["mode"] != "vectors":
        from llama_index.retrievers.bm25 import BM25Retriever  # noqa: F401
    if job["mode"] == "words":
        return None
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    return HuggingFaceEmbedding(model_name=job["encoder"])


def ingest(job: dict[str, Any], model: Any) -> int:
    """Cut, embed and persist."""
    nodes = _passages(job)
    if job["mode"] != "vectors":
        from llama_index.retrievers.bm25 import BM25Retriever

        words = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=job["k"])
        words.persist(str(Path(job["index"]) / "words"))
    if job["mode"] != "words":
        from llama_index.core import VectorStoreIndex

        index = VectorStoreIndex(nodes, embed_model=model)
        index.storage_context.persist(str(Path(job["index"]) / "vectors"))
    return len(nodes)


def opened(job: dict[str, Any], model: Any) -> Callable[[str], list[dict[str, Any]]]:
    """A retriever's `retrieve`."""
    retrievers: list[Any] = []
    if job["mode"] != "vectors":
        from llama_index.retrievers.bm25 import BM25Retriever

        retrievers.append(BM25Retriever.from_persist_dir(str(Path(job["index"]) / "words")))
    if job["mode"] != "words":
        from llama_index.core import StorageContext, load_index_from_storage

        stored = StorageContext.from_defaults(persist_dir=str(Path(job["index"]) / "vectors"))
        index = load_index_from_storage(stored, embed_model=model)
        retrievers.append(index.as_retriever(similarity_top_k=job["k"]))
    retriever = _fused(retrievers, job) if len(retrievers) > 1 else retrievers[0]

    def ask(question: str) -> list[dict[str, Any]]:
        found = retriever.retrieve(question)
        return [
            {
                "doc": one.node.metadata["id"],
                "text": one.node.text,
                "start": one.node.start_char_idx,
                "end": one.node.end_char_idx,
            }
            for one in found[: job["k"]]
        ]

    return ask


def _fused(retrievers: list[Any], job: dict[str, Any]) -> Any:
    from llama_index.core.llms import MockLLM
    from llama_index.core.retrievers import QueryFusionRetriever

    # It would ask a language model for more queries; of one query it makes none, but wants to have the model.
    return QueryFusionRetriever(
        retrievers,
        llm=MockLLM(),
        mode="reciprocal_rerank",
        num_queries=1,
        similarity_top_k=job["k"],
        use_async=False,
    )


def _passages(job: dict[str, Any]) -> Any:
    from llama_index.core import Document

    articles = [json.loads(line) for line in Path(job["corpus"]).read_text("utf-8").split("\n") if line]
    return _splitter().get_nodes_from_documents(
        [
            Document(
                text=article["text"],
                metadata={"id": article["id"]} | ({"title": article["title"]} if article["title"] else {}),
                excluded_embed_metadata_keys=["id"],
            )
            for article in articles
        ]
    )


def _splitter() -> Any:
    from llama_index.core.node_parser import SentenceSplitter

    # As many tokens as the encoder reads; the default of 1,024 is four times that.
    return SentenceSplitter(chunk_size=256, chunk_overlap=32)
