"""Models that read question and passage together: where the answer stands, and whether there is one."""

import functools

from rag.reader.base import Judgement, Reader, Reading, SentenceReading
from rag.reader.choice import Candidate, chosen, compared

__all__ = ["Candidate", "Judgement", "Reader", "Reading", "SentenceReading", "chosen", "compared", "embedded_reader"]


@functools.cache
def embedded_reader() -> Reader:
    """The reader in the package, loaded once."""
    from rag.reader.onnx import OnnxReader

    return OnnxReader()
