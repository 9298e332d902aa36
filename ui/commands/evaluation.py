"""Commands that measure: eval GOLD, and what is done with its runs."""

from __future__ import annotations

from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ui.commands.opening import open_chain
from ui.commands.options import IndexOption, JsonOption, KOption, ModelOption
from ui.config import Config, load_config
from ui.terminal import out, progress, say

if TYPE_CHECKING:
    from eval.runs.compare import Comparison
    from eval.runs.folder import FinishedRun

GoldArgument = Annotated[Path, typer.Argument(metavar="GOLD", help="Gold questions: JSON lines or CSV.")]
ReportOption = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Write a report as one HTML page.")]
CompareOption = Annotated[
    str | None, typer.Option("--compare", metavar="RUN", help="The earlier run to compare with: its name or folder.")
]
_N_WORKERS = 4  # questions asked at once, where a model is waited for


def run(
    gold: GoldArgument,
    index: IndexOption = None,
    model: ModelOption = None,
    k: KOption = None,
    retrieval_only: Annotated[
        bool, typer.Option("--retrieval-only", help="Measure the passages, not the answers.")
    ] = False,
    report: ReportOption = None,
    compare: CompareOption = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(metavar="MEASURE=N", help="Exit 1 below it: recall@5=0.8, or ko:recall@5=0.7; may be repeated."),
    ] = None,
    fail_if_worse: Annotated[
        bool,
        typer.Option("--fail-if-worse", help="Exit 1 if a measure is worse than in --compare by more than chance."),
    ] = False,
    to: Annotated[
        Path | None, typer.Option("--run", metavar="DIR", help="Keep the run here, not in the index folder's `runs`.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure an index against gold questions; `eval GOLD` is short for it."""
    from eval.gold import read_gold
    from eval.report import as_table, comparison_line
    from eval.runs.folder import read_run
    from eval.runs.gate import missed, parse_threshold
    from eval.runs.session import RUNS, named_run, new_folder, run_gold, shape_of

    thresholds = [parse_threshold(text) for text in fail_under or ()]
    if fail_if_worse and not compare:
        raise typer.BadParameter("it needs the run to compare with: --compare RUN", param_hint="--fail-if-worse")
    config = load_config(index=index, model=model, k=k)
    items, runs = read_gold(gold), config.folder / RUNS
    before = read_run(named_run(runs, compare)) if compare else None  # before the work, not after it
    chain = open_chain(config)
    shape = shape_of(chain, gold, items, _session(config, retrieval_only=retrieval_only))
    folder = to or new_folder(runs, gold, shape)
    with progress("questions") as update:
        n_workers, n_done = _N_WORKERS if config.model else 1, count(1)
        done = run_gold(
            chain, items, shape, folder, n_workers=n_workers, on_row=lambda row: update(next(n_done), len(items))
        )
    comparison = _compared(before, done, runs, gold)
    out({**done.summary, "run": str(folder)}, as_json, "" if as_json else as_table(done.summary))
    if comparison and not as_json:
        say(comparison_line(comparison))
    _write_report(done, comparison, report)
    if not as_json:
        say(f"kept as {done.name}; to compare: dragoman eval report {done.name} --compare OTHER")
    complaints = missed(done.summary, thresholds)
    if fail_if_worse and comparison:
        complaints += [
            f"{one.measure} is {one.after:.4f}, was {one.before:.4f} in {compare} (p {one.p_holm:.3f})"
            for one in comparison.worse
        ]
    for line in complaints:
        say(f"failed: {line}")
    if complaints:
        raise typer.Exit(1)


def report(
    name: Annotated[str, typer.Argument(metavar="RUN", help="A run: its name, or its folder.")],
    index: IndexOption = None,
    compare: CompareOption = None,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a run that was kept, or with --compare what changed, and whether by more than chance."""
    from eval.report import as_table, comparison_table
    from eval.runs.compare import compare as compared
    from eval.runs.folder import read_run
    from eval.runs.session import RUNS, named_run

    runs = load_config(index=index).folder / RUNS
    done = read_run(named_run(runs, name))
    comparison = compared(read_run(named_run(runs, compare)), done) if compare else None
    if comparison:
        out(asdict(comparison), as_json, "" if as_json else comparison_table(comparison))
    else:
        out(dict(done.summary), as_json, "" if as_json else as_table(done.summary))
    _write_report(done, comparison, report)


def runs(index: IndexOption = None, as_json: JsonOption = False) -> None:
    """List the runs that were kept, oldest first."""
    from eval.runs.folder import is_finished, read_run, runs_in
    from eval.runs.session import RUNS
    from eval.runs.summary import flat

    kept = [read_run(path) for path in runs_in(load_config(index=index).folder / RUNS) if is_finished(path)]
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


def _session(config: Config, *, retrieval_only: bool) -> dict[str, Any]:
    """The settings of the session that shape a run, besides the index and the questions."""
    names = ("model", "fallback_model", "reranker")
    session: dict[str, Any] = {name: getattr(config, name) for name in names if getattr(config, name)}
    if config.aliases:
        session["aliases"] = config.aliases.read_text("utf-8")
    return {**session, "retrieval_only": retrieval_only}


def _compared(before: FinishedRun | None, done: FinishedRun, runs: Path, gold: Path) -> Comparison | None:
    """With `before`, or with the last run of a gold file of this name if it asked some of the same questions."""
    from eval.errors import RunUnusable
    from eval.runs.compare import compare
    from eval.runs.folder import read_run
    from eval.runs.session import last_run

    if before:
        return compare(before, done)
    last = last_run(runs, gold.name, but=done.path)
    try:
        return compare(read_run(last), done) if last else None
    except RunUnusable:
        return None


def _write_report(done: FinishedRun, comparison: Comparison | None, file: Path | None) -> None:
    from eval.report import as_html

    if file:
        file.write_text(as_html(done, comparison), "utf-8")
        say(f"report: {file}")
