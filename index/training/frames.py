"""How each language asks: the words of questions, found by counting, and questions without their content.

"Who", "how many", "what is the" bear on no passage, but only the question sets teach that, in six
languages. So training frames what it has to ask with (names, titles, sentences) by what is left
of a real question of that language when its content is taken out.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.training.corpus import SOURCE_NAMES, Corpus, Ints, Ragged, gather

# Sources of everyday sentences, which ask often; what is rare elsewhere in them is compared with their statements.
_SOURCES = ("tatoeba", "tatoeba-anki", "tanaka-small-enja")
_MIN_QUESTIONS = 50  # of a language, to count on
_MIN_SHARE = 0.002  # of the questions that hold a piece
_MIN_RATIO = 2.5  # how much more often a piece is in a question than in a statement
_MAX_PIECES = 8  # of a frame


@dataclass(slots=True)
class Frames:
    """Token ids of every frame; those of language i are rows `first[i]` to `first[i + 1]`."""

    tokens: Ragged
    first: NDArray[np.int64]


def find_frames(corpus: Corpus, tokens: Ragged, marks: Set[int]) -> Frames:
    """The frames of each language; `marks` are the ids of an English question mark."""
    everyday = np.isin(corpus.source, [SOURCE_NAMES.index(name) for name in _SOURCES])
    is_mark = np.append(np.isin(tokens.values, list(marks)), False)
    ends_so = is_mark[np.where(np.diff(tokens.offsets) > 0, tokens.offsets[1:] - 1, -1)]
    asks = ends_so[corpus.english]
    rows: list[Ints] = []
    first = [0]
    for number, language in enumerate(corpus.languages):
        own = everyday if language == "en" else everyday & (corpus.language == number)
        texts = corpus.english if language == "en" else corpus.other
        found = _frames_of(tokens, np.unique(texts[own & asks]), np.unique(texts[own & ~asks]))
        rows.extend(found)
        first.append(len(rows))
    return Frames(Ragged.of(row.tolist() for row in rows), np.array(first, np.int64))


def _frames_of(tokens: Ragged, questions: Ints, statements: Ints) -> list[Ints]:
    """Each of `questions` with nothing left but the pieces that questions have and statements have not."""
    if len(questions) < _MIN_QUESTIONS:
        return []
    asked, said = gather(tokens, questions), gather(tokens, statements)
    n = int(max(asked.values.max(initial=0), said.values.max(initial=0))) + 1
    in_questions = np.bincount(asked.values, minlength=n)
    # Half an occurrence more, so that what no statement has compares too.
    ratio = (in_questions + 0.5) / len(questions) / ((np.bincount(said.values, minlength=n) + 0.5) / (len(said) + 1))
    telling = (in_questions >= _MIN_SHARE * len(questions)) & (ratio >= _MIN_RATIO)
    frames = (row[telling[row]] for row in (asked[i] for i in range(len(asked))))
    return [frame for frame in frames if 0 < len(frame) <= _MAX_PIECES]
