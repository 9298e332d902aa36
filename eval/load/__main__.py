"""`python -m eval.load --data FOLDER`: serve an index, and let more and more users ask it at once."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from eval.errors import ServerFailed, SetMissing
from eval.load.corpus import build, count_passages, questions
from eval.load.server import serving
from eval.load.users import EVENTS, Level, ask_all
from eval.provenance import commit, machine
from index.errors import IndexProblem

_WARM_UP = 40  # questions before anything is measured
_NO_RATE = {"per_minute": "1000000"}  # all users come from one address
_MiB = 2**20


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure by the command line; returns the exit status: 1 where a question was not answered."""
    given = _parser().parse_args(arguments)
    rows: list[dict[str, Any]] = []
    try:
        with TemporaryDirectory(prefix="load-") as scratch:
            for row in _measured(given, Path(scratch)):
                rows.append(row)
                if given.jsonl is not None:
                    with given.jsonl.open("a", encoding="utf-8") as opened:
                        opened.write(json.dumps(row, ensure_ascii=False) + "\n")
    except (SetMissing, IndexProblem, ServerFailed) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    for table in (_starts_table(rows), _levels_table(rows)):
        Console(width=None if sys.stdout.isatty() else 160).print(table)
    return int(any(row.get("errors") for row in rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eval.load",
        description="Serve an index of published articles by a process of its own without the page, have users ask it"
        " at once over HTTP, each again when it has its answer, and tell answers a second, times, errors and memory.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with dev/xquad, or with articles, questions.jsonl"
    )
    parser.add_argument("--index", type=Path, help="ask this index; one of published articles is made by default")
    parser.add_argument("--passages", type=int, default=10_000, help="how many the index that is made has, at least")
    parser.add_argument("--users", type=int, nargs="+", default=[1, 10, 40, 200], help="how many ask at once")
    parser.add_argument("--answers", type=int, default=300, help="questions at each level; at least 3 a user")
    parser.add_argument("--starts", type=int, default=5, help="starts with and without the page")
    parser.add_argument("--max-concurrent", nargs="+", help="values of that setting, one after the other")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="other settings of [server]")
    parser.add_argument("--jsonl", type=Path, help="also append a line of JSON for each row there")
    return parser


def _measured(given: argparse.Namespace, scratch: Path) -> Iterator[dict[str, Any]]:
    """A row for each kind of start, then one for each setting and number of users."""
    folder = given.index or scratch / "index"
    taken = build(folder, scratch, given.data, given.passages) if given.index is None else {}
    made = {
        "commit": commit(),
        "on": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "articles": taken or str(given.index),
        "n_passages": count_passages(folder),
    }
    sys.stderr.write(f"{made['n_passages']:,} passages of {made['articles']}\n")
    for with_page in (False, True):
        if given.starts:
            yield made | _starts(folder, scratch, given.starts, with_page=with_page)
    asked = questions(given.data)
    wanted = _WARM_UP + sum(_n_questions(given, n_users) for n_users in given.users)
    if len(asked) < wanted:
        raise SetMissing(f"there are {len(asked)} different questions in {given.data}; expected: {wanted}")
    for max_concurrent in given.max_concurrent or [None]:
        chosen = _NO_RATE | dict(one.split("=", 1) for one in given.set)
        chosen |= {"max_concurrent": max_concurrent} if max_concurrent else {}
        for level in _levels(folder, scratch, chosen, asked, given):
            yield made | {"settings": chosen} | level


def _n_questions(given: argparse.Namespace, n_users: int) -> int:
    return max(int(given.answers), 3 * n_users)


def _starts(folder: Path, scratch: Path, n: int, *, with_page: bool) -> dict[str, Any]:
    """How long a start takes, and what is in memory after it; medians."""
    seconds, memories = [], []
    for _ in range(n):
        with serving(folder, scratch, {}, with_page=with_page) as server:
            seconds.append(server.ready_s)
            memories.append(server.memory())
    return {
        "with_page": with_page,
        "n_starts": n,
        "ready_s": round(median(seconds), 3),
        "rss": int(median(memory.rss for memory in memories)),
        "pss": int(median(memory.pss for memory in memories)),
    }


def _levels(
    folder: Path, scratch: Path, settings: dict[str, str], asked: Sequence[str], given: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    coming = iter(asked)
    with serving(folder, scratch, settings, with_page=False) as server:
        ask_all(server.address, list(islice(coming, _WARM_UP)), 2)
        for n_users in given.users:
            some = list(islice(coming, _n_questions(given, n_users)))
            load = os.getloadavg()[0]  # before: other processes than these two make every figure worse
            before = server.cpu_s()
            level = ask_all(server.address, some, n_users)
            cpu_ms = round(1000 * (server.cpu_s() - before) / max(1, level.n_answers), 1)
            sys.stderr.write(f"{n_users} at once: {level.answers_per_s} answers/s\n")
            yield asdict(level) | asdict(server.memory()) | {"cpu_ms_per_answer": cpu_ms, "load": round(load, 2)}


def _starts_table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table("start", "n", "ready s", "RSS MiB", "PSS MiB", title="From start to ready, medians")
    for row in rows:
        if "ready_s" in row:
            name = "with the page" if row["with_page"] else "without"
            memory = (f"{row['rss'] / _MiB:.0f}", f"{row['pss'] / _MiB:.0f}")
            table.add_row(name, str(row["n_starts"]), f"{row['ready_s']:.2f}", *memory)
    return table


def _levels_table(rows: Sequence[dict[str, Any]]) -> Table:
    times = [f"{event} p50 / p95 ms" for event in EVENTS]
    table = Table(
        "at once", "users", "n", "answers/s", *times, "CPU ms", "errors", "RSS / PSS MiB", "load", title="Answers"
    )
    for row in rows:
        if "n_users" in row:
            level = Level(**{name: row[name] for name in Level.__slots__})
            table.add_row(
                str(row["settings"].get("max_concurrent", "default")),
                str(level.n_users),
                str(level.n_answers),
                f"{level.answers_per_s:.1f}",
                *(f"{level.p50_ms.get(event, 0):.0f} / {level.p95_ms.get(event, 0):.0f}" for event in EVENTS),
                f"{row['cpu_ms_per_answer']:.0f}",
                str(sum(level.errors.values())),
                f"{row['rss'] / _MiB:.0f} / {row['pss'] / _MiB:.0f}",
                f"{row['load']:.1f}",
            )
    return table


if __name__ == "__main__":
    sys.exit(main())
