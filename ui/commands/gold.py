"""Commands about gold files: validate, import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ui.commands.evaluation import GoldArgument
from ui.commands.options import IndexOption, JsonOption
from ui.config import load_config
from ui.terminal import out, say


def validate(gold: GoldArgument, index: IndexOption = None, as_json: JsonOption = False) -> None:
    """Name every line that is wrong, and why; exit 1 if there is one. Evidence is looked for in the index, if any."""
    from dataclasses import asdict

    from eval.gold import Corpus
    from eval.gold.validate import Severity
    from eval.gold.validate import validate as check
    from index.errors import IndexMissing
    from index.store import open_backend

    try:
        corpus = Corpus(open_backend(load_config(index=index).index))
    except IndexMissing as error:
        if index is not None:
            raise
        say(f"warning: evidence is not checked: {error}")
        corpus = None
    problems = check(gold, corpus)
    lines = [
        f"{one.severity}: {gold}{f', line {one.line}' if one.line else ''}{f' ({one.id})' if one.id else ''}:"
        f" {one.what}"
        for one in problems
    ]
    n_errors = sum(one.severity is Severity.ERROR for one in problems)
    lines.append(f"{n_errors} errors, {len(problems) - n_errors} warnings")
    out({"errors": n_errors, "problems": [asdict(one) for one in problems]}, as_json, "\n".join(lines))
    if n_errors:
        raise typer.Exit(1)


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
