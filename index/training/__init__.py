"""Training of the embedded encoder: from translation pairs to the package's data.

Pairs, pieces and a checkpoint stay in a work folder: a later run continues. `python -m index.training --help`.
"""
