"""Encoding by Ray: a cluster of several nodes on this machine, every document there once."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from index.encoders import load_encoder
from index.errors import StoreError
from index.ingest import ingest
from index.report import Progress
from index.store import open_backend
from tests.index.conftest import contents

# Read when ray is imported. It would otherwise take a loopback address to mean this machine's other one.
os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own use of what it has deprecated
WORDS = "harbour kimchi telescope glacier violin lantern orchard compass copper meadow".split()


@pytest.fixture(scope="module")
def grow() -> Iterator[Callable[[], Any]]:
    """Adds a node to a cluster of one; a node is a process tree of its own, as on another machine."""
    import ray
    from ray.cluster_utils import Cluster

    node = {"node_ip_address": "127.0.0.1", "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "num_cpus": 1, "include_dashboard": False})
    ray.init(address=cluster.address, _node_ip_address="127.0.0.1", log_to_driver=False, logging_level="ERROR")

    def add(remove: Any = None) -> Any:
        return cluster.remove_node(remove) if remove is not None else cluster.add_node(num_cpus=1, **node)

    yield add
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    """24 files of 40 articles, no two alike, and one that is none."""
    folder = tmp_path / "articles"
    folder.mkdir()
    for i in range(24):
        lines = []
        for j in range(40):
            words = [WORDS[(i * 7 + j * 3 + n) % len(WORDS)] for n in range(60)]
            text = f"Report {i}-{j} on the {' and the '.join(words)}. It was number m{i:02}x{j:02} of its kind."
            lines.append(json.dumps({"id": f"{i}-{j}", "title": f"Report {i}-{j}", "text": text}))
        (folder / f"{i:02}.jsonl").write_text("\n".join(lines), "utf-8")
    (folder / "broken.jsonl").write_text("{no json", "utf-8")
    return folder


@pytest.mark.slow
def test_a_node_that_is_lost_costs_no_document(grow: Callable[..., Any], articles: Path, tmp_path: Path) -> None:
    nodes = [grow(), grow()]

    def lose_one(progress: Progress) -> None:
        if progress.n_documents > 600 and len(nodes) == 2:  # the first are encoded in this process
            grow(nodes.pop())

    encoder, sources = load_encoder("embedded"), [str(articles)]
    ingest(tmp_path / "plain", sources, encoder, n_workers=0, batch_documents=20)
    report = ingest(
        tmp_path / "ray", sources, encoder, n_workers=3, ray="auto", batch_documents=20, on_progress=lose_one
    )
    assert len(nodes) == 1, "the node was removed while documents were on their way"
    assert (report.added, report.replaced, report.deleted) == (960, 0, 0)
    assert [Path(source).name for source, _ in report.failed] == ["broken.jsonl"]
    assert contents(tmp_path / "ray") == contents(tmp_path / "plain")
    with closing(open_backend(tmp_path / "ray")) as one, closing(open_backend(tmp_path / "plain")) as other:
        assert one.failures() == other.failures()
    grow(nodes.pop())


def test_without_ray_nothing_is_begun(articles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(StoreError, match=r"Ray is not installed; fix: pip install 'dragoman\[ray\]'"):
        ingest(tmp_path / "index", [str(articles)], load_encoder("embedded"), ray="local")
    assert not (tmp_path / "index").exists()
