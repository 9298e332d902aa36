"""Gold questions: their files, what makes them, what checks them."""

from eval.gold.corpus import Corpus
from eval.gold.files import read_gold, write_gold
from eval.gold.items import Evidence, GoldItem, Need, as_item, as_values, find_evidence
from eval.gold.published import CorpusDocument, Published, read_beir, read_published, read_squad, write_corpus

__all__ = [
    "Corpus",
    "CorpusDocument",
    "Evidence",
    "GoldItem",
    "Need",
    "Published",
    "as_item",
    "as_values",
    "find_evidence",
    "read_beir",
    "read_gold",
    "read_published",
    "read_squad",
    "write_corpus",
    "write_gold",
]
