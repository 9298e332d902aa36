"""Gold questions: their files, what makes them, what checks them."""

from eval.gold.formats import read_gold, write_gold
from eval.gold.items import Evidence, GoldItem, as_item, as_values, find_evidence

__all__ = ["Evidence", "GoldItem", "as_item", "as_values", "find_evidence", "read_gold", "write_gold"]
