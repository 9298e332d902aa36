"""`make bench`: speed and memory as ratios measured side by side in one run, on text made from the samples.

Prints a table; with a path as argument also writes the rows there as JSON lines.
"""

from __future__ import annotations

import json
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from index.backends.embedded import EmbeddedBackend
from index.build import ingest
from index.encoders import load_encoder
from index.encoders.static import EMBEDDED, StaticEncoder
from index.search import search
from index.segment import split_sentences

SAMPLES = Path(__file__).parent.parent / "ui" / "samples"
N_ARTICLES = 3_000


def articles(n: int, seed: int = 0) -> Iterator[dict[str, str]]:
    """Articles of shuffled sample sentences, one language each, so that no two are alike."""
    generator = random.Random(seed)
    bodies = [path.read_text("utf-8").split("---\n", 2)[2] for path in sorted((SAMPLES / "articles").glob("*.md"))]
    pools = [[body[a:b] for a, b in split_sentences(body)] for body in bodies]
    for i in range(n):
        pool = generator.choice(pools)
        paragraphs = [
            " ".join(generator.choice(pool) for _ in range(generator.randint(3, 6)))
            for _ in range(generator.randint(3, 8))
        ]
        yield {"id": str(i), "title": f"Article {i}", "text": "\n\n".join(paragraphs)}


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def bench_ingest(folder: Path) -> Iterator[dict[str, Any]]:
    corpus = folder / "corpus.jsonl"
    corpus.write_text("\n".join(json.dumps(a, ensure_ascii=False) for a in articles(N_ARTICLES)), "utf-8")
    n_chars = sum(len(a["text"]) for a in articles(N_ARTICLES))
    encoder = load_encoder("embedded")
    rates = {}
    for name, n_workers in (("one process", 1), ("all cores", None)):
        report = ingest(folder / name.replace(" ", "-"), [str(corpus)], encoder, n_workers=n_workers)
        rates[name] = report.n_passages / report.seconds
        yield row(f"ingest, {name}", rates[name], "passages/s", n_chars / report.seconds / 1e6, "M characters/s")
    yield row("ingest, all cores over one process", rates["all cores"] / rates["one process"], "times")
    again = timed(lambda: ingest(folder / "all-cores", [str(corpus)], encoder))
    yield row("ingest, nothing new", again, "s")
    yield row("peak memory of the ingesting process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB")


def bench_search(folder: Path) -> Iterator[dict[str, Any]]:
    encoder = load_encoder("embedded")
    backend = EmbeddedBackend(folder / "all-cores")
    questions = [json.loads(line)["question"] for line in (SAMPLES / "questions.jsonl").read_text("utf-8").splitlines()]
    query = encoder.encode_queries(questions[:1])[0]
    with backend.snapshot() as snapshot:
        search(snapshot, encoder, questions[0])
        whole = median(timed(lambda q=q: search(snapshot, encoder, q)) for q in questions) * 1000
        dense = median(timed(lambda: snapshot.dense(query, 800)) for _ in questions) * 1000
    stats = backend.stats()
    yield row(f"search, {stats.n_passages:,} passages, {stats.n_vectors:,} vectors", whole, "ms p50")
    yield row("  of it nearest vectors", dense, "ms p50", dense / whole, "of the whole")


def bench_encoder() -> Iterator[dict[str, Any]]:
    from model2vec import StaticModel

    texts = [a["text"][:400] for a in articles(4_000, seed=1)]
    # Loaded through a static encoder of its own, so that no cache is warm.
    ours, theirs = StaticEncoder(EMBEDDED, "embedded"), StaticModel.from_pretrained(EMBEDDED)
    a = timed(lambda: ours.encode_passages(texts))
    b = timed(lambda: theirs.encode(texts, max_length=None, use_multiprocessing=False))
    yield row("encoding, passages of 400 characters, one thread", len(texts) / a, "passages/s")
    yield row("  over model2vec on the same files", b / a, "times")
    load_ours, load_theirs = (
        timed(lambda: StaticEncoder(EMBEDDED, "embedded")),
        timed(lambda: StaticModel.from_pretrained(EMBEDDED)),
    )
    yield row("loading the encoder", load_ours, "s", load_theirs / load_ours, "times as fast as model2vec")


def bench_start(folder: Path) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "ui.cli", "ask", "Kimchi?", "--index", str(folder / "all-cores")]
    ask = median(timed(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(5))
    bare = median(timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)) for _ in range(5))
    yield row("dragoman ask, cold", ask, "s", ask / bare, "times a bare interpreter")


def row(name: str, value: float, unit: str, other: float | None = None, other_unit: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "value": round(value, 4),
        "unit": unit,
        "other": other and round(other, 4),
        "other_unit": other_unit,
    }


def main() -> None:
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        for part in (bench_encoder(), bench_ingest(Path(name)), bench_search(Path(name)), bench_start(Path(name))):
            for line in part:
                rows.append(line)
                other = f"   {line['other']:,.2f} {line['other_unit']}" if line["other"] else ""
                print(f"{line['name']:55} {line['value']:>12,.3f} {line['unit']}{other}", flush=True)
    if len(sys.argv) > 1:
        about = {"machine": platform.machine(), "python": platform.python_version()}
        Path(sys.argv[1]).write_text("".join(json.dumps(about | line) + "\n" for line in rows), "utf-8")


if __name__ == "__main__":
    main()
