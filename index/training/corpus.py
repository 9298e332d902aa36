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
SHARED = "evaluation text"  # why a pair or a topic was left out
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
        offsets = np.zeros(len(lists) + 1, np.int64)
        np.cumsum([len(row) for row in lists], out=offsets[1:])
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
    offsets = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    positions = np.arange(offsets[-1]) + np.repeat(table.offsets[rows] - offsets[:-1], lengths)
    return Ragged(table.values[positions], offsets)


def build(data: Path, folder: Path, workers: int, keep_out: Path | None = None) -> dict[str, Any]:
    """Read and filter what is in `data`, and write it into `folder`; returns counts for the report.

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
    kept: dict[str, Counter[str]] = {}
    dropped: dict[str, Counter[str]] = {}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        evaluation = folder / _EVALUATION
        jobs = [(data / "parallel", name, evaluation) for name in sorted(files, key=_size_first(data / "parallel"))]
        for name, pairs, faults in pool.map(_read_language, jobs):
            language = _FOLDED.get(name, name)
            kept[name], dropped[name] = Counter(pair.source for pair in pairs), faults
            for pair in pairs:
                columns[0].append(rows.setdefault(pair.english, len(rows)))
                columns[1].append(rows.setdefault(pair.other, len(rows)))
                columns[2].append(languages.index(language))
                columns[3].append(SOURCE_NAMES.index(pair.source))
    topics, dropped["passages"] = _sound_topics(list(read_topics(data / "qp")), runs)
    n_pairs = _save(folder, rows, columns, languages, _topic_arrays(topics, rows, languages))
    return {
        "texts": len(rows),
        "pairs": n_pairs,
        "topics": len(topics),
        "kept": {name: dict(counts) for name, counts in sorted(kept.items())},
        "dropped": {name: dict(counts) for name, counts in sorted(dropped.items())},
    }


def _save(
    folder: Path,
    rows: Mapping[str, int],
    columns: Sequence[Sequence[int]],
    languages: Sequence[str],
    topic_arrays: Mapping[str, NDArray[Any]],
) -> int:
    """Write the texts and the pairs (`columns`: English, other, language, source); how many pairs are different."""
    english, other, language_column, source = (np.array(column) for column in columns)
    # Traditional and Simplified files hold the same pair twice once folded.
    _, first = np.unique(english.astype(np.int64) * len(rows) + other, return_index=True)
    first.sort()
    (folder / "texts.txt").write_text("\n".join(rows) + "\n", "utf-8")
    save_arrays(
        folder / "corpus.npz",
        english=english[first].astype(np.int32),
        other=other[first].astype(np.int32),
        language=language_column[first].astype(np.uint8),
        source=source[first].astype(np.uint8),
        languages=np.array(languages),
        **topic_arrays,
    )
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


def save_arrays(path: Path, **arrays: Any) -> None:
    """Write an .npz that is there whole or not at all: a stage whose file is there is done."""
    temporary = path.with_name(f"unfinished-{path.name}")
    np.savez(temporary, **arrays)
    temporary.replace(path)


def _size_first(folder: Path) -> Any:
    return lambda name: (-(folder / f"{name}.tsv.xz").stat().st_size, name)


def _read_language(job: tuple[Path, str, Path]) -> tuple[str, list[Pair], Counter[str]]:
    folder, name, evaluation = job
    dropped: Counter[str] = Counter()
    language = _FOLDED.get(name, name)
    pairs = list(sound_pairs(read_pairs(folder, name), language, detect_language, dropped))
    runs = np.load(evaluation, mmap_mode="r")  # mapped: several processes share the memory
    shared = holds_a_run([f"{pair.english}\n{pair.other}" for pair in pairs], runs)
    dropped[SHARED] = int(shared.sum())
    return name, [pair for pair, drop in zip(pairs, shared, strict=True) if not drop], dropped


def _sound_topics(topics: list[Topic], runs: Hashes) -> tuple[list[Topic], Counter[str]]:
    """Topics that share no text with evaluation sets, and the number of the others."""
    texts = ["\n".join([*topic.sentences, *(question.text for question in topic.questions)]) for topic in topics]
    shared = holds_a_run(texts, runs)
    return [topic for topic, drop in zip(topics, shared, strict=True) if not drop], Counter({SHARED: int(shared.sum())})


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
