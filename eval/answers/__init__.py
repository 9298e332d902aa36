"""What the answers of the extractive answerer cite: do they hold the answer, in one language and across languages?

`python -m eval.answers --data FOLDER` measures; with `--fit` it also fits the weights of `rag/answerers/sentences.py`.
"""
