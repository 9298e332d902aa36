"""Does a passage bear out a sentence, whatever the two languages: decided by code, check by check."""

from rag.verify.figures import figures
from rag.verify.support import Support, Verdict, support

__all__ = ["Support", "Verdict", "figures", "support"]
