from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from index.encoders.static import EMBEDDED
from index.encoders.tokenize import TokenIds
from tests.conftest import characters

SAMPLES = Path(__file__).parents[3] / "ui" / "samples" / "articles"
# Assigned in the Unicode of this Python: the library's table of punctuation may know others.
ASSIGNED = [char for char in characters() if unicodedata.category(char) != "Co"]
LIBRARY: Tokenizer = Tokenizer.from_file(str(EMBEDDED / "tokenizer.json"))
LIBRARY.no_padding()
LIBRARY.no_truncation()


TOKEN_IDS = TokenIds(EMBEDDED / "tokenizer.json")


def ids(texts: list[str], of: TokenIds = TOKEN_IDS) -> list[list[int]]:
    return [[i for word in of.words(text) for i in word] for text in texts]


def library_ids(texts: list[str]) -> list[list[int]]:
    return [encoding.ids for encoding in LIBRARY.encode_batch(texts, add_special_tokens=False)]


def test_the_ids_of_real_articles_in_fifteen_languages_are_the_librarys() -> None:
    files = sorted(SAMPLES.glob("*.md"))
    assert len({file.stem.split("-", 2)[2] for file in files}) >= 12
    for file in files:
        text = file.read_text("utf-8")
        pieces = [text, *text.split("\n"), unicodedata.normalize("NFD", text)]
        assert ids(pieces) == library_ids(pieces), file.name


def test_the_ids_beside_every_assigned_character_are_the_librarys() -> None:
    texts = [f"a{char}b {char} {char}x{char}" for char in ASSIGNED]
    differing = [
        text for text, mine, theirs in zip(texts, ids(texts), library_ids(texts), strict=True) if mine != theirs
    ]
    assert differing == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "   two   spaces  ",
        "ΟΔΥΣΣΕΥΣ και ΟΔΟΣ.",  # Python alone makes the last sigma of a word a final one
        "İstanbul'da Iğdır",
        "㋿6年",  # the era of 2019, younger than the library's tables
        "full　width ＡＢＣ１２３ ﬁne ①",
        "a ▁ b ▁▁c",  # the sign that stands for a space
        "\u05b8\u08d1\u0650",  # marks that Python reorders and the library's older tables do not
        "👩‍👩‍👧‍👦 family 🇰🇷",
        "\u200fمرحبا, world\u200e",
        "x" * 500,
        "[UNK] and [PAD] are words here",
    ],
)
def test_hard_text_has_the_librarys_ids(text: str) -> None:
    assert ids([text]) == library_ids([text])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Unfathomable quokkas!", ["▁unfathomable", "▁quokkas", "▁!"]),
        ("서울은 대한민국의 수도이다", ["▁서울은", "▁대한민국의", "▁수도이다"]),
        ("state-of-the-art", ["▁state", "▁-", "▁of", "▁-", "▁the", "▁-", "▁art"]),
    ],
)
def test_words_are_what_stands_between_spaces_and_signs(text: str, words: list[str]) -> None:
    found = ["".join(LIBRARY.id_to_token(i) for i in word) for word in TOKEN_IDS.words(text)]
    assert found == words
    # Where words are not spaced, each token is one.
    for unspaced in ("日本の大学入試", "กล้องโทรทรรศน์อวกาศ"):
        assert TOKEN_IDS.words(unspaced) == [(i,) for i in library_ids([unspaced])[0]]


def test_a_tokenizer_of_another_shape_is_left_to_the_library(tmp_path: Path) -> None:
    words = Tokenizer(WordLevel({"[UNK]": 0, "Tea": 1, "tea": 2, "and": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    # No lower casing: Tea is 1 and tea is 2.
    loaded = TokenIds(tmp_path / "tokenizer.json")
    assert ids(["Tea and tea", "coffee"], loaded) == [[1, 3, 2], [0]]
    assert loaded.unk_id == 0
