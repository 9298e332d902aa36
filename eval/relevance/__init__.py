"""Fitting and checking the relevance of `index.relevance`: `python -m eval.relevance --data FOLDER`."""
