"""Commands about the documents of an index: index, remove, list, move, doctor."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from index.store import as_place, shown_place
from ui.commands.opening import encoder_for
from ui.commands.options import IndexOption, JsonOption
from ui.config import Config, load_config
from ui.terminal import ingest_progress, out, progress, say

if TYPE_CHECKING:
    from index.encoders.base import Encoder
    from index.report import IngestReport
    from index.store.base import IndexPlace, StoredDocument


def index(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH...", help="Files, folders, or URLs (with --allow-url).")
    ] = None,
    index: IndexOption = None,
    encoder: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="embedded, a sentence-transformers model, or langchain:PROVIDER:MODEL."),
    ] = None,
    allow_url: Annotated[bool, typer.Option("--allow-url", help="Fetch http(s) addresses among the paths.")] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Redo the stored documents with the encoder and settings of now.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, max=256, help="Processes; by default one for each core, 0 for none but this."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Encode on a Ray cluster (local: one on this machine)."),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Make no contextual vectors: done at once, but search finds less.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Also show removed boilerplate, and how files were decoded.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add or update files, folders and URLs."""
    if not paths and not refresh:
        raise typer.BadParameter("name at least one file, folder or URL", param_hint="PATH...")
    config = load_config(index=index, encoder=encoder)
    report = None
    if refresh:
        report = _refreshed(config, workers)
    if paths:
        report = _ingested(config, paths, workers, ray, allow_url)
    assert report is not None
    _show_report(report, config, verbose, as_json)
    if not fast and (refresh or report.n_documents):
        _add_contextual(config.index, encoder_for(config))
    if report.failed and not (report.added + report.replaced + report.unchanged + report.deleted):
        raise typer.Exit(1)


def _refreshed(config: Config, workers: int | None) -> IngestReport:
    from index.ingest import refresh
    from index.store import open_backend

    settings = config.index_settings or open_backend(config.index).settings
    with ingest_progress() as on_progress:
        return refresh(config.index, encoder_for(config), settings, n_workers=workers, on_progress=on_progress)


def _ingested(config: Config, paths: list[str], workers: int | None, ray: str | None, allow_url: bool) -> IngestReport:
    from index.ingest import ingest
    from index.settings import Limits

    limits = Limits(max_file_bytes=config.max_file_mb * 2**20)
    with ingest_progress() as on_progress:
        return ingest(
            config.index,
            paths,
            encoder_for(config),
            config.index_settings,
            limits=limits,
            allow_url=allow_url,
            n_workers=workers,
            ray=ray,
            on_progress=on_progress,
        )


def _add_contextual(place: IndexPlace, encoder: Encoder) -> None:
    """Make the contextual vectors that are missing; a stop keeps what is done."""
    from index.contextual import add_contextual

    try:
        with progress("contextual vectors") as update:
            add_contextual(place, encoder, lambda done, total, _: update(done, total, "; the index can be searched"))
    except KeyboardInterrupt:
        say("stopped: the index can be searched; run the same command again to make the other contextual vectors")


def _show_report(report: IngestReport, config: Config, verbose: bool, as_json: bool) -> None:
    for source, reason in report.failed:
        say(f"failed: {reason}" if reason.startswith(source) else f"failed: {source}: {reason}")
    if report.skipped:
        kinds = ", ".join(f"{suffix} {n}" for suffix, n in report.skipped.most_common(8))
        say(f"skipped, of types that are not read: {kinds}")
    for source, note in report.notes:
        if verbose or note.startswith("line "):  # a line that is lost
            say(f"note: {source}: {note}")
    if verbose:
        for source, entry in report.removed:
            say(f"left out: {source}: {entry.rule}: {entry.text[:100]}")
    rate = report.n_passages / report.seconds if report.seconds else 0.0
    counts = {name: getattr(report, name) for name in ("added", "replaced", "unchanged", "deleted")}
    payload = {
        "index": shown_place(config.index),
        **counts,
        "passages": report.n_passages,
        "failed": [{"source": source, "reason": reason} for source, reason in report.failed],
        "seconds": round(report.seconds, 3),
    }
    text = (
        f"{shown_place(config.index)}: {', '.join(f'{n} {name}' for name, n in counts.items())}, "
        f"{len(report.failed)} failed; {report.n_passages} passages in {report.seconds:.1f} s ({rate:,.0f}/s)"
    )
    out(payload, as_json, text)


def remove(
    documents: Annotated[list[str], typer.Argument(metavar="DOC...", help="Document ids, or sources as listed.")],
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove documents for good."""
    from index.store import open_backend, open_writer

    config = load_config(index=index)
    chosen = _chosen(list(open_backend(config.index).documents()), documents)
    with open_writer(config.index, encoder_for(config)) as writer:
        n = writer.delete(chosen)
        writer.refresh_vectors()
    out({"removed": n}, as_json, f"removed {n} {'document' if n == 1 else 'documents'}")


def _chosen(stored: list[StoredDocument], names: list[str]) -> set[str]:
    """Ids of the documents that are named by id, by path, or by source."""
    chosen: set[str] = set()
    missing = []
    for name in names:
        places = {name, os.path.realpath(name)}
        found = {doc.doc_id for doc in stored if doc.doc_id == name or doc.location in places}
        found = found or {doc.doc_id for doc in stored if doc.source == name}
        if len(found) > 1:
            raise ValueError(f"{name} names {len(found)} documents; fix: name one by its id: {', '.join(found)}")
        if not found:
            missing.append(name)
        chosen |= found
    if missing:
        raise ValueError(f"not in the index: {', '.join(missing)}; fix: dragoman list shows its documents")
    return chosen


def list_documents(
    index: IndexOption = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Sizes and the state of the index instead of the documents.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the documents, or the sizes, of an index."""
    from index.store import open_backend

    with closing(open_backend(load_config(index=index).index)) as backend:
        if stats:
            values = asdict(backend.stats())
            out(values, as_json, "\n".join(f"{name:16} {value}" for name, value in values.items()))
            return
        documents, failures = list(backend.documents()), backend.failures()
    lines = [
        f"{d.doc_id}  {d.language:8} {d.date:10}  {d.n_passages:5}  {d.title or '-'}  ({d.source})"
        + (f"  [{', '.join(d.tags)}]" if d.tags else "")
        + ("  stale" if d.stale else "")
        for d in documents
    ]
    lines += [f"failed            {source}: {reason}" for source, reason in failures]
    payload = {"documents": [asdict(d) for d in documents], "failed": [{"source": s, "reason": r} for s, r in failures]}
    out(payload, as_json, "\n".join(lines) or "the index is empty")


def move(
    source: Annotated[str, typer.Argument(metavar="FROM", help="An index folder, or postgresql://...")],
    destination: Annotated[str, typer.Argument(metavar="TO", help="The place of the copy, likewise.")],
    as_json: JsonOption = False,
) -> None:
    """Copy an index to another place or kind, and compare the two."""
    from index.encoders import load_encoder
    from index.move import move as copy_index
    from index.store import open_backend

    origin, place = as_place(source), as_place(destination)
    encoder = load_encoder(open_backend(origin).encoder_name)
    with ingest_progress() as on_progress:
        report = copy_index(origin, place, encoder, on_progress)
    removed = f", {report.n_removed} that the source no longer has removed" if report.n_removed else ""
    out(
        asdict(report),
        as_json,
        f"{shown_place(place)}: {report.n_copied} of {report.n_documents} documents copied{removed}; it has the"
        f" same {report.n_passages} passages and {report.n_vectors} vectors (digest {report.digest[:16]});"
        f" {report.seconds:.1f} s",
    )
    _add_contextual(place, encoder)


def doctor(
    index: IndexOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Rebuild from the store what can be rebuilt.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Examine an index; exit 1 if something is wrong (and not repaired)."""
    from index.ingest import refresh
    from index.store import open_backend
    from index.store.doctor import examine
    from index.store.doctor import repair as rebuild

    config = load_config(index=index)
    findings, done = examine(config.index), list[str]()
    if repair and findings and all(finding.repairable for finding in findings):
        encoder = encoder_for(config)
        done = rebuild(config.index, encoder)
        refresh(config.index, encoder, open_backend(config.index).settings)
        findings = examine(config.index)
    lines = [f"repaired: {what}" for what in done] + [f"problem: {f.what}" for f in findings]
    if not findings:
        stats = open_backend(config.index).stats()
        lines.append(
            f"sound: {stats.n_documents} documents, {stats.n_passages} passages, {stats.n_vectors} vectors"
            f" ({stats.vector_index}), {stats.n_contextual} contextual vectors"
        )
    elif not repair and all(f.repairable for f in findings):
        lines.append("fix: dragoman doctor --repair")
    payload = {
        "sound": not findings,
        "findings": [{"what": f.what, "repairable": f.repairable} for f in findings],
        "repaired": done,
    }
    out(payload, as_json, "\n".join(lines))
    if findings:
        raise typer.Exit(1)
