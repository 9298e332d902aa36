"""Cutting and encoding documents on many machines by Ray; this process reads the files and writes the index."""

from __future__ import annotations

import functools
import os
from concurrent.futures import Future
from typing import Any

from index.encoders import load_encoder
from index.encoders.base import Encoder
from index.encoders.static import StaticEncoder
from index.errors import StoreError
from index.settings import IndexSettings
from index.store.base import EncodedDocument
from index.workers import Documents, Workers, encode

_load_once = functools.cache(load_encoder)


def connect(address: str) -> None:
    """Connect this process to the Ray cluster at `address`, or start one on this machine where that is `local`.

    Raises:
        StoreError: Ray is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # Ray logs as errors what it recovers from
    try:
        import ray
    except ImportError as error:
        raise StoreError("Ray is not installed", "", "pip install 'dragoman[ray]'") from error
    # Without an address of its own Ray asks a public server how it is reached.
    local: dict[str, Any] = {"_node_ip_address": "127.0.0.1", "include_dashboard": False}
    place = local if address == "local" else {"address": address}
    ray.init(**place, log_to_driver=False, logging_level="ERROR", ignore_reinit_error=True)


class RayWorkers(Workers):
    """Encodes batches on the cluster; a machine that is lost costs a repeat of its batches."""

    def __init__(self, encoder: Encoder, settings: IndexSettings, n_workers: int | None = None) -> None:
        """Note what to encode with.

        Args:
            encoder: Each machine loads it again by its name.
            settings: How documents are cut.
            n_workers: Batches at once; by default one a GPU where the encoder uses GPUs, else one a CPU.
        """
        import ray

        super().__init__(encoder, settings, 0)
        resources = ray.cluster_resources()
        n_gpus = 0 if isinstance(encoder, StaticEncoder) else int(resources.get("GPU", 0))
        self._n = n_workers or n_gpus or max(1, int(resources.get("CPU", 1)))
        self._task = ray.remote(num_cpus=1, num_gpus=1 if n_gpus else 0, max_retries=-1)(_encode)

    def _started(self, documents: Documents) -> Future[Any]:
        future: Future[Any] = self._task.remote(documents, self._encoder.name, self._settings).future()
        return future

    def _result(self, task: Future[Any]) -> list[EncodedDocument]:
        encoded: list[EncodedDocument] = task.result()
        return encoded


def _encode(documents: Documents, encoder_name: str, settings: IndexSettings) -> list[EncodedDocument]:
    """`encode` on some machine, which loads the encoder once."""
    return encode(documents, _load_once(encoder_name), settings)
