"""Commands about what is in an index: index, remove, list, doctor."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from index.store import as_place, shown_place
from ui.config import Config, load_config
from ui.opening import encoder_for
from ui.options import EncoderOption, IndexOption, JsonOption
from ui.terminal import out, progress_bar, say

if TYPE_CHECKING:
    from index.report import IngestReport
    from index.settings import IndexSettings
    from index.store.base import StoredDocument

_APART = ": large indexes are searched approximately, by each kind in its own way"


def index(
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
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            max=256,
            help="Processes that cut and encode; as many as there are cores by default, with 0 or 1 none but this one.",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="ray: on all machines of a Ray cluster, into an index in a database."),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The Ray cluster; one on this machine alone by default."),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Also tell what was removed as boilerplate, and how files were decoded."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add or update files, folders and URLs."""
    from index.ingest import ingest
    from index.ingest import refresh as redo
    from index.ray import ingest_on_ray
    from index.settings import Limits
    from index.store import open_backend

    if not paths and not refresh:
        raise typer.BadParameter("name at least one file, folder or URL", param_hint="PATH...")
    if engine not in (None, "ray"):
        raise typer.BadParameter(f"{engine} is not ray", param_hint="--engine")
    config = load_config(index=index, encoder=encoder, max_file_mb=max_file_mb)
    loaded = encoder_for(config)
    wanted = _wanted_settings(parts, passage_tokens)
    report = None
    with progress_bar() as on_progress:
        if refresh:
            own = open_backend(config.index).settings
            report = redo(config.index, loaded, wanted or own, n_workers=workers, on_progress=on_progress)
        if paths:
            limits = Limits(max_file_bytes=config.max_file_mb * 2**20)
            if engine:
                report = ingest_on_ray(
                    config.index,
                    paths,
                    loaded.name,
                    wanted,
                    limits=limits,
                    address=ray_address,
                    n_workers=workers,
                    on_progress=on_progress,
                )
            else:
                report = ingest(
                    config.index,
                    paths,
                    loaded,
                    wanted,
                    limits=limits,
                    allow_url=allow_url,
                    n_workers=workers,
                    on_progress=on_progress,
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


def list_documents(
    index: IndexOption = None,
    stats: Annotated[
        bool, typer.Option("--stats", help="Sizes and the state of the index instead of the documents.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the documents, or the sizes, of an index."""
    from dataclasses import asdict

    from index.store import open_backend

    backend = open_backend(load_config(index=index).index)
    if stats:
        values = asdict(backend.stats())
        told = {name: value for name, value in values.items() if name != "extra"} | values["extra"]
        out(values, as_json, "\n".join(f"{name:16} {value}" for name, value in told.items()))
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
    out(payload, as_json, "\n".join(lines) or "the index is empty")


def move(
    source: Annotated[str, typer.Argument(metavar="FROM", help="An index folder, or postgresql://...")],
    destination: Annotated[str, typer.Argument(metavar="TO", help="Where the copy is to lie, likewise.")],
    as_json: JsonOption = False,
) -> None:
    """Copy an index to another place or kind, and compare the two."""
    from dataclasses import asdict

    from index.encoders import load_encoder
    from index.move import move as copy_index
    from index.store import open_backend

    origin, place = as_place(source), as_place(destination)
    encoder = load_encoder(open_backend(origin).encoder_name)
    with progress_bar() as on_progress:
        report = copy_index(origin, place, encoder, on_progress)
    contents = report.contents
    removed = f", {report.n_removed} that the source no longer has removed" if report.n_removed else ""
    out(
        asdict(report),
        as_json,
        f"{shown_place(place)}: {report.n_copied} of {contents.n_documents} documents copied{removed}; it holds the"
        f" same {contents.n_passages} passages and {contents.n_vectors} vectors (digest {contents.digest[:16]}), and"
        f" answers {report.n_same} of {report.n_questions} questions with the same passages in the same order"
        f" ({report.shared:.0%} of the passages are found in both{_APART if report.shared < 1 else ''});"
        f" {report.seconds:.1f} s",
    )


def doctor(
    index: IndexOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can be made anew from the store.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Examine an index; exit 1 if something is wrong (and not mended)."""
    from index.ingest import refresh as redo
    from index.store import examine, open_backend
    from index.store import repair as mend

    config = load_config(index=index)
    findings = examine(config.index)
    done: list[str] = []
    if repair and findings and all(finding.repairable for finding in findings):
        encoder = encoder_for(config)
        done = mend(config.index, encoder)
        redo(config.index, encoder, open_backend(config.index).settings)
        findings = examine(config.index)
    payload = {
        "sound": not findings,
        "findings": [{"what": f.what, "repairable": f.repairable} for f in findings],
        "repaired": done,
    }
    lines = [f"repaired: {what}" for what in done] + [f"problem: {f.what}" for f in findings]
    if not findings:
        stats = open_backend(config.index).stats()
        lines.append(
            f"sound: {stats.n_documents} documents, {stats.n_passages} passages, {stats.n_vectors} vectors"
            f" ({stats.vector_index})"
        )
        lines += [f"{name}: {value}" for name, value in stats.extra.items()]
    elif not repair and all(f.repairable for f in findings):
        lines.append("to mend: dragoman doctor --repair")
    out(payload, as_json, "\n".join(lines))
    if findings:
        raise typer.Exit(1)


def _show_report(report: IngestReport, config: Config, verbose: bool, as_json: bool) -> None:
    for source, reason in report.failed:
        say(f"failed: {reason}" if reason.startswith(source) else f"failed: {source}: {reason}")
    if report.skipped:
        kinds = ", ".join(f"{suffix} {n}" for suffix, n in report.skipped.most_common(8))
        say(f"passed over, of types that are not read: {kinds}")
    if verbose:
        for source, note in report.notes:
            say(f"note: {source}: {note}")
        for source, entry in report.removed:
            say(f"left out: {source}: {entry.rule}: {entry.text[:100]}")
    rate = report.n_passages / report.seconds if report.seconds else 0.0
    payload = {
        "index": shown_place(config.index),
        "added": report.added,
        "replaced": report.replaced,
        "unchanged": report.unchanged,
        "deleted": report.deleted,
        "passages": report.n_passages,
        "failed": [{"source": source, "reason": reason} for source, reason in report.failed],
        "seconds": round(report.seconds, 3),
    }
    text = (
        f"{shown_place(config.index)}: {report.added} added, {report.replaced} replaced, {report.unchanged} unchanged, "
        f"{report.deleted} deleted, {len(report.failed)} failed; "
        f"{report.n_passages} passages in {report.seconds:.1f} s ({rate:,.0f}/s)"
    )
    out(payload, as_json, text)
