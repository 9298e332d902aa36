"""Names looked for by their sound: the figures by hand on a small world, and the command."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from eval.errors import SetMissing
from eval.names import main, measure, name_pairs

ROWS = [
    ("wikidata-person-names", "Sam Altman", "샘 알트만"),
    ("wikidata-person-names", "Greg Brockman (engineer)", "그렉 브록만 (기술자)"),
    ("wikidata-person-names", "Three Part Name", "두 부분"),  # not as many parts: left out
    ("wikidata-person-names", "Li Wu", "리 우"),  # too short
    ("wiktionary-en", "Korea Republic", "대한 민국"),  # another source
]


def write(folder: Path, rows: list[tuple[str, str, str]]) -> Path:
    path = folder / "ko.tsv.xz"
    path.write_bytes(lzma.compress("".join("\t".join(row) + "\n" for row in rows).encode()))
    return path


def test_pairs_are_the_parts_of_names_of_people(tmp_path: Path) -> None:
    pairs = name_pairs(write(tmp_path, ROWS), 10)
    assert sorted(pairs) == [("Altman", "알트만"), ("Brockman", "브록만"), ("Greg", "그렉")]
    assert name_pairs(tmp_path / "ko.tsv.xz", 2) == pairs[:2]
    with pytest.raises(SetMissing, match=r"no .*none\.tsv\.xz"):
        name_pairs(tmp_path / "none.tsv.xz", 1)


def test_shares_by_hand() -> None:
    # Altman: as 알트만. Karpathy (klpt) and 카파시 (kps): two classes apart, never found. Mueller (ml): as 뮐러.
    known = measure([("Altman", "알트만"), ("Karpathy", "카파시"), ("Mueller", "뮐러")], 10)
    assert (known.n, known.n_forms) == (3, 3)
    assert known.same_sound == pytest.approx(2 / 3)
    assert known.near_sound == pytest.approx(2 / 3)
    assert known.accepted == pytest.approx(2 / 3)
    assert known.first == pytest.approx(2 / 3)
    assert known.n_accepted == pytest.approx(2 / 3)


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, ROWS)
    arguments = ["--data", str(tmp_path), "--languages", "ko", "--json", str(tmp_path / "out.json")]
    assert main(arguments) == 0
    assert "taken for it" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text("utf-8"))["ko"]["n"] == 3
    assert main(["--data", str(tmp_path / "nothing")]) == 1
    assert "there is no" in capsys.readouterr().err
