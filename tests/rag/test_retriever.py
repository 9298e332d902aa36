from __future__ import annotations

import pytest
from langchain_core.retrievers import BaseRetriever

from index.encoders.base import Encoder
from index.store.sqlite import EmbeddedBackend
from rag.chain import Chain
from rag.runnable import DragomanRetriever
from rag.testing import WordReader

QUESTION = "How much did the Webb telescope cost?"


@pytest.fixture
def chain(sample_backend: EmbeddedBackend, encoder: Encoder) -> Chain:
    return Chain(sample_backend, encoder, reader=WordReader())


def test_it_is_a_langchain_retriever_that_gives_the_passages_of_our_search(chain: Chain) -> None:
    retriever = DragomanRetriever(chain=chain, k=4)
    assert isinstance(retriever, BaseRetriever)
    found = chain.retrieve(QUESTION, 4).passages
    documents = retriever.invoke(QUESTION)
    assert [document.page_content for document in documents] == [item.passage.text for item in found]
    assert [document.metadata["score"] for document in documents] == [item.score for item in found]
    for document in documents:
        text, where = chain.backend.text(document.metadata["doc_id"]), document.metadata
        assert text is not None and text[where["start"] : where["end"]] == document.page_content
    assert documents[0].metadata["title"] == found[0].passage.title != ""
    assert set(documents[0].metadata) == {
        "doc_id", "source", "title", "url", "date", "language", "start", "end", "score",
    }  # fmt: skip
