"""The command that makes a gold file of a published set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ui.terminal import say


def import_set(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file in SQuAD's shape, or a folder in BEIR's.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A folder for gold.jsonl and the corpus.")],
    language: Annotated[
        str, typer.Option("--language", metavar="TAG", help="Of the questions; by default detected.")
    ] = "",
) -> None:
    """Make a gold file, and a corpus to index, of a published set."""
    from eval.gold import read_published, write_corpus, write_gold

    found = read_published(path, language)
    to.mkdir(parents=True, exist_ok=True)
    gold, corpus = to / "gold.jsonl", write_corpus(found, to)
    write_gold(found.items, gold)
    say(f"{len(found.items)} questions in {gold}, {len(found.documents)} documents in {corpus}")
    if found.left_out:
        say(f"{len(found.left_out)} left out, as {found.left_out[0]}")
    say(f"next: dragoman index {corpus}, dragoman eval {gold}")
