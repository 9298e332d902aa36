"""`python -m eval.names --data FOLDER`: how well a name is known again by its sound in another script."""

from __future__ import annotations

import argparse
import json
import lzma
import random
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import regex
from rich.console import Console
from rich.table import Table

from eval.errors import SetMissing
from index.names.question import LEAST_ALIKE
from index.names.sounds import likeness, near, sound_of

_LANGUAGES = ("ko", "zh-Hant", "zh-Hans", "ja", "ar", "ru", "he")
_SOURCE = "wikidata-person-names"
_PART = regex.compile(r"[\s·・=]+")
_MIN_LETTERS = 4


@dataclass(frozen=True, slots=True)
class Known:
    """What became of names of one language, looked for among `n_forms` of another: shares of `n` in [0, 1]."""

    n: int
    n_forms: int
    same_sound: float
    near_sound: float
    accepted: float
    first: float  # the most alike of all
    n_accepted: float  # forms that are taken for the name, right ones and wrong ones, a name


def name_pairs(path: Path, n: int) -> list[tuple[str, str]]:
    """`n` (English, other) parts of people's names, drawn at random, the same ones each time.

    Raises:
        SetMissing: There is no such file.
    """
    if not path.is_file():
        raise SetMissing(f"there is no {path}; expected: pairs of names; to mend: give the folder of the parallel text")
    found: set[tuple[str, str]] = set()
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            source, english, other = line.rstrip("\n").split("\t")[:3]
            parts = _PART.split(english.partition(" (")[0]), _PART.split(other.partition(" (")[0])
            if source == _SOURCE and len(parts[0]) == len(parts[1]):
                found |= {
                    pair for pair in zip(*parts, strict=True) if len(pair[0]) >= _MIN_LETTERS and pair[0].isalpha()
                }
    ordered = sorted(found)
    random.Random(0).shuffle(ordered)
    return ordered[:n]


def measure(pairs: Sequence[tuple[str, str]], n_asked: int) -> Known:
    """Look for the first `n_asked` English names among the forms of all pairs."""
    by_sound: dict[str, set[str]] = defaultdict(set)
    right: dict[str, set[str]] = defaultdict(set)
    for english, other in pairs:
        by_sound[sound_of(other)].add(other)
        right[english].add(other)
    asked = [name for name in right if len(sound_of(name)) >= 2][:n_asked]
    same = around = accepted = first = n_accepted = 0
    for name in asked:
        same += bool(by_sound.get(sound_of(name), set()) & right[name])
        forms = sorted(form for sound in near(sound_of(name)) for form in by_sound.get(sound, ()))
        around += bool(right[name].intersection(forms))
        alike = likeness(name, forms)
        taken = {form for form, likely in zip(forms, alike, strict=True) if likely > LEAST_ALIKE}
        accepted += bool(taken & right[name])
        n_accepted += len(taken)
        first += bool(forms) and forms[int(alike.argmax())] in right[name]
    n = max(1, len(asked))
    n_forms = sum(map(len, by_sound.values()))
    return Known(len(asked), n_forms, same / n, around / n, accepted / n, first / n, n_accepted / n)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure by the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m eval.names",
        description="Look for English names among names in other scripts, by their sound alone.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with LANGUAGE.tsv.xz: source, English, other")
    parser.add_argument("--languages", nargs="+", default=list(_LANGUAGES), help="which files")
    parser.add_argument("--forms", type=int, default=6_000, help="pairs whose forms are searched")
    parser.add_argument("--names", type=int, default=1_200, help="names that are looked for")
    parser.add_argument("--json", type=Path, dest="json_path", help="also write every figure there")
    given = parser.parse_args(arguments)
    table = Table(
        "", "n", "same sound", "near", "taken for it", "the first", "taken a name", title="Names by their sound"
    )
    figures = {}
    try:
        for language in given.languages:
            known = measure(name_pairs(given.data / f"{language}.tsv.xz", given.forms), given.names)
            shares = (known.same_sound, known.near_sound, known.accepted, known.first)
            table.add_row(language, str(known.n), *(f"{share:.2f}" for share in shares), f"{known.n_accepted:.1f}")
            figures[language] = asdict(known)
    except SetMissing as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    Console().print(table)
    if given.json_path is not None:
        given.json_path.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
