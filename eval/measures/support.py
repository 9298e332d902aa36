"""What the verifier of `rag.verify` says of an answer's sentences, and how far the gold answers bear it out.

unsupported_share: of one answer's sentences, the share whose verdict is not `supported` (partly, unsupported, no
source). Range [0, 1]; NaN without sentences, where it does not apply.

agreement: of the answers, the share on which the verifier and the gold agree that they are right, or that they are
not: the verifier holds an answer right if it supports every sentence. Range [0, 1]; an answer without sentences is
left out, and NaN comes of none. It is not corrected for chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rag.verify import Verdict


def unsupported_share(verdicts: Sequence[Verdict]) -> float:
    """The share of an answer's sentences that is not supported."""
    n_unsupported = sum(verdict is not Verdict.SUPPORTED for verdict in verdicts)
    return n_unsupported / len(verdicts) if verdicts else math.nan


def agreement(verdicts: Sequence[Sequence[Verdict]], right: Sequence[bool]) -> float:
    """The share of answers with one judgement, where `verdicts[i]` are those of the i-th answer's sentences.

    `right[i]` says whether the i-th answer contains an expected answer.

    Raises:
        ValueError: They are not as many.
    """
    agreed = [
        all(verdict is Verdict.SUPPORTED for verdict in own) == is_right
        for own, is_right in zip(verdicts, right, strict=True)
        if own
    ]
    return sum(agreed) / len(agreed) if agreed else math.nan
