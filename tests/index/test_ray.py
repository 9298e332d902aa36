"""Ingest by Ray Data: a cluster of several nodes on this machine, a real database, every document there once."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from index.encoders import load_encoder
from index.errors import StoreError
from index.ingest import ingest
from index.move import contents_of
from index.ray import ingest_on_ray
from index.store import open_backend

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
            words = [WORDS[(i * 7 + j * 3 + n) % len(WORDS)] for n in range(30)]
            text = f"Report {i}-{j} on the {' and the '.join(words)}. It was number m{i:02}x{j:02} of its kind."
            lines.append(json.dumps({"id": f"{i}-{j}", "title": f"Report {i}-{j}", "text": text}))
        (folder / f"{i:02}.jsonl").write_text("\n".join(lines), "utf-8")
    (folder / "broken.jsonl").write_text("{no json", "utf-8")
    return folder


def locations(place: str) -> list[str]:
    backend = open_backend(place)
    try:
        return [document.location.rpartition("/")[2] for document in backend.documents()]
    finally:
        backend.close()


@pytest.mark.slow
def test_a_node_that_is_lost_costs_no_document(
    grow: Callable[..., Any], postgres: str, articles: Path, tmp_path: Path
) -> None:
    nodes = [grow(), grow()]
    n_seen = 0

    def lose_one(progress: Any) -> None:
        nonlocal n_seen
        n_seen = progress.n_documents
        if n_seen > 100 and len(nodes) == 2:
            grow(nodes.pop())

    report = ingest_on_ray(postgres, [str(articles)], "embedded", n_workers=2, on_progress=lose_one)
    assert len(nodes) == 1, "the node was removed while documents were on their way"
    expected = sorted(f"{i:02}.jsonl#{i}-{j}" for i in range(24) for j in range(40))
    assert sorted(locations(postgres)) == expected
    assert (report.added, report.replaced, report.deleted) == (960, 0, 0) or report.unchanged > 0
    assert report.added + report.unchanged == 960
    assert [Path(source).name for source, _ in report.failed] == ["broken.jsonl"]
    ingest(tmp_path / "plain", [str(articles)], load_encoder("embedded"), n_workers=1)
    one, other = open_backend(postgres), open_backend(tmp_path / "plain")
    try:
        assert contents_of(one.encoded()) == contents_of(other.encoded())
        assert sorted(one.failures()) == sorted(other.failures())
    finally:
        one.close()
        other.close()

    again = ingest_on_ray(postgres, [str(articles)], "embedded", n_workers=1)
    assert (again.added, again.replaced, again.unchanged, again.deleted) == (0, 0, 960, 0)
    (articles / "03.jsonl").unlink()
    (articles / "04.jsonl").write_text(
        (articles / "04.jsonl").read_text("utf-8").replace("Report 4-7 on", "Story 4-7 of"), "utf-8"
    )
    third = ingest_on_ray(postgres, [str(articles)], "embedded", n_workers=1)
    assert (third.replaced, third.deleted) == (1, 40)
    assert len(locations(postgres)) == len(set(locations(postgres))) == 920
    grow(nodes.pop())


def test_a_folder_takes_one_writer(tmp_path: Path, articles: Path) -> None:
    with pytest.raises(StoreError, match="takes one writer at a time; expected: the address of a database"):
        ingest_on_ray(tmp_path / "index", [str(articles)], "embedded")


def test_web_addresses_are_not_for_a_cluster(articles: Path) -> None:
    with pytest.raises(StoreError, match="is a web address; expected: files and folders"):
        ingest_on_ray("postgresql://localhost/x", [str(articles), "https://example.org/a"], "embedded")


def test_without_ray_nothing_is_begun(articles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    # Nothing listens there: whoever looked for the database first would say so.
    with pytest.raises(StoreError, match=r"Ray is not installed; fix: pip install 'dragoman\[ray\]'"):
        ingest_on_ray("postgresql://localhost:1/x", [str(articles)], "embedded")
