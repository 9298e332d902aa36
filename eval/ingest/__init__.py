"""How fast documents are brought into an index, step by step and in several processes, and the memory it takes.

`python -m eval.ingest --data FOLDER` prints two tables; what other libraries take, `python -m eval.peers` measures.
"""
