"""LangChain: RecursiveCharacterTextSplitter, and BM25Retriever, FAISS or an EnsembleRetriever of both.

The BM25Retriever has no form on disk: a process that asks makes it anew from the articles.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

PACKAGES = ("langchain-core", "langchain-community", "langchain-text-splitters", "langchain-classic",
            "langchain-huggingface", "faiss-cpu", "rank-bm25", "sentence-transformers")  # fmt: skip


def load(job: dict[str, Any]) -> Any:
    """The embeddings, if the mode needs them."""
    import langchain_text_splitters  # noqa: F401 - an import belongs to the start, not to the ingest

    if job["mode"] != "vectors":
        from langchain_community.retrievers import BM25Retriever  # noqa: F401
    if job["mode"] == "words":
        return None
    from langchain_community.vectorstores import FAISS  # noqa: F401
    from langchain_huggingface import HuggingFaceEmbeddings

    return HuggingFaceEmbeddings(model_name=job["encoder"])


def ingest(job: dict[str, Any], embeddings: Any) -> int:
    """Cut, embed and save."""
    documents = _passages(job)
    if job["mode"] != "vectors":
        _by_words(documents, job)
    if job["mode"] != "words":
        from langchain_community.vectorstores import FAISS

        FAISS.from_documents(documents, embeddings).save_local(job["index"])
    return len(documents)


def opened(job: dict[str, Any], embeddings: Any) -> Callable[[str], list[dict[str, Any]]]:
    """A retriever's `invoke`."""
    retrievers = []
    if job["mode"] != "vectors":
        retrievers.append(_by_words(_passages(job), job))
    if job["mode"] != "words":
        from langchain_community.vectorstores import FAISS

        store = FAISS.load_local(job["index"], embeddings, allow_dangerous_deserialization=True)
        retrievers.append(store.as_retriever(search_kwargs={"k": job["k"]}))
    if len(retrievers) > 1:
        from langchain_classic.retrievers import EnsembleRetriever

        retriever = EnsembleRetriever(retrievers=retrievers)
    else:
        retriever = retrievers[0]

    def ask(question: str) -> list[dict[str, Any]]:
        found = retriever.invoke(question)
        return [
            {
                "doc": passage.metadata["id"],
                "text": passage.page_content,
                "start": passage.metadata["start_index"],
                "end": passage.metadata["start_index"] + len(passage.page_content),
            }
            for passage in found[: job["k"]]
        ]

    return ask


def _by_words(documents: list[Any], job: dict[str, Any]) -> Any:
    from langchain_community.retrievers import BM25Retriever

    return BM25Retriever.from_documents(documents, k=job["k"])


def _passages(job: dict[str, Any]) -> list[Any]:
    from langchain_core.documents import Document
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    articles = [json.loads(line) for line in Path(job["corpus"]).read_text("utf-8").split("\n") if line]
    # As in LangChain's own tutorials; its default of 4,000 characters is more than the encoder reads.
    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200, add_start_index=True)
    passages: list[Any] = splitter.split_documents(
        [
            Document(page_content=article["text"], metadata={"id": article["id"], "title": article["title"]})
            for article in articles
        ]
    )
    return passages
