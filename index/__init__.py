"""Documents into passages, passages into an index, questions into ranked passages."""

import os

# Before numpy is loaded: a question's matrices are small, and threads that wait for each other take three to ten times
# as long as one that does the work, the more so where several questions are answered at once. docs/decisions/0007
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
