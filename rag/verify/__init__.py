"""Whether a passage supports a sentence, in one language or two: decided by code, check by check."""

from rag.answer import Verdict
from rag.verify.figures import figures
from rag.verify.support import Support, support

__all__ = ["Support", "Verdict", "figures", "support"]
