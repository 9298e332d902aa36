"""How fast a search is at 1,000 to 1,000,000 passages, leg by leg, and what a passage takes in memory and on disk.

`python -m eval.latency --data FOLDER` grows one index and prints a table.
"""
