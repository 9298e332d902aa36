"""All training text in one table, and pairs and topics as rows of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.text.language import detect_language
from index.training.overlap import Hashes, evaluation_texts, holds_a_run, runs_of
from index.training.pairs import SOURCES, Pair, languages_in, read_pairs, sound_pairs
from index.training.passages import Topic, read_topics

Ints = NDArray[np.int32]
SOURCE_NAMES = tuple(SOURCES)
SHARED = "in evaluation text"  # why a pair was left out
_EVALUATION = "evaluation.npy"  # the runs of evaluation text, for the processes that read
_FOLDED = {"zh-Hans": "zh", "zh-Hant": "zh"}  # one language to the encoder: their texts are folded to one script


@dataclass(slots=True)
class Ragged:
    """Rows of different lengths: row i is `values[offsets[i] : offsets[i + 1]]`."""

    values: Ints
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Ints:
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    @classmethod
    def of(cls, rows: Iterable[Iterable[int]]) -> Ragged:
        """`rows` in one array."""
        lists = [list(row) for row in rows]
        offsets = np.cumsum([0, *map(len, lists)])
        return cls(np.fromiter((value for row in lists for value in row), np.int32, int(offsets[-1])), offsets)


@dataclass(slots=True)
class Corpus:
    """Pairs and topics over a table of texts; every number but `language` and `source` is a row of it.

    `questions` holds (question, sentence that answers it or -1) in turn.
    """

    languages: list[str]
    english: Ints
    other: Ints
    language: NDArray[np.uint8]
    source: NDArray[np.uint8]
    topic_language: NDArray[np.uint8]
    sentences: Ragged
    questions: Ragged


def gather(table: Ragged, rows: NDArray[np.integer]) -> Ragged:
    """Those rows of `table`, in that order."""
    lengths = table.offsets[rows + 1] - table.offsets[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    positions = np.arange(offsets[-1]) + np.repeat(table.offsets[rows] - offsets[:-1], lengths)
    return Ragged(table.values[positions], offsets)


def build(data: Path, folder: Path, workers: int, keep_out: Path | None = None) -> dict[str, int]:
    """Read and filter what is in `data`, and write it into `folder`; what was kept, and left out for what reason.

    Texts that share a run of letters with what lies in `keep_out`, the evaluation sets, are left out.

    Raises:
        ReadError: A set is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs = runs_of(evaluation_texts(keep_out) if keep_out is not None else ())
    np.save(folder / _EVALUATION, runs)
    files = languages_in(data / "parallel")
    languages = sorted({"en", *(_FOLDED.get(name, name) for name in files)})
    rows: dict[str, int] = {}
    columns: tuple[list[int], ...] = ([], [], [], [])
    dropped: Counter[str] = Counter()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [(data / "parallel", name, folder / _EVALUATION) for name in files]
        for language, pairs, faults in pool.map(_read_language, jobs):
            dropped += faults
            for pair in pairs:
                columns[0].append(rows.setdefault(pair.english, len(rows)))
                columns[1].append(rows.setdefault(pair.other, len(rows)))
                columns[2].append(languages.index(language))
                columns[3].append(SOURCE_NAMES.index(pair.source))
    topics = _sound_topics(list(read_topics(data / "qp")), runs)
    n_pairs = _save(folder, rows, columns, languages, _topic_arrays(topics, rows, languages))
    return {"texts": len(rows), "pairs": n_pairs, "passages": len(topics)} | dropped


def _save(
    folder: Path,
    rows: Mapping[str, int],
    columns: Sequence[Sequence[int]],
    languages: Sequence[str],
    topic_arrays: Mapping[str, Any],
) -> int:
    """Write the texts and the pairs (`columns`: English, other, language, source); how many pairs are different."""
    english, other, language_column, source = (np.array(column) for column in columns)
    # Traditional and Simplified files hold the same pair twice once folded.
    _, first = np.unique(english.astype(np.int64) * len(rows) + other, return_index=True)
    first.sort()
    (folder / "texts.txt").write_text("\n".join(rows) + "\n", "utf-8")
    unfinished = folder / "unfinished.npz"
    np.savez(
        unfinished,
        english=english[first].astype(np.int32),
        other=other[first].astype(np.int32),
        language=language_column[first].astype(np.uint8),
        source=source[first].astype(np.uint8),
        languages=np.array(languages),
        **topic_arrays,
    )
    unfinished.replace(folder / "corpus.npz")  # a stage whose file is there is done
    return len(first)


def load(folder: Path) -> Corpus:
    """The corpus that `build` wrote into `folder`."""
    with np.load(folder / "corpus.npz") as data:
        plain = ("english", "other", "language", "source", "topic_language")
        ragged = (Ragged(data[name], data[f"{name}_offsets"]) for name in ("sentences", "questions"))
        return Corpus([str(name) for name in data["languages"]], *(data[name] for name in plain), *ragged)


def read_texts(folder: Path) -> Iterator[str]:
    """The table of texts, in order."""
    with (folder / "texts.txt").open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield line.rstrip("\n")


def _read_language(job: tuple[Path, str, Path]) -> tuple[str, list[Pair], Counter[str]]:
    folder, name, evaluation = job
    dropped: Counter[str] = Counter()
    language = _FOLDED.get(name, name)
    pairs = list(sound_pairs(read_pairs(folder, name), language, detect_language, dropped))
    runs = np.load(evaluation, mmap_mode="r")  # mapped: several processes share the memory
    shared = holds_a_run([f"{pair.english}\n{pair.other}" for pair in pairs], runs)
    dropped[SHARED] = int(shared.sum())
    return language, [pair for pair, drop in zip(pairs, shared, strict=True) if not drop], dropped


def _sound_topics(topics: list[Topic], runs: Hashes) -> list[Topic]:
    """Topics that share no text with evaluation sets."""
    texts = ["\n".join([*topic.sentences, *(question.text for question in topic.questions)]) for topic in topics]
    return [topic for topic, drop in zip(topics, holds_a_run(texts, runs), strict=True) if not drop]


def _topic_arrays(topics: list[Topic], rows: dict[str, int], languages: list[str]) -> dict[str, Any]:
    def row(text: str) -> int:
        return rows.setdefault(text, len(rows))

    ragged = {
        "sentences": Ragged.of([row(text) for text in topic.sentences] for topic in topics),
        "questions": Ragged.of(
            [value for question in topic.questions for value in (row(question.text), question.sentence)]
            for topic in topics
        ),
    }
    arrays: dict[str, Any] = {
        "topic_language": np.array([languages.index(topic.language) for topic in topics], np.uint8),
    }
    for name, value in ragged.items():
        arrays[name], arrays[f"{name}_offsets"] = value.values, value.offsets
    return arrays
