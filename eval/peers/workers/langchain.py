"""LangChain: RecursiveCharacterTextSplitter, and BM25Retriever, FAISS or an EnsembleRetriever of both."""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

from collections.abc import Callable
from typing import Any


def load(job: dict[str, Any]) -> Any:
    """The embeddings, if the mode needs them."""
    import langchain_community.retrievers  # noqa: F401 - imports belong to the start, not to the ingest
    import langchain_text_splitters  # noqa: F401

    if job["mode"] == "words":
        return None
    from langchain_huggingface import HuggingFaceEmbeddings

    return HuggingFaceEmbeddings(model_name=job["encoder"])


def index(articles: list[dict[str, Any]], job: dict[str, Any], model: Any) -> tuple[int, Callable[[str], Any]]:
    """A retriever's `invoke`."""
    from langchain_core.documents import Document
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    # As in LangChain's own tutorials; its default of 4,000 characters is more than the encoder reads.
    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200, add_start_index=True)
    passages = splitter.split_documents([Document(page_content=a["text"], metadata={"id": a["id"]}) for a in articles])
    retriever = _retriever(passages, job, model)

    def ask(question: str) -> list[dict[str, Any]]:
        found = ((one.page_content, one.metadata) for one in retriever.invoke(question)[: job["k"]])
        return [
            {"doc": own["id"], "text": text, "start": own["start_index"], "end": own["start_index"] + len(text)}
            for text, own in found
        ]

    return len(passages), ask


def _retriever(passages: list[Any], job: dict[str, Any], model: Any) -> Any:
    from langchain_classic.retrievers import EnsembleRetriever
    from langchain_community.retrievers import BM25Retriever
    from langchain_community.vectorstores import FAISS

    retrievers: list[Any] = []
    if job["mode"] != "vectors":
        retrievers.append(BM25Retriever.from_documents(passages, k=job["k"]))
    if job["mode"] != "words":
        retrievers.append(FAISS.from_documents(passages, model).as_retriever(search_kwargs={"k": job["k"]}))
    return EnsembleRetriever(retrievers=retrievers) if len(retrievers) > 1 else retrievers[0]
