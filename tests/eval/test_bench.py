"""What the benchmarks say is what numpy says of the same vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eval.bench import codes as bench
from eval.bench.codes import codes
from eval.latency.articles import questions, sentence_pools
from index.encoders.base import Encoder

DATA = Path(__file__).parent.parent.parent / "ui" / "samples"


def test_codes_find_what_is_said_of_them(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_N_QUESTIONS", 12)
    found = {code.name: code for code in codes(DATA)}
    assert list(found) == ["fp16", "8 bits", "4 bits", "RaBitQ, 1 bit", "RaBitQ, 2 bits", "pq128x4", "pq256x4"]
    assert [found[name].bytes_a_vector for name in ("fp16", "4 bits", "pq128x4", "pq256x4")] == [512, 128, 64, 128]
    for code in found.values():
        shares = list(code.found.values())
        assert shares == sorted(shares) and 0 < shares[0] <= shares[-1] <= 1 and code.ns_a_vector > 0
    assert found["fp16"].found["34"] == 1.0
    assert found["pq256x4"].found["10"] > found["pq128x4"].found["10"] > found["RaBitQ, 1 bit"].found["10"]
    # By numpy, of vectors rounded to the 16 values of each component that lie evenly between its least and greatest.
    sentences = list(dict.fromkeys(one for pool in sentence_pools(DATA).values() for one in pool))
    vectors = np.unique(encoder.encode_passages(sentences).astype(np.float16), axis=0).astype(np.float32)
    assert found["fp16"].n_vectors == len(vectors)
    low, high = vectors.min(axis=0), vectors.max(axis=0)
    coded = low + (high - low) * (np.floor((vectors - low) / (high - low) * 16).clip(0, 15) + 0.5) / 16
    queries = encoder.encode_queries(questions(DATA, 12))
    true, near = (np.argsort(-(queries @ rows.T), axis=1) for rows in (vectors, coded))
    share = np.mean([np.isin(a[:10], b[:50]).mean() for a, b in zip(true, near, strict=True)])
    assert found["4 bits"].found["50"] == pytest.approx(share, abs=0.04)
