"""Commands that measure: eval GOLD, and what is done with its runs."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from index.store import shown_place
from ui.config import Config, load_config
from ui.opening import open_chain, opened_for
from ui.options import (
    AliasesOption,
    EncoderOption,
    IndexOption,
    JsonOption,
    JudgeOption,
    KOption,
    ModelOption,
    RerankerOption,
)
from ui.terminal import counter, out, say

if TYPE_CHECKING:
    from eval.runs.compare import Comparison
    from eval.runs.folder import FinishedRun
    from eval.runs.session import Ask
    from eval.runs.sweep import Variant
    from rag.chain import Chain
    from rag.verify.judges import AnswerGrader

ReportOption = Annotated[
    Path | None, typer.Option("--report", metavar="FILE.html", help="Also write a report: one page, self-contained.")
]
MarkdownOption = Annotated[
    Path | None, typer.Option("--markdown", metavar="FILE.md", help="Also write a summary for a pull request.")
]
WorkersOption = Annotated[
    int | None,
    typer.Option(min=1, max=64, help="Questions asked at once; by default 4 with --model, else one a core if many."),
]


def run(
    gold: Annotated[Path, typer.Argument(metavar="GOLD", help="Gold questions: JSON lines, CSV or YAML.")],
    index: IndexOption = None,
    encoder: EncoderOption = None,
    model: ModelOption = None,
    judge: JudgeOption = None,
    reranker: RerankerOption = None,
    aliases: AliasesOption = None,
    k: KOption = None,
    retrieval_only: Annotated[
        bool, typer.Option("--retrieval-only", help="Measure the passages, not the answers.")
    ] = False,
    report: ReportOption = None,
    markdown: MarkdownOption = None,
    compare: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Hold it against a run: its name or folder; the last one by default."),
    ] = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(metavar="MEASURE=N", help="Exit 1 below it: recall@5=0.8, or ko:recall@5=0.7; may be repeated."),
    ] = None,
    fail_if_worse: Annotated[
        str | None, typer.Option(metavar="RUN", help="Exit 1 where a measure is worse than in RUN by more than chance.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--run", metavar="DIR", help="Keep the run here; in the index folder's `runs` by default."),
    ] = None,
    no_keep: Annotated[bool, typer.Option("--no-keep", help="Keep nothing of the run.")] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Ask the model anew what it has been asked in earlier runs.")
    ] = False,
    price: Annotated[
        str | None, typer.Option(metavar="IN,OUT", help="What a million tokens read and written cost, for the summary.")
    ] = None,
    grade_with: Annotated[
        str | None,
        typer.Option(metavar="PROVIDER:NAME", help="A chat model that also grades the answers, as judge.correct."),
    ] = None,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure an index against gold questions; `eval GOLD` is short for it."""
    from eval.gold import read_gold
    from eval.report import as_table
    from eval.runs.gate import missed, parse_threshold
    from eval.runs.session import RUNS, named_run, run_gold, shape_of

    thresholds = [parse_threshold(text) for text in fail_under or ()]
    prices = _prices(price)
    config = load_config(
        index=index, encoder=encoder, model=model, judge=judge, reranker=reranker, aliases=aliases, k=k
    )
    items = read_gold(gold)
    runs = config.folder / RUNS
    held_against = [named_run(runs, name) for name in (compare, fail_if_worse) if name]
    for path in held_against:
        _read(path)  # before the work, not after it
    chain = open_chain(config, None if no_cache or no_keep else runs / "answers.sqlite")
    named = _named(config, retrieval_only=retrieval_only) | ({"grader": grade_with} if grade_with else {})
    shape = shape_of(chain, gold, items, named)
    folder = None if no_keep else to or _folder(runs, gold, shape)
    with counter(len(items), "questions") as tick:
        ask = _asker(config, chain, len(items), workers, grade_with, retrieval_only=retrieval_only)
        done = run_gold(ask, items, shape, folder, price=prices, on_row=lambda row: tick())
    comparison = _compared(_read(held_against[0]), done) if compare else _with_last(runs, gold, done)
    out({**done.summary, "run": str(done.path) if folder else ""}, as_json, "" if as_json else as_table(done.summary))
    if comparison is not None and not as_json:
        _say_changes(comparison)
    _write_reports(done, comparison, report, markdown)
    if folder is not None and not as_json:
        place = shown_place(config.index)
        say(f"kept as {done.name}; to compare: dragoman eval compare {done.name} OTHER --index {place}")
    complaints = missed(done.summary, thresholds)
    if fail_if_worse:
        complaints += _worse(done, held_against[-1])
    for line in complaints:
        say(f"failed: {line}")
    if complaints:
        raise typer.Exit(1)


def compare(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A run: its name, or its folder.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="The run that is held against it.")],
    index: IndexOption = None,
    report: ReportOption = None,
    markdown: MarkdownOption = None,
    as_json: JsonOption = False,
) -> None:
    """Two runs of the same questions: what changed, and whether by more than chance."""
    from eval.runs.session import RUNS, named_run
    from eval.runs.tables import comparison_json, comparison_table

    runs = load_config(index=index).folder / RUNS
    first, second = _read(named_run(runs, before)), _read(named_run(runs, after))
    comparison = _compared(first, second)
    out(comparison_json(comparison), as_json, comparison_table(comparison))
    _write_reports(second, comparison, report, markdown)


def report(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run: its name, or its folder.")],
    index: IndexOption = None,
    html: ReportOption = None,
    markdown: MarkdownOption = None,
    trec: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write qrels.txt and run.txt there, in TREC's form.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a run that was kept, as a table or as a report."""
    from eval.report import as_table
    from eval.runs.session import RUNS, named_run
    from eval.runs.trec import write_trec

    done = _read(named_run(load_config(index=index).folder / RUNS, name))
    out(dict(done.summary), as_json, "" if as_json else as_table(done.summary))
    _write_reports(done, None, html, markdown)
    if trec is not None:
        say("written: {}, {}".format(*write_trec(done.rows, trec, done.name)))


def runs(index: IndexOption = None, as_json: JsonOption = False) -> None:
    """List the runs that were kept, oldest first."""
    from eval.runs.folder import finished_runs
    from eval.runs.session import RUNS
    from eval.runs.summary import flat

    kept = [_read(path) for path in finished_runs(load_config(index=index).folder / RUNS)]
    rows = [
        {"name": done.name, "gold": done.about["shape"].get("gold", ""), "n": done.summary["n"], **flat(done.summary)}
        for done in kept
    ]
    shown = ("recall@5", "ndcg@10", "answer.contains", "citation.precision", "abstention.f1")
    lines = [
        f"{row['name']:48} n {row['n']:>5}  " + "  ".join(f"{name} {row[name]:.3f}" for name in shown if name in row)
        for row in rows
    ]
    out({"runs": rows}, as_json, "\n".join(lines) or "no runs are kept; dragoman eval GOLD makes one")


def sweep(
    gold: Annotated[Path, typer.Argument(metavar="GOLD", help="Gold questions: JSON lines, CSV or YAML.")],
    vary: Annotated[
        list[str],
        typer.Argument(metavar="NAME=V,V...", help="A setting and its values: k=5,10 lexical_weight=0,0.3 encoder=..."),
    ],
    index: IndexOption = None,
    model: ModelOption = None,
    retrieval_only: Annotated[
        bool, typer.Option("--retrieval-only", help="Measure the passages, not the answers.")
    ] = False,
    workers: WorkersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure every combination of settings, in one table; the first is what the others are held against."""
    from eval.gold import read_gold
    from eval.runs.ask import ask_all
    from eval.runs.rows import Row
    from eval.runs.sweep import sweep as measure
    from eval.runs.sweep import variants
    from eval.runs.tables import sweep_json, sweep_table

    chosen = variants(vary)
    config = load_config(index=index, model=model)
    items = read_gold(gold)
    with counter(len(items) * len(chosen), "questions") as tick:

        def rows_of(variant: Variant) -> list[Row]:
            with opened_for(config, variant.of_session(), variant.settings) as chain:
                return ask_all(
                    chain,
                    items,
                    retrieval_only=retrieval_only,
                    n_workers=workers or (4 if config.model else 1),
                    on_row=lambda row: tick(),
                )

        found = measure(chosen, rows_of)
    out(sweep_json(found), as_json, sweep_table(found))


def _named(config: Config, *, retrieval_only: bool) -> dict[str, Any]:
    """What of the session shapes a run, besides the index and the questions."""
    named: dict[str, Any] = {
        name: getattr(config, name)
        for name in ("model", "fallback_model", "judge", "reranker")
        if getattr(config, name)
    }
    if config.aliases:
        named["aliases"] = config.aliases.read_text("utf-8")
    return {**named, "retrieval_only": retrieval_only}


def _folder(runs: Path, gold: Path, shape: dict[str, Any]) -> Path | None:
    """Where the run is kept; None, said, where the index folder cannot be written to."""
    from eval.runs.session import new_folder

    try:
        runs.mkdir(exist_ok=True)
        return new_folder(runs, gold, shape)
    except OSError as error:
        say(f"warning: nothing of the run is kept: {runs} ({error.strerror}); to mend: name a folder with --run DIR")
        return None


def _asker(
    config: Config, chain: Chain, n: int, workers: int | None, grade_with: str | None, *, retrieval_only: bool
) -> Ask:
    """How the questions are asked: in threads where they wait for a model, else, where they are many, in processes."""
    from eval.runs.ask import ask_all
    from eval.runs.parallel import ask_in_processes

    if config.model or config.reranker or grade_with:
        n_workers = workers or (4 if config.model or grade_with else 1)
        grader = _grader(grade_with)
        return partial(ask_all, chain, retrieval_only=retrieval_only, n_workers=n_workers, grader=grader)
    n_processes = workers or (min(os.cpu_count() or 1, 8) if n >= _MANY else 1)
    if n_processes == 1:
        return partial(ask_all, chain, retrieval_only=retrieval_only)
    opener = partial(open_chain, config)
    return partial(ask_in_processes, opener, n_processes=n_processes, retrieval_only=retrieval_only)


_MANY = 200  # questions for which it pays to start processes


def _grader(spec: str | None) -> AnswerGrader | None:
    if spec is None:
        return None
    from rag.answerers.models import load_chat_model
    from rag.verify.judges import AnswerGrader

    return AnswerGrader(load_chat_model(spec))


def _prices(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        read, written = (float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not IN,OUT, as in 0.25,2", param_hint="--price") from error
    return read, written


def _read(path: Path) -> FinishedRun:
    from eval.runs.folder import read_run

    return read_run(path)


def _with_last(runs: Path, gold: Path, done: FinishedRun) -> Comparison | None:
    """With the last run of a gold file of this name; None where there is none, or it asked other questions."""
    from eval.errors import RunUnusable
    from eval.runs.session import last_run

    before = last_run(runs, gold.name, but=done.path)
    if before is None:
        return None
    try:
        return _compared(_read(before), done)
    except RunUnusable:
        return None


def _compared(before: FinishedRun, after: FinishedRun) -> Comparison:
    from eval.runs.compare import compare as held_against

    return held_against(before, after)


def _worse(done: FinishedRun, before: Path) -> list[str]:
    from eval.runs.gate import worse

    return [
        f"{one.measure} is {one.after:.4f}, was {one.before:.4f} in {before.name} (p {one.p_holm:.3f})"
        for one in worse(_compared(_read(before), done))
    ]


def _say_changes(comparison: Comparison) -> None:
    """What changed since the run before, in a few lines."""
    from eval.runs.tables import changes

    for line in changes(comparison):
        say(line)


def _write_reports(
    done: FinishedRun, comparison: Comparison | None, report: Path | None, markdown: Path | None
) -> None:
    from eval.report import as_html, as_markdown

    if report is not None:
        report.write_text(as_html(done, comparison), "utf-8")
        say(f"report: {report}")
    if markdown is not None:
        markdown.write_text(as_markdown(done, comparison), "utf-8")
        say(f"summary: {markdown}")
