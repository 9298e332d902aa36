"""The command `dragoman`: data on stdout, talk and progress on stderr; exit 0 done, 1 failed, 2 usage."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ui.config import Config, load_config

if TYPE_CHECKING:
    from index.backends.base import Filter, StoredDocument
    from index.build import IngestReport, Progress
    from index.settings import IndexSettings
    from rag.answer import Answer
    from rag.answerers.base import Answerer
    from rag.chain import Chain

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Ask in any language; answered from articles in other languages, every sentence with its passage.",
)

IndexOption = Annotated[
    Path | None,
    typer.Option("--index", metavar="DIR", help="The index folder; ./.dragoman or $DRAGOMAN_INDEX by default."),
]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder", metavar="NAME", help="embedded, a sentence-transformers model, or langchain:PROVIDER:MODEL."
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="PROVIDER:NAME",
        help="A LangChain chat model, as in openai:gpt-5-mini or ollama:llama3.2; none by default.",
    ),
]
FallbackOption = Annotated[
    str | None,
    typer.Option("--fallback-model", metavar="PROVIDER:NAME", help="Asked where --model fails; none by default."),
]
JudgeOption = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="NAME",
        help="Also looks whether each sentence of --model follows from what it cites: a cross-encoder of natural"
        " language inference, or a chat model as PROVIDER:NAME; none by default.",
    ),
]
RerankerOption = Annotated[
    str | None,
    typer.Option(
        "--reranker", metavar="NAME", help="A sentence-transformers cross-encoder for a second look; none by default."
    ),
]
AliasesOption = Annotated[
    Path | None,
    typer.Option("--aliases", metavar="FILE", help="Names that are one; aliases.toml, where there is one."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
LanguageOption = Annotated[
    list[str] | None, typer.Option("--language", metavar="TAG", help="Only passages in this language; may be repeated.")
]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="DATE", help="Only articles of this day or later: YYYY[-MM[-DD]].")
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="DATE", help="Only articles of this day or earlier: YYYY[-MM[-DD]].")
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="SOURCE", help="Only this source, folder, or pattern with *; may be repeated."),
]
TagOption = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TAG", help="Only articles with this tag; may be repeated.")
]
KOption = Annotated[int | None, typer.Option("-k", min=1, max=1000, help="Passages to find; 10 by default.")]

_STOPPED = 130  # what typer makes of Ctrl+C


def main() -> None:
    """Run the command line; every known failure is one line on stderr and exit 1."""
    from index.errors import IndexProblem
    from rag.errors import AnswerProblem

    _use_utf8()
    try:
        app(prog_name="dragoman")
    except (IndexProblem, AnswerProblem, ValueError, OSError) as error:
        _say(f"error: {' '.join(str(error).split())}")
        raise SystemExit(1) from error
    except SystemExit as end:
        if end.code != _STOPPED:
            raise
        _say("stopped; what was finished is kept, and the same command goes on from there")
        raise SystemExit(1) from None


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        _out({}, False, f"dragoman {version('dragoman')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Ask in any language; answered from articles in other languages, every sentence with its passage."""


@app.command("index")
def index_command(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH...", help="Files, folders, or URLs (with --allow-url).")
    ] = None,
    index: IndexOption = None,
    encoder: EncoderOption = None,
    allow_url: Annotated[bool, typer.Option("--allow-url", help="Fetch http(s) addresses among the paths.")] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Re-do stored documents with the encoder and settings given.")
    ] = False,
    parts: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Vectors besides the whole passage: sentences (default), pairs, or whole."),
    ] = None,
    passage_tokens: Annotated[
        int | None, typer.Option(min=16, max=4096, help="Encoder tokens a passage; 256 by default.")
    ] = None,
    max_file_mb: Annotated[
        int | None, typer.Option("--max-file-mb", min=1, help="Largest file that is read; 64 by default.")
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Also tell what was removed as boilerplate, and how files were decoded."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add or update files, folders and URLs."""
    from index.backends.embedded import EmbeddedBackend
    from index.build import ingest
    from index.build import refresh as redo
    from index.settings import Limits

    if not paths and not refresh:
        raise typer.BadParameter("name at least one file, folder or URL", param_hint="PATH...")
    config = load_config(index=index, encoder=encoder, max_file_mb=max_file_mb)
    loaded = _encoder_for(config)
    wanted = _wanted_settings(parts, passage_tokens)
    report = None
    with _progress() as on_progress:
        if refresh:
            own = EmbeddedBackend(config.index).settings
            report = redo(config.index, loaded, wanted or own, on_progress=on_progress)
        if paths:
            limits = Limits(max_file_bytes=config.max_file_mb * 2**20)
            report = ingest(
                config.index, paths, loaded, wanted, limits=limits, allow_url=allow_url, on_progress=on_progress
            )
    assert report is not None
    _show_report(report, config, verbose, as_json)
    if report.failed and not (report.added + report.replaced + report.unchanged + report.deleted):
        raise typer.Exit(1)


def _wanted_settings(parts: str | None, passage_tokens: int | None) -> IndexSettings | None:
    """Settings made of the flags; None where none was given."""
    from index.settings import IndexSettings, Parts

    if parts is None and passage_tokens is None:
        return None
    default = IndexSettings()
    if parts is not None and parts not in list(Parts):
        raise typer.BadParameter(f"{parts} is none of {', '.join(Parts)}", param_hint="--parts")
    target = passage_tokens or default.target_tokens
    return IndexSettings(
        target_tokens=target,
        max_tokens=max(default.max_tokens, target + target // 2),
        overlap_sentences=default.overlap_sentences,
        parts=Parts(parts) if parts else default.parts,
    )


@app.command()
def remove(
    documents: Annotated[list[str], typer.Argument(metavar="DOC...", help="Document ids, or sources as listed.")],
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove documents for good."""
    from index.backends.embedded import EmbeddedBackend, Writer

    config = load_config(index=index)
    chosen = _chosen(list(EmbeddedBackend(config.index).documents()), documents)
    with Writer(config.index, _encoder_for(config)) as writer:
        n = writer.delete(chosen)
        writer.write_vectors()
    _out({"removed": n}, as_json, f"removed {n} {'document' if n == 1 else 'documents'}")


def _chosen(stored: list[StoredDocument], names: list[str]) -> set[str]:
    """Ids of the documents that are named by id, by where they are, or by source."""
    chosen: set[str] = set()
    missing = []
    for name in names:
        places = {name, os.path.realpath(name)}
        found = {doc.doc_id for doc in stored if doc.doc_id == name or doc.location in places}
        found = found or {doc.doc_id for doc in stored if doc.source == name}
        if len(found) > 1:
            raise ValueError(f"{name} names {len(found)} documents; to mend: name one by its id: {', '.join(found)}")
        if not found:
            missing.append(name)
        chosen |= found
    if missing:
        raise ValueError(f"not in the index: {', '.join(missing)}; to mend: dragoman list shows what is")
    return chosen


@app.command("list")
def list_command(
    index: IndexOption = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Sizes and the state of the index instead of the documents.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the documents, or the sizes, of an index."""
    from dataclasses import asdict

    from index.backends.embedded import EmbeddedBackend

    backend = EmbeddedBackend(load_config(index=index).index)
    if stats:
        values = asdict(backend.stats())
        _out(values, as_json, "\n".join(f"{name:15} {value}" for name, value in values.items()))
        return
    documents = list(backend.documents())
    failures = backend.failures()
    lines = [
        f"{d.doc_id}  {d.language:8} {d.date:10}  {d.n_passages:5}  {d.title or '-'}  ({d.source})"
        + (f"  [{', '.join(d.tags)}]" if d.tags else "")
        + ("  stale" if d.stale else "")
        for d in documents
    ]
    lines += [f"failed            {source}: {reason}" for source, reason in failures]
    payload = {"documents": [asdict(d) for d in documents], "failed": [{"source": s, "reason": r} for s, r in failures]}
    _out(payload, as_json, "\n".join(lines) or "the index is empty")


@app.command()
def doctor(
    index: IndexOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be made anew from the store.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Examine an index; exit 1 if something is wrong (and not mended)."""
    from index.backends.embedded import EmbeddedBackend, Writer, examine
    from index.backends.embedded import repair as mend
    from index.build import refresh as redo

    config = load_config(index=index)
    findings = examine(config.index)
    done: list[str] = []
    if repair and findings and all(finding.repairable for finding in findings):
        encoder = _encoder_for(config)
        with Writer(config.index, encoder) as writer:
            done = mend(writer)
            settings: IndexSettings = writer.settings
        redo(config.index, encoder, settings)
        findings = examine(config.index)
    payload = {
        "sound": not findings,
        "findings": [{"what": f.what, "repairable": f.repairable} for f in findings],
        "repaired": done,
    }
    lines = [f"repaired: {what}" for what in done] + [f"problem: {f.what}" for f in findings]
    if not findings:
        stats = EmbeddedBackend(config.index).stats()
        lines.append(
            f"sound: {stats.n_documents} documents, {stats.n_passages} passages, {stats.n_vectors} vectors"
            f" ({stats.vector_index}, recall@10 {stats.recall:.3f} of exact)"
        )
    elif not repair and all(f.repairable for f in findings):
        lines.append("to mend: dragoman doctor --repair")
    _out(payload, as_json, "\n".join(lines))
    if findings:
        raise typer.Exit(1)


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="The question, in any language.")],
    k: KOption = None,
    language: LanguageOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    source: SourceOption = None,
    tag: TagOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also tell what brought each passage to its place.")
    ] = False,
    reranker: RerankerOption = None,
    aliases: AliasesOption = None,
    index: IndexOption = None,
    encoder: EncoderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find passages, best first."""
    from ui.show import explanation_lines, passage_lines, search_json

    config = load_config(index=index, encoder=encoder, reranker=reranker, aliases=aliases, k=k)
    where = _filter(language, since, until, source, tag)
    found = open_chain(config).retrieve(question, config.k, where)
    for warning in found.warnings if not as_json else ():
        _say(f"warning: {warning}")
    blocks = [
        [*passage_lines(rank, item), *(explanation_lines(found, item) if explain else ())]
        for rank, item in enumerate(found.passages, 1)
    ]
    text = "\n\n".join("\n".join(lines) for lines in blocks)
    _out(search_json(found, explain=explain), as_json, text or "no passages")


def _filter(
    languages: list[str] | None, since: str | None, until: str | None, sources: list[str] | None, tags: list[str] | None
) -> Filter:
    """The filter that the flags make."""
    from index.backends.base import Filter

    return Filter(
        languages=tuple(languages or ()),
        since=since or "",
        until=until or "",
        sources=tuple(sources or ()),
        tags=tuple(tags or ()),
    )


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="The question, in any language.")],
    model: ModelOption = None,
    fallback_model: FallbackOption = None,
    judge: JudgeOption = None,
    k: KOption = None,
    language: LanguageOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    source: SourceOption = None,
    tag: TagOption = None,
    reranker: RerankerOption = None,
    aliases: AliasesOption = None,
    index: IndexOption = None,
    encoder: EncoderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question from the articles, with citations."""
    from ui.show import answer_json

    config = load_config(
        index=index,
        encoder=encoder,
        model=model,
        fallback_model=fallback_model,
        judge=judge,
        reranker=reranker,
        aliases=aliases,
        k=k,
    )
    where = _filter(language, since, until, source, tag)
    chain = open_chain(config)
    if as_json:
        _out(answer_json(chain.invoke(question, where=where)), True, "")
        return
    show_answer(chain, question, where)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; only this machine by default.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="The HTTP API without the chat page.")] = False,
    model: ModelOption = None,
    fallback_model: FallbackOption = None,
    judge: JudgeOption = None,
    reranker: RerankerOption = None,
    aliases: AliasesOption = None,
    index: IndexOption = None,
    encoder: EncoderOption = None,
) -> None:
    """Serve the chat page and the HTTP API."""
    from ui.server import run

    config = load_config(
        index=index,
        encoder=encoder,
        model=model,
        fallback_model=fallback_model,
        judge=judge,
        reranker=reranker,
        aliases=aliases,
        host=host,
        port=port,
    )
    run(open_chain(config), config.host, config.port, with_page=not no_ui)


@app.command("eval")
def eval_command(
    gold: Annotated[Path, typer.Argument(metavar="GOLD.jsonl", help="Gold questions, one JSON object a line.")],
    index: IndexOption = None,
    encoder: EncoderOption = None,
    model: ModelOption = None,
    reranker: RerankerOption = None,
    aliases: AliasesOption = None,
    retrieval_only: Annotated[
        bool, typer.Option("--retrieval-only", help="Measure the passages, not the answers.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure an index against gold questions."""
    from eval.gold import read_gold
    from eval.report import as_table
    from eval.run import evaluate

    config = load_config(index=index, encoder=encoder, model=model, reranker=reranker, aliases=aliases)
    items = read_gold(gold)
    with _counter(len(items)) as tick:
        result = evaluate(open_chain(config), items, retrieval_only=retrieval_only, on_item=tick)
    _out(result, as_json, as_table(result))


@app.command()
def demo(
    model: ModelOption = None,
    keep: Annotated[
        Path | None,
        typer.Option("--index", metavar="DIR", help="Keep the demo's index here; a temporary folder by default."),
    ] = None,
) -> None:
    """Index the sample articles and ask a few questions in other languages."""
    from ui.demo import run_demo

    run_demo(keep, load_config(model=model))


def open_chain(config: Config) -> Chain:
    """The chain for an index, with the encoder that the index was made with.

    Raises:
        EncoderMismatch: Another one was asked for, or it has changed.
    """
    from index.backends.embedded import EmbeddedBackend
    from index.encoders import load_encoder
    from index.errors import EncoderMismatch
    from index.names.known import NO_NAMES, read_aliases
    from index.rerank import CrossEncoderReranker
    from rag.chain import Chain, ChainSettings
    from rag.followups import Rewriter, carried_over

    backend = EmbeddedBackend(config.index)
    encoder = load_encoder(config.encoder or backend.encoder_name)
    if encoder.fingerprint != backend.encoder_fingerprint:
        raise EncoderMismatch(
            f"the index in {config.index} was made with encoder {backend.encoder_name} ({backend.encoder_fingerprint})",
            f"the same, not {encoder.name} ({encoder.fingerprint})",
            f"leave --encoder out, or run: dragoman index --refresh --encoder {encoder.name} --index {config.index}",
        )
    answerer: Answerer | None = None
    rewriter: Rewriter = carried_over
    if config.model:
        from rag.answerers.generative import GenerativeAnswerer, load_chat_model
        from rag.followups import ModelRewriter
        from rag.verify.judges import load_judge

        model = load_chat_model(config.model)
        other = load_chat_model(config.fallback_model) if config.fallback_model else None
        judge = load_judge(config.judge) if config.judge else None
        answerer, rewriter = GenerativeAnswerer(model, fallback=other, judge=judge), ModelRewriter(model)
    elif config.judge:
        raise ValueError(
            "--judge looks at what a model writes, and there is none; to mend: name one with --model, or leave it out"
        )
    return Chain(
        backend,
        encoder,
        answerer,
        ChainSettings(k=config.k),
        rewriter=rewriter,
        reranker=CrossEncoderReranker(config.reranker) if config.reranker else None,
        names=read_aliases(config.aliases) if config.aliases else NO_NAMES,
    )


def show_answer(chain: Chain, question: str, where: Filter | None = None) -> Answer:
    """Print an answer as it comes, then its citations; warnings go to stderr."""
    from index.backends.base import EVERYTHING
    from rag.events import Delta, Done, Failed, Warned
    from ui.show import citation_lines, nearest_lines, without_controls

    for event in chain.stream(question, where=where or EVERYTHING):
        if isinstance(event, Delta):
            sys.stdout.write(without_controls(event.text))
            sys.stdout.flush()
        elif isinstance(event, Warned):
            _say(f"warning: {event.message}")
        elif isinstance(event, Failed):
            raise event.error
        elif isinstance(event, Done):
            sys.stdout.write("\n")
            for line in (*citation_lines(event.answer), *nearest_lines(event.answer)):
                sys.stdout.write(without_controls(line) + "\n")
            return event.answer
    raise AssertionError("a stream ends with Done or Failed")  # pragma: no cover


def _encoder_for(config: Config) -> Any:
    """The encoder to write with: the one asked for, or the index's own, or the default."""
    from index.backends.embedded import EmbeddedBackend
    from index.encoders import load_encoder
    from index.errors import IndexMissing

    if config.encoder:
        return load_encoder(config.encoder)
    try:
        return load_encoder(EmbeddedBackend(config.index).encoder_name)
    except IndexMissing:
        return load_encoder(config.new_encoder)


def _show_report(report: IngestReport, config: Config, verbose: bool, as_json: bool) -> None:
    for source, reason in report.failed:
        _say(f"failed: {reason}" if reason.startswith(source) else f"failed: {source}: {reason}")
    if report.passed_over:
        kinds = ", ".join(f"{suffix} {n}" for suffix, n in report.passed_over.most_common(8))
        _say(f"passed over, of types that are not read: {kinds}")
    if verbose:
        for source, note in report.notes:
            _say(f"note: {source}: {note}")
        for source, entry in report.removed:
            _say(f"left out: {source}: {entry.rule}: {entry.text[:100]}")
    rate = report.n_passages / report.seconds if report.seconds else 0.0
    payload = {
        "index": str(config.index),
        "added": report.added,
        "replaced": report.replaced,
        "unchanged": report.unchanged,
        "deleted": report.deleted,
        "passages": report.n_passages,
        "failed": [{"source": source, "reason": reason} for source, reason in report.failed],
        "seconds": round(report.seconds, 3),
    }
    text = (
        f"{config.index}: {report.added} added, {report.replaced} replaced, {report.unchanged} unchanged, "
        f"{report.deleted} deleted, {len(report.failed)} failed; "
        f"{report.n_passages} passages in {report.seconds:.1f} s ({rate:,.0f}/s)"
    )
    _out(payload, as_json, text)


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None] | None]:
    """A bar on a terminal, a line now and then elsewhere; both on stderr."""
    if not sys.stderr.isatty():
        last = time.monotonic()

        def line(progress: Progress) -> None:
            nonlocal last
            if time.monotonic() - last >= 5:
                last = time.monotonic()
                _say(_progress_text(progress))

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    with Bar(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def update(progress: Progress) -> None:
            bar.update(
                task, total=progress.n_files, completed=progress.n_files_done, description=_progress_text(progress)
            )

        yield update


def _progress_text(progress: Progress) -> str:
    eta = f", {progress.eta_s:.0f} s left" if progress.n_files > 1 and progress.n_files_done else ""
    return (
        f"{progress.n_files_done}/{progress.n_files} files, {progress.n_documents:,} documents, "
        f"{progress.n_passages:,} passages, {progress.passages_per_s:,.0f}/s{eta}"
    )


@contextmanager
def _counter(total: int) -> Iterator[Callable[[], None]]:
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("questions", total=total)
        yield lambda: bar.advance(task)


def _out(payload: Any, as_json: bool, text: str) -> None:
    """Data to stdout: JSON with `--json`, else text."""
    from ui.show import without_controls

    shown = _C1.sub(_escaped, json.dumps(payload, ensure_ascii=False, indent=2)) if as_json else without_controls(text)
    sys.stdout.write(shown + "\n")
    sys.stdout.flush()


# JSON escapes the C0 controls by itself; U+009B begins a command on a terminal just as ESC [ does.
_C1 = re.compile(r"[\x7f-\x9f]")


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"


def _say(text: str) -> None:
    """Talk to stderr."""
    from ui.show import without_controls

    sys.stderr.write(without_controls(text) + "\n")


def _use_utf8() -> None:
    """Answers are in every script: never fail for the terminal's encoding."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace")


if __name__ == "__main__":
    main()
