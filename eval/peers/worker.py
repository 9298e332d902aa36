"""One system in a process of its own: `PYTHON worker.py SYSTEM JOB.json REPORT.json`.

This file needs only the standard library and the packages of the system. A system is a function of the job: it imports
what it needs, loads the encoder, and returns a function that indexes articles (`id`, `title`, `text`, `lang`). That one
returns how many passages there are, and a function from a question to the best `job["k"]` passages, best first, each
with `doc` (the article's id) and `text`. Passages are ranked by `job["mode"]`: words, vectors or hybrid;
`job["encoder"]` is the folder of a sentence-transformers model.
"""

# mypy: disable-error-code="import-not-found"
from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Hit = dict[str, Any]
Indexed = tuple[int, Callable[[str], list[Hit]]]
Index = Callable[[list[dict[str, Any]]], Indexed]

_N_WARM = 10  # questions asked before those that are timed
_REPORTED = ("faiss", "haystack", "langchain", "llama", "rank-bm25", "sentence-transformers", "torch", "txtai")


def dragoman(job: dict[str, Any]) -> Index:
    """`ingest` and `Chain.retrieve`, with the embedded encoder, or with that of the other systems."""
    from index.contextual import add_contextual
    from index.encoders import load_encoder
    from index.ingest import ingest
    from index.store import open_backend
    from rag.chain import Chain

    encoder = load_encoder("embedded" if job["mode"] == "embedded" else job["encoder"])

    def index(articles: list[dict[str, Any]]) -> Indexed:
        report = ingest(Path(job["folder"]) / "index", [job["corpus"]], encoder)
        add_contextual(Path(job["folder"]) / "index", encoder)
        chain = Chain(open_backend(Path(job["folder"]) / "index"), encoder)

        def ask(question: str) -> list[Hit]:
            passages = (found.passage for found in chain.retrieve(question, job["k"]).passages)
            return [{"doc": one.source.rpartition("#")[2], "text": one.text} for one in passages]

        return report.n_passages, ask

    return index


def langchain(job: dict[str, Any]) -> Index:
    """RecursiveCharacterTextSplitter, and BM25Retriever, FAISS or an EnsembleRetriever of both."""
    from langchain_classic.retrievers import EnsembleRetriever
    from langchain_community.retrievers import BM25Retriever
    from langchain_community.vectorstores import FAISS
    from langchain_core.documents import Document
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    # As in LangChain's own tutorials; its default of 4,000 characters is more than the encoder reads.
    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
    model: Any = None
    if job["mode"] != "words":
        from langchain_huggingface import HuggingFaceEmbeddings

        model = HuggingFaceEmbeddings(model_name=job["encoder"])

    def index(articles: list[dict[str, Any]]) -> Indexed:
        texts = splitter.split_documents([Document(page_content=a["text"], metadata={"id": a["id"]}) for a in articles])
        retrievers: list[Any] = []
        if job["mode"] != "vectors":
            retrievers.append(BM25Retriever.from_documents(texts, k=job["k"]))
        if job["mode"] != "words":
            retrievers.append(FAISS.from_documents(texts, model).as_retriever(search_kwargs={"k": job["k"]}))
        retriever = EnsembleRetriever(retrievers=retrievers) if len(retrievers) > 1 else retrievers[0]
        return len(texts), lambda question: [
            {"doc": one.metadata["id"], "text": one.page_content} for one in retriever.invoke(question)
        ]

    return index


def llama_index(job: dict[str, Any]) -> Index:
    """SentenceSplitter, and BM25Retriever, VectorStoreIndex or a QueryFusionRetriever of both."""
    from llama_index.core import Document, VectorStoreIndex
    from llama_index.core.llms import MockLLM
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.retrievers import QueryFusionRetriever
    from llama_index.retrievers.bm25 import BM25Retriever

    k = job["k"]
    # As many tokens as the encoder reads; the default of 1,024 is four times that.
    splitter = SentenceSplitter(chunk_size=256, chunk_overlap=32)
    model: Any = None
    if job["mode"] != "words":
        from llama_index.embeddings.huggingface import HuggingFaceEmbedding

        model = HuggingFaceEmbedding(model_name=job["encoder"])

    def index(articles: list[dict[str, Any]]) -> Indexed:
        hidden = ["id"]  # of the metadata, which would be embedded with the text
        nodes = splitter.get_nodes_from_documents(
            [Document(text=a["text"], metadata={"id": a["id"]}, excluded_embed_metadata_keys=hidden) for a in articles]
        )
        retrievers: list[Any] = []
        if job["mode"] != "vectors":
            retrievers.append(BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=k))
        if job["mode"] != "words":
            retrievers.append(VectorStoreIndex(nodes, embed_model=model).as_retriever(similarity_top_k=k))
        # The fusion wants a language model to write more queries, and with num_queries=1 never asks it.
        fusion = {"llm": MockLLM(), "mode": "reciprocal_rerank", "num_queries": 1, "use_async": False}
        several = len(retrievers) > 1
        retriever = QueryFusionRetriever(retrievers, similarity_top_k=k, **fusion) if several else retrievers[0]
        return len(nodes), lambda question: [
            {"doc": one.node.metadata["id"], "text": one.node.text} for one in retriever.retrieve(question)
        ]

    return index


def haystack(job: dict[str, Any]) -> Index:
    """DocumentSplitter and the in-memory store, asked by BM25, by embeddings, or by both and a DocumentJoiner."""
    from haystack import Document
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.preprocessors import DocumentSplitter
    from haystack.components.retrievers import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    splitter = DocumentSplitter(split_by="word", split_length=200, split_overlap=20)
    splitter.warm_up()
    joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion", top_k=job["k"])
    models: list[Any] = []
    if job["mode"] != "words":
        from haystack_integrations.components.embedders import sentence_transformers as embedders

        kinds = (embedders.SentenceTransformersDocumentEmbedder, embedders.SentenceTransformersTextEmbedder)
        models = [kind(model=job["encoder"], progress_bar=False) for kind in kinds]
        for model in models:
            model.warm_up()

    def index(articles: list[dict[str, Any]]) -> Indexed:
        texts = splitter.run([Document(content=a["text"], meta={"id": a["id"]}) for a in articles])["documents"]
        store = InMemoryDocumentStore()
        store.write_documents(models[0].run(texts)["documents"] if models else texts)
        words, vectors = (kind(store, top_k=job["k"]) for kind in (InMemoryBM25Retriever, InMemoryEmbeddingRetriever))

        def ask(question: str) -> list[Hit]:
            found = [] if job["mode"] == "vectors" else [words.run(query=question)["documents"]]
            if models:
                found.append(vectors.run(query_embedding=models[1].run(question)["embedding"])["documents"])
            best = found[0] if len(found) == 1 else joiner.run(found)["documents"]
            return [{"doc": o.meta["id"], "text": o.content} for o in best]

        return len(texts), ask

    return index


def txtai(job: dict[str, Any]) -> Index:
    """Segmentation with a Chonkie splitter (its own has no limit of size offline), Embeddings with content."""
    from txtai import Embeddings
    from txtai.pipeline import Segmentation

    cut = Segmentation(chunker="recursive", chunk_size=1000, cleantext=False)
    if job["mode"] == "words":
        found = Embeddings(keyword=True, content=True)
    else:
        # As many tokens as the model says; txtai would read the tokenizer's limit, twice that.
        found = Embeddings(path=job["encoder"], maxlength=True, content=True, hybrid=job["mode"] == "hybrid")

    def index(articles: list[dict[str, Any]]) -> Indexed:
        rows = [(json.dumps([a["id"], number]), text) for a in articles for number, text in enumerate(cut(a["text"]))]
        found.index(rows)
        return len(rows), lambda question: [
            {"doc": json.loads(row["id"])[0], "text": row["text"]} for row in found.search(question, job["k"])
        ]

    return index


def main(system: str, job_path: str, report_path: str) -> None:
    """Do the job and write its report: times without imports and loading, passages of each question, memory."""
    job = json.loads(Path(job_path).read_text("utf-8"))
    articles, questions = _lines(job["corpus"]), _lines(job["questions"])
    index: Index = globals()[system](job)
    started, used = time.perf_counter(), time.process_time()
    n_passages, ask = index(articles)
    report = {"n_passages": n_passages, "ingest_s": time.perf_counter() - started}
    report["ingest_cpu_s"] = time.process_time() - used
    for question in questions[:_N_WARM]:
        ask(question["question"])
    times, ranked = [], {}
    for question in questions:
        started = time.perf_counter()
        ranked[question["id"]] = ask(question["question"])[: job["k"]]
        times.append((time.perf_counter() - started) * 1000)
    installed = {one.metadata["Name"]: one.version for one in importlib.metadata.distributions()}
    versions = {name: version for name, version in installed.items() if name and name.startswith(_REPORTED)}
    found = {**report, "ms": times, "ranked": ranked, "versions": versions, "memory_bytes": _memory()}
    Path(report_path).write_text(json.dumps(found), "utf-8")


def _lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").split("\n") if line]


def _memory() -> int:
    """Bytes of memory that this process has in use; 0 where the system has no /proc."""
    path = Path("/proc/self/statm")
    return int(path.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") if path.is_file() else 0


if __name__ == "__main__":
    main(*sys.argv[1:])
