"""Sentences made wrong in one way each, judged answers as they are read, and the command on a small world."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest

from eval.errors import SetMissing
from eval.verify.__main__ import main
from eval.verify.changes import name_swapped, negated, number_changed
from eval.verify.judged import JudgedSentence, judged_sentences


def test_one_digit_of_one_number_is_changed() -> None:
    generator = random.Random(0)
    for text in ("In 1861 it cost 5,100 francs.", "1861年に13個"):
        for _ in range(50):
            changed = number_changed(text, generator)
            assert len(changed) == len(text)
            (place,) = [i for i, (one, other) in enumerate(zip(text, changed, strict=True)) if one != other]
            assert text[place].isdecimal() and changed[place].isdecimal()
    assert number_changed("no number, COVID-x", generator) == ""


def test_a_name_is_swapped_for_one_that_the_sentence_has_not() -> None:
    generator = random.Random(0)
    for _ in range(20):
        changed = name_swapped("In May Altman left Paris", "en", ["Altman", "Greta", "Paris"], generator)
        assert changed.count("Greta") == 1
        assert len(set(changed.split()) & {"May", "Altman", "Paris"}) == 2
    assert name_swapped("no name", "en", ["Greta"], generator) == ""
    assert name_swapped("the WHO said", "en", ["Greta"], generator) == ""  # an acronym is no name to swap
    assert name_swapped("met Altman", "en", ["Altman"], generator) == ""


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("It was opened in 1861.", "It was not opened in 1861."),
        ("It was not opened.", "It was opened."),
        ("They can't go.", ""),
        ("Rain fell.", ""),
    ],
)
def test_a_sentence_is_negated_or_freed_of_its_negation(text: str, other: str) -> None:
    assert negated(text) == other


def write(folder: Path, language: str, rows: list[dict[str, object]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{language}.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))


ROW = {
    "context": [{"text": "The lighthouse was opened in 1861."}, {"text": "Kimchi is made of cabbage."}],
    "answer": [
        {"sentence": "The lighthouse was opened in 1861.", "factuality": "Supported"},
        {"sentence": "It was opened in 1999.", "factuality": "Not Supported"},
        {"sentence": "Hard to say.", "factuality": "Challenging to determine"},
    ],
}


def test_judged_sentences_are_those_with_a_clear_judgement(tmp_path: Path) -> None:
    write(tmp_path, "en", [ROW])
    passages = ("The lighthouse was opened in 1861.", "Kimchi is made of cabbage.")
    assert judged_sentences(tmp_path) == [
        JudgedSentence("en", "The lighthouse was opened in 1861.", passages, True),
        JudgedSentence("en", "It was opened in 1999.", passages, False),
    ]
    with pytest.raises(SetMissing, match="MEMERAG"):
        judged_sentences(tmp_path / "none")


def test_the_command_counts_what_passes_and_what_is_caught(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "verify" / "memerag" / "memerag", "en", [ROW])
    flores = tmp_path / "flores101-devtest"
    flores.mkdir()
    pairs = [
        ("The lighthouse was opened in 1861 by Altman.", "Der Leuchtturm wurde 1861 von Altman eröffnet."),
        ("Kimchi is made of 13 kinds of cabbage.", "Kimchi wird aus 13 Sorten Kohl gemacht."),
    ]
    (flores / "de.tsv.gz").write_bytes(gzip.compress("".join(f"{one}\t{other}\n" for one, other in pairs).encode()))
    out = tmp_path / "out.json"
    assert main(["--data", str(tmp_path), "--every", "1", "--languages", "de", "--json", str(out)]) == 0
    figures = json.loads(out.read_text("utf-8"))
    own = figures["changes"]["en -> en"]
    assert (own["n"], own["pass"], own["number caught"], own["negation caught"]) == (2, 1.0, 1.0, 1.0)
    assert figures["changes"]["two languages"]["number caught"] == 1.0
    assert figures["judged"]["en"] == {"n": 2, "supported": 0.5, "precision": 1.0, "recall": 1.0, "auc": 1.0}
    assert "caught by its own check" in capsys.readouterr().out
    assert main(["--data", str(tmp_path / "none")]) == 1
