"""The forms of names that a corpus has, by how they sound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from index.names.forms import bare_forms
from index.names.sounds import codes_of, likeness_to_codes, sound_of

_MAX_ROWS = 16  # of one form: what is left of it in several ways, each by its own sound


class SoundIndex(Protocol):
    """What a corpus knows of the sounds of names; a `Snapshot` does."""

    def phonetic(self, keys: Sequence[str]) -> dict[str, int]: ...


@dataclass(frozen=True, slots=True)
class _Forms:
    """Forms with one sound, a row for each form and for each of what is left of it without its endings."""

    forms: NDArray[Any]  # str
    n_documents: NDArray[np.int64]
    codes: NDArray[np.uint8]


_NONE = _Forms(np.empty(0, object), np.empty(0, np.int64), codes_of([]))


def alike(corpus: SoundIndex, sounds: Sequence[str], name: str, least: float, n: int) -> list[tuple[float, str, int]]:
    """(likeness, form, number of its documents) of forms with one of `sounds` that are more alike than `least`.

    In no order; the `n` most alike are among them, and those as alike as the last of these.
    """
    found = [own for own in _read(corpus, sounds).values() if len(own.forms)]
    if not found:
        return []
    likely = likeness_to_codes(name, np.concatenate([own.codes for own in found]))
    rows = np.flatnonzero(likely > least)
    n_rows = n * _MAX_ROWS
    if len(rows) > n_rows:
        rows = rows[likely[rows] >= np.partition(likely[rows], len(rows) - n_rows)[len(rows) - n_rows]]
    if not len(rows):
        return []
    forms = np.concatenate([own.forms for own in found])[rows]
    n_documents = np.concatenate([own.n_documents for own in found])[rows]
    return list(zip(likely[rows].tolist(), forms.tolist(), n_documents.tolist(), strict=True))


def _read(corpus: SoundIndex, sounds: Sequence[str]) -> dict[str, _Forms]:
    rows: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
    for form, n_documents in corpus.phonetic(sounds).items():
        bare = bare_forms(form)
        for sound in {sound_of(part) for part in bare}:
            rows[sound] += [(form, n_documents, part) for part in bare]
    return {sound: _forms(rows[sound]) if sound in rows else _NONE for sound in sounds}


def _forms(rows: Sequence[tuple[str, int, str]]) -> _Forms:
    forms = np.empty(len(rows), object)
    forms[:] = [form for form, _, _ in rows]
    n_documents = np.array([n for _, n, _ in rows], dtype=np.int64)
    return _Forms(forms, n_documents, codes_of([part for _, _, part in rows]))
