"""What the product's whole search finds: its legs and their fusion, fairness to languages, refusal.

`python -m eval.retrieval --data FOLDER` builds real indexes of published sets and prints one table.
"""
