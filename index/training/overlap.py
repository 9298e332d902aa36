"""Training text that shares text with evaluation sets: found by runs of letters, and left out.

Every run of 32 letters (16 of Han, Kana and Hangul) of the evaluation text is hashed, and a training text that holds
one of them is left out (13-gram overlap of Brown et al. 2020, in letters, because not every script has words).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray

from index.errors import ReadError
from index.training.pairs import normal
from index.training.squad import parsed, unpacked

_RUN, _DENSE_RUN = 32, 16  # letters; powers of two, as `_hashes` doubles its windows
_STRIDE = 4  # of the windows looked up: a shared run of 35 letters (19) is found wherever it begins
_TEXTS_AT_ONCE = 50_000
_BASE = 0x9E3779B97F4A7C15  # odd, so that the polynomial modulo 2**64 loses nothing
_DENSE = ((0x3040, 0x30FF), (0x3400, 0x9FFF), (0xAC00, 0xD7A3), (0x20000, 0x323AF))
_NOT_LETTERS = regex.compile(r"[^\p{L}\p{M}\p{N}]+")

Hashes = NDArray[np.uint64]


def runs_of(texts: Iterable[str]) -> Hashes:
    """The hashes of all runs of `texts`, sorted."""
    texts = iter(texts)
    found = [np.zeros(0, np.uint64)]
    while chunk := list(islice(texts, _TEXTS_AT_ONCE)):
        found.append(np.unique(np.concatenate([hashes for hashes, _ in _hashes(chunk, 1)])))
    return np.unique(np.concatenate(found))


def holds_a_run(texts: Sequence[str], runs: Hashes) -> NDArray[np.bool_]:
    """(len(texts),): whether a text holds one of `runs`."""
    out = np.zeros(len(texts), bool)
    for start in range(0, len(texts) if len(runs) else 0, _TEXTS_AT_ONCE):
        for hashes, owners in _hashes(texts[start : start + _TEXTS_AT_ONCE], _STRIDE):
            place = np.minimum(np.searchsorted(runs, hashes), len(runs) - 1)
            out[start + owners[runs[place] == hashes]] = True
    return out


def evaluation_texts(folder: Path) -> Iterator[str]:
    """Every string in the JSON, JSON lines and TSV files below `folder`, packed ones too.

    Raises:
        ReadError: There is no such file.
    """
    paths = sorted(path for path in folder.rglob("*") if regex.search(r"\.(?:jsonl?|tsv)(?:\.gz|\.xz)?$", path.name))
    if not paths:
        raise ReadError(
            f"no evaluation text in {folder}",
            "JSON, JSON lines or TSV files, packed by gzip or xz or not",
            "give the folder of evaluation sets, whose text training must not see",
        )
    for path in paths:
        content = unpacked(path)
        is_table = ".tsv" in path.name
        yield from filter(None, regex.split(r"[\t\n]", content.decode()) if is_table else _strings(parsed(content)))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _hashes(texts: Sequence[str], stride: int) -> Iterator[tuple[Hashes, NDArray[np.int64]]]:
    """For each kind of run: the hash of every `stride`-th window of each text, and the text it is of."""
    letters = [_NOT_LETTERS.sub("", normal(text).casefold()) for text in texts]
    lengths = np.array([len(text) for text in letters], np.int64)
    codes = np.frombuffer("".join(letters).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    owner = np.repeat(np.arange(len(letters)), lengths)
    ends = np.cumsum(lengths)
    place = np.arange(len(codes)) - (ends - lengths)[owner]
    is_dense = np.zeros(len(codes), bool)
    for first, last in _DENSE:
        is_dense |= (codes >= first) & (codes <= last)
    n_dense = np.concatenate([[0], np.cumsum(is_dense)])
    hashes, width = codes, 1
    for size in (_DENSE_RUN, _RUN):
        while width < size:
            factor = np.uint64(pow(_BASE, width, 2**64))
            hashes = hashes[:-width] * factor + hashes[width:]
            width *= 2
        start = np.flatnonzero(place[: len(hashes)] + size <= lengths[owner[: len(hashes)]])
        start = start[place[start] % stride == 0]
        if size == _DENSE_RUN:
            start = start[n_dense[start + size] - n_dense[start] == size]
        yield hashes[start], owner[start]
