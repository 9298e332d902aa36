"""Ingest on many machines by Ray Data: the files are planned in one process; workers read, encode and write them.

The index is in a database, which takes many writers. A worker or a machine that is lost costs a repeat of the
files that it was working on: an upsert that is repeated changes nothing.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from index.encoders import load_encoder
from index.encoders.base import Encoder
from index.encoders.static import StaticEncoder
from index.errors import StoreError
from index.ingest import ingest_files, remove_gone
from index.read import Found, discover, is_url
from index.report import IngestReport, OnProgress, Progress
from index.settings import IndexSettings, Limits
from index.store import open_writer
from index.store.base import IndexPlace

_FILES_AT_ONCE = 100  # at most, in one call of a worker; files have a limited size, so one file is never too much work


def ingest_on_ray(
    place: IndexPlace,
    sources: Sequence[str],
    encoder_name: str,
    settings: IndexSettings | None = None,
    *,
    limits: Limits | None = None,
    n_workers: int | None = None,
    address: str | None = None,
    on_progress: OnProgress | None = None,
) -> IngestReport:
    """Bring the index at `place` up to date with `sources`, on all machines of a Ray cluster.

    Args:
        place: The address of a database that every machine reaches.
        sources: Files and folders that every machine sees under the same names.
        encoder_name: Loaded on each machine; the index's own (another is refused).
        settings: For a new index.
        limits: What may be read.
        n_workers: Processes that read, encode and write; by default one a GPU where the encoder uses GPUs, else one
            for two CPUs.
        address: Of the cluster; without one the cluster that this process is connected to, or one on this machine.
        on_progress: Called as files are done.

    Raises:
        StoreError: Ray is not installed, the place takes one writer only, or a source is a web address.
        SettingsMismatch, FormatTooNew: See `index.errors`.
    """
    address_of_index = _checked(place, sources)
    limits, report, started = limits or Limits(), IngestReport(), time.monotonic()
    encoder = load_encoder(encoder_name)
    with _cluster(address), open_writer(place, encoder, settings) as writer:
        found = list({one.location: one for source in sources for one in discover(source)}.values())
        n_done = 0
        for n_files, part in _reports(found, address_of_index, encoder, limits, n_workers) if found else ():
            n_done += n_files
            report.add(part)
            if on_progress is not None:
                n_documents, elapsed = report.added + report.replaced, time.monotonic() - started
                on_progress(Progress(n_done, len(found), n_documents, report.n_passages, elapsed))
        remove_gone(writer, sources, {one.location for one in found}, report)
        writer.refresh_vectors()
    report.seconds = time.monotonic() - started
    return report


def _checked(place: IndexPlace, sources: Sequence[str]) -> str:
    """The place, which is an address of a database."""
    if isinstance(place, Path):
        raise StoreError(
            f"{place} takes one writer at a time",
            "the address of a database, as postgresql://...",
            "leave --ray out: this machine's cores are used without it",
        )
    for source in sources:
        if is_url(source):
            raise StoreError(f"{source} is a web address", "files and folders", "index it without --ray")
    return place


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """A Ray cluster for the length of a block; one that was there before is left as it is."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # Ray logs as errors what it recovers from
    try:
        import ray
    except ImportError as error:
        raise StoreError("Ray is not installed", "", "pip install 'dragoman[ray]'") from error
    if ray.is_initialized():
        yield
        return
    # Without an address of its own Ray asks a public server how it is reached.
    local: dict[str, Any] = {} if address else {"_node_ip_address": "127.0.0.1", "include_dashboard": False}
    ray.init(address=address, log_to_driver=False, logging_level="ERROR", **local)
    try:
        yield
    finally:
        ray.shutdown()


def _reports(
    found: Sequence[Found], place: str, encoder: Encoder, limits: Limits, n_workers: int | None
) -> Iterator[tuple[int, IngestReport]]:
    """(number of files, report) of each batch of files, in the order in which batches are done."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    resources = ray.cluster_resources()
    n_gpus = 0 if isinstance(encoder, StaticEncoder) else int(resources.get("GPU", 0))
    n_workers = n_workers or n_gpus or max(1, int(resources.get("CPU", 2)) // 2)
    n_batches = max(8 * n_workers, -(-len(found) // _FILES_AT_ONCE))
    batches = [{"files": list(found[i::n_batches])} for i in range(min(n_batches, len(found)))]
    done = ray.data.from_items(batches, override_num_blocks=len(batches)).map_batches(
        _Ingester,
        fn_constructor_args=(place, encoder.name, limits),
        batch_size=1,
        batch_format="numpy",
        concurrency=n_workers,
        num_cpus=1,
        num_gpus=1 if n_gpus else 0,
    )
    for row in done.iter_rows():
        yield row["result"]


class _Ingester:
    """A worker on some machine: its encoder, and its own connection to the index."""

    def __init__(self, place: str, encoder_name: str, limits: Limits) -> None:
        self._encoder, self._limits = load_encoder(encoder_name), limits
        self._writer = open_writer(place, self._encoder).__enter__()

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """A report for each list of files."""
        results = []
        for files in batch["files"]:
            results.append((len(files), ingest_files(self._writer, list(files), self._encoder, self._limits)))
        return {"result": results}
