"""The documents that a gold file asks about, by the names that it calls them, and where evidence stands in them."""

from __future__ import annotations

from collections import defaultdict

from eval.gold.items import Evidence, find_evidence
from index.store.base import StoredDocument
from index.store.reading import Backend


class Corpus:
    """The documents of an index by the ends of their sources; each text is read once."""

    def __init__(self, index: Backend) -> None:
        self._index = index
        self._by_name: dict[str, list[StoredDocument]] = defaultdict(list)
        for document in index.documents():
            for name in {_last(document.source), _last(_file(document.source))}:
                self._by_name[name].append(document)
        self._texts: dict[str, str] = {}

    def named(self, doc: str) -> list[StoredDocument]:
        """The documents whose source is `doc` or ends in `/doc` or `#doc`.

        A document in a file of several, as in `news.jsonl#17`, also answers to the name of its file.
        """
        return [document for document in self._by_name.get(_last(doc), ()) if _is_called(document.source, doc)]

    def places(self, evidence: Evidence) -> list[tuple[StoredDocument, int, int]]:
        """Where the evidence stands: documents with start and end; empty where it is not found."""
        documents = self.named(evidence.doc)
        if not evidence.text:
            return [(document, 0, document.n_chars) for document in documents]
        return [
            (document, start, end)
            for document in documents
            for start, end in find_evidence(self.text(document), evidence.text)
        ]

    def text(self, document: StoredDocument) -> str:
        """The stored text of a document."""
        if document.doc_id not in self._texts:
            self._texts[document.doc_id] = self._index.text(document.doc_id) or ""
        return self._texts[document.doc_id]


def _is_called(source: str, doc: str) -> bool:
    return any(name == doc or name.endswith((f"/{doc}", f"#{doc}")) for name in (source, _file(source)))


def _last(source: str) -> str:
    """What stands behind the last slash and number sign of a source."""
    return source.rpartition("#")[2].rpartition("/")[2]


def _file(source: str) -> str:
    """The source without the `#part` that names a document in a file of several."""
    return source.partition("#")[0]
