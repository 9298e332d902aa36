"""The tokenizer: unigram pieces chosen on the training text, balanced over languages.

It has the shape that `index.encoders.tokenize` knows a fast way for. Pieces are chosen on
text folded to Simplified characters; each piece is then added in its Traditional forms too,
which share its row of the table, so that both scripts of Chinese are one language.
"""

from __future__ import annotations

import io
import itertools
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import regex

from index.text.hanzi import traditional_forms

UNKNOWN = "<unk>"
_MAX_PIECE = 18  # characters
_MAX_RUN = 4  # words
_MAX_BYTES = 20_000  # of one text
_COVERAGE = 0.99995  # of all characters have a piece of their own
_SIGN = regex.compile(r"[\p{P}\p{S}]")
_MAX_FORMS = 4  # Traditional forms of one piece


def train(texts: Iterable[str], n_pieces: int, threads: int) -> Any:
    """A unigram tokenizer of `n_pieces` pieces, or of as many as the text has.

    Chosen by sentencepiece. Its candidates are what has different continuations in the text; a word
    that no other begins with (`▁during`) has but one, the space, and would never be a candidate.
    So texts are broken at random spaces: the end of a text is the other continuation. (The
    trainer of the tokenizers library looks within words only and cannot be helped so.)
    """
    import sentencepiece
    from tokenizers import Tokenizer, models

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=_as_words(texts),
        model_writer=written,
        vocab_size=n_pieces,
        hard_vocab_limit=False,
        model_type="unigram",
        normalization_rule_name="identity",
        character_coverage=_COVERAGE,
        max_sentencepiece_length=_MAX_PIECE,
        max_sentence_length=_MAX_BYTES,
        num_threads=threads,
        unk_id=0, bos_id=-1, eos_id=-1, pad_id=-1,
        minloglevel=2,
    )  # fmt: skip
    chosen = sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())
    pieces = [(chosen.id_to_piece(i), chosen.get_score(i)) for i in range(chosen.get_piece_size())]
    tokenizer = Tokenizer(models.Unigram([(UNKNOWN, 0.0), *pieces[1:]], unk_id=0, byte_fallback=False))
    _shape(tokenizer)
    return tokenizer


def _as_words(texts: Iterable[str]) -> Iterator[str]:
    """Texts as the tokenizer will see them: its normaliser's form, each sign a word of its own."""
    from tokenizers.normalizers import NFKC

    nfkc = NFKC()
    generator = random.Random(0)
    for text in texts:
        words = _SIGN.sub(r" \g<0> ", nfkc.normalize_str(text).lower()).split()
        start = 0
        while start < len(words):
            end = start + generator.randint(1, _MAX_RUN)
            yield " ".join(words[start:end])
            start = end


def at_most(texts: Iterable[str], n_chars: int) -> Iterator[str]:
    """The first of `texts`, until they have `n_chars` characters."""
    given = 0
    for text in texts:
        if given > n_chars:
            return
        given += len(text)
        yield text


def with_traditional(tokenizer: Any) -> tuple[Any, list[int]]:
    """`tokenizer` with the Traditional forms of its pieces added, and the table row of each of its ids."""
    from tokenizers import Tokenizer, models

    model = json.loads(tokenizer.to_str())["model"]
    pieces: list[tuple[str, float]] = [(piece, score) for piece, score in model["vocab"]]
    known = {piece for piece, _ in pieces}
    rows = list(range(len(pieces)))
    for row, (piece, score) in enumerate(list(pieces)):
        for form in _forms(piece):
            if form not in known:
                known.add(form)
                pieces.append((form, score))
                rows.append(row)
    extended = Tokenizer(models.Unigram(pieces, unk_id=model["unk_id"], byte_fallback=False))
    _shape(extended)
    return extended, rows


def save(tokenizer: Any, path: Path) -> None:
    """Write `tokenizer` compactly."""
    path.write_text(json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":")), "utf-8")


def _shape(tokenizer: Any) -> None:
    from tokenizers import Regex, normalizers, pre_tokenizers

    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{P}|\p{S}"), "isolated"),
            pre_tokenizers.Metaspace("▁", prepend_scheme="always", split=True),
        ]
    )


def _forms(piece: str) -> Iterator[str]:
    choices = [traditional_forms(char) for char in piece]
    if any(len(forms) > 1 or forms[0] != char for char, forms in zip(piece, choices, strict=True)):
        for form in itertools.islice(itertools.product(*choices), _MAX_FORMS):
            yield "".join(form)
