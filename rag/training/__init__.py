"""Training of the reader: not part of the wheel.

`python -m rag.training prepare` writes the examples into one file, `train` learns from them and continues from its
checkpoint, `export` writes the model of the package.
"""
