"""Runs of a gold set through a chain: rows, their summary, the folder that keeps them, comparisons."""
