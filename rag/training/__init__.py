"""Training of the reader: not part of the wheel.

`python -m rag.training prepare` writes the examples into one file, `train` learns from it and goes on where it
stopped, `evaluate` measures the newest checkpoint.
"""
