"""Training of the embedded encoder: from translation pairs to the package's data.

Runs in stages, each of which leaves its result in a work directory and is skipped when
that is there: pairs, vocabulary, tokens, training, export. `python -m index.training --help`.
"""
