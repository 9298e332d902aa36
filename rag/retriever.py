"""Our search as a LangChain retriever, for other people's chains."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict

from index.store.base import EVERYTHING, Filter
from rag.chain import Chain


class DragomanRetriever(BaseRetriever):
    """Passages as LangChain documents; the span of each stands in its metadata."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    chain: Chain
    k: int = 10
    where: Filter = EVERYTHING

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return [
            Document(page_content=item.passage.text, metadata=_metadata(item))
            for item in self.chain.retrieve(query, self.k, self.where).passages
        ]


def _metadata(item: Any) -> dict[str, Any]:
    passage = item.passage
    return {
        "doc_id": passage.doc_id,
        "source": passage.source,
        "title": passage.title,
        "url": passage.url,
        "date": passage.date,
        "language": passage.language,
        "start": passage.start,
        "end": passage.end,
        "score": item.score,
    }
