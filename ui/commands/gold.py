"""Commands about gold files: validate, draft, import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ui.commands.evaluation import GoldArgument
from ui.config import load_config
from ui.options import IndexOption, JsonOption, ModelOption
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
        f" {one.what}{f'; fix: {one.fix}' if one.fix else ''}"
        for one in problems
    ]
    n_errors = sum(one.severity is Severity.ERROR for one in problems)
    lines.append(f"{n_errors} errors, {len(problems) - n_errors} warnings")
    out({"errors": n_errors, "problems": [asdict(one) for one in problems]}, as_json, "\n".join(lines))
    if n_errors:
        raise typer.Exit(1)


def draft(
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where to write them: .jsonl or .csv.")],
    n: Annotated[int, typer.Option("-n", min=1, max=10_000, help="Questions wanted.")] = 50,
    model: ModelOption = None,
    index: IndexOption = None,
) -> None:
    """Have a model propose gold questions about an index, for a person to edit."""
    from eval.gold import write_gold
    from eval.gold.draft import draft as drafted
    from index.store import open_backend
    from rag.answerers.models import Completer, load_chat_model

    if to.exists():
        raise ValueError(f"{to} is there already; fix: name another file with --to, or remove it")
    config = load_config(index=index, model=model)
    if not config.model:
        raise typer.BadParameter("drafts are written by a model: --model PROVIDER:NAME", param_hint="--model")
    items = list(drafted(Completer(load_chat_model(config.model)), open_backend(config.index), n))
    if not items:
        raise ValueError("no draft could be used; expected: a model that quotes the article word for word")
    write_gold(items, to)
    say(f"{len(items)} drafts in {to}; edit them, then: dragoman eval validate {to}")


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
