"""Published sets as gold questions, with the documents that they bring."""

from eval.gold.importers.beir import read_beir
from eval.gold.importers.corpus import CorpusDocument, Imported, Note, NoteKind, write_corpus
from eval.gold.importers.mkqa import read_mkqa
from eval.gold.importers.squad import read_squad
from eval.gold.importers.trec import Ranked, read_qrels, read_run, write_qrels, write_run

__all__ = [
    "CorpusDocument",
    "Imported",
    "Note",
    "NoteKind",
    "Ranked",
    "read_beir",
    "read_mkqa",
    "read_qrels",
    "read_run",
    "read_squad",
    "write_corpus",
    "write_qrels",
    "write_run",
]
