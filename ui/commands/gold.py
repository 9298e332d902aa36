"""Commands about gold files: check, draft, split, import."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.config import load_config
from ui.options import IndexOption, JsonOption, ModelOption
from ui.terminal import out, say

if TYPE_CHECKING:
    from eval.gold.draft import SourceText
    from eval.gold.importers.corpus import Imported
    from eval.gold.items import GoldItem

GoldArgument = Annotated[Path, typer.Argument(metavar="GOLD", help="Gold questions: JSON lines, CSV or YAML.")]
ToOption = Annotated[
    Path, typer.Option("--to", metavar="FILE", help="Where to write them: .jsonl, .csv or .yaml, by its ending.")
]


class Kind(StrEnum):
    """Of a set that can be imported."""

    SQUAD = "squad"
    MKQA = "mkqa"
    BEIR = "beir"


def validate(
    gold: GoldArgument,
    index: IndexOption = None,
    alone: Annotated[bool, typer.Option("--alone", help="Check the file without an index.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Name every line that is wrong, and why; exit 1 if there is one."""
    from dataclasses import asdict

    from eval.gold.fields import Severity
    from eval.gold.validate import validate as check
    from index.store import open_backend

    documents = None
    if not alone:
        backend = open_backend(load_config(index=index).index)
        documents = {document.source: backend.text(document.doc_id) or "" for document in backend.documents()}
    problems = check(gold, documents)
    lines = [
        f"{one.severity}: {gold}{f', line {one.line}' if one.line else ''}{f' ({one.id})' if one.id else ''}:"
        f" {one.what}{f'; to mend: {one.remedy}' if one.remedy else ''}"
        for one in problems
    ]
    n_errors = sum(one.severity is Severity.ERROR for one in problems)
    lines.append(f"{n_errors} errors, {len(problems) - n_errors} warnings")
    out({"errors": n_errors, "problems": [asdict(one) for one in problems]}, as_json, "\n".join(lines))
    if n_errors:
        raise typer.Exit(1)


def draft(
    to: ToOption,
    n: Annotated[int, typer.Option("-n", min=1, max=10_000, help="Questions wanted.")] = 50,
    model: ModelOption = None,
    language: Annotated[
        str, typer.Option(metavar="TAG", help="Of the questions; with --model only. By default each article's own.")
    ] = "",
    index: IndexOption = None,
) -> None:
    """Propose gold questions about an index, for a person to edit: by a model, or as sentences with a blank."""
    from eval.gold import write_gold
    from eval.gold.draft import SourceText
    from eval.gold.draft import draft as propose
    from index.store import open_backend

    if to.exists():
        raise ValueError(f"{to} is there already; to mend: name another file with --to, or remove it")
    config = load_config(index=index, model=model)
    backend = open_backend(config.index)
    documents = [
        SourceText(document.source, backend.text(document.doc_id) or "", document.language, document.title)
        for document in backend.documents()
    ]
    if config.model:
        items = _by_model(config.model, documents, n, language)
    elif language:
        raise ValueError("--language needs --model: without one, each question is a sentence of its article")
    else:
        items = propose(documents, n)
    if not items:
        raise ValueError("nothing to ask was found in the index; expected: articles with sentences")
    write_gold(items, to)
    say(f"{len(items)} drafts in {to}; edit them, then: dragoman eval validate {to}")


def _by_model(spec: str, documents: list[SourceText], n: int, language: str) -> list[GoldItem]:
    from eval.gold.draft_by_model import draft_with_model
    from rag.answerers.models import Completer, load_chat_model

    drafts = draft_with_model(Completer(load_chat_model(spec)), documents, n, language)
    for fault, times in drafts.dropped.most_common():
        say(f"dropped {times}: {fault}")
    if drafts.failure:
        say(f"warning: {drafts.failure}")
    return drafts.items


def split(
    gold: GoldArgument,
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="Where the first part is written.")],
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="Where the rest is written.")],
    share: Annotated[float, typer.Option(min=0.01, max=0.99, help="Of the first part.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Another one gives another split.")] = 0,
) -> None:
    """Split a gold file in two, each language alike; what shares evidence stays together."""
    from eval.gold import read_gold, write_gold
    from eval.gold.split import split as parted

    for path in (first, second):
        if path.exists():
            raise ValueError(f"{path} is there already; to mend: name another file, or remove it")
    one, other = parted(read_gold(gold), share, seed)
    if not (one and other):
        raise ValueError("all questions share evidence and stay together; expected: questions on several passages")
    write_gold(one, first)
    write_gold(other, second)
    say(f"{len(one)} questions in {first}, {len(other)} in {second}")


def import_set(
    kind: Annotated[Kind, typer.Argument(help="squad (XQuAD, KorQuAD, DRCD, CMRC, JSQuAD, MLQA), mkqa, or beir.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The set's file; of beir its folder.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="A folder for gold.jsonl and the corpus.")],
    language: Annotated[
        str, typer.Option(metavar="TAG", help="Of the questions; needed for squad. For mkqa, the only one taken.")
    ] = "",
    document_language: Annotated[str, typer.Option(metavar="TAG", help="Of the contexts, where it is another.")] = "",
    split_name: Annotated[str, typer.Option("--split", help="Of beir: which judgements.")] = "test",
) -> None:
    """Make a gold file and a corpus to index of a published set."""
    from collections import Counter

    from eval.gold import write_gold
    from eval.gold.importers.corpus import write_corpus

    found = _imported(kind, path, language, document_language, split_name)
    to.mkdir(parents=True, exist_ok=True)
    gold = to / "gold.jsonl"
    write_gold(list(found.items), gold)
    say(f"{len(found.items)} questions in {gold}")
    if found.documents:
        corpus = write_corpus(found, to)
        say(f"{len(found.documents)} documents in {corpus}; next: dragoman index {corpus}, dragoman eval {gold}")
    for note, n in Counter(note.kind for note in found.notes).items():
        example = next(one for one in found.notes if one.kind is note)
        say(f"{note}: {n}, as {example.where}: {example.what}")


def _imported(kind: Kind, path: Path, language: str, document_language: str, split_name: str) -> Imported:
    from eval.gold.importers.beir import read_beir
    from eval.gold.importers.mkqa import read_mkqa
    from eval.gold.importers.squad import read_squad

    if kind is Kind.BEIR:
        return read_beir(path, language, split=split_name)
    if kind is Kind.MKQA:
        return read_mkqa(path, [language] if language else [])
    if not language:
        raise typer.BadParameter("a file of this kind does not say its language", param_hint="--language")
    return read_squad(path, language, document_lang=document_language)


def trec(
    qrels: Annotated[Path, typer.Argument(metavar="QRELS", help="Judgements: query 0 document grade.")],
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A system's rankings: query Q0 document rank score tag.")],
    as_json: JsonOption = False,
) -> None:
    """Measure any system's rankings against judgements, both in TREC's form."""
    from eval.gold.importers.trec import read_qrels, read_run
    from eval.runs.trec import measure_rankings

    found = measure_rankings(read_qrels(qrels), read_run(run))
    lines = [
        f"{name:14}{one['mean']:8.4f}   [{one['interval'][0]:.4f}, {one['interval'][1]:.4f}]   n {one['n']}"
        for name, one in found.items()
    ]
    out(found, as_json, "\n".join(lines) or "no query has a relevant document")
