"""Gold questions: their files, what makes them, what checks them."""

from eval.gold.items import Evidence, GoldItem, as_item, as_values, find_evidence, read_gold

__all__ = ["Evidence", "GoldItem", "as_item", "as_values", "find_evidence", "read_gold"]
