"""A run's measures to be read by people: a page, a comment on a pull request, a table for a terminal."""

from eval.report.page import as_html, as_markdown
from eval.report.table import as_table, comparison_line, comparison_table

__all__ = ["as_html", "as_markdown", "as_table", "comparison_line", "comparison_table"]
