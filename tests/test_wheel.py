"""What is built is what is tested: the wheel holds all it needs and runs where the source is not."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_four_packages_with_their_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    top = {name.split("/")[0] for name in names}
    (info,) = {name for name in top if name.endswith(".dist-info")}
    assert top - {info} == {"rag", "index", "ui", "eval"}
    assert {f"{info}/licenses/LICENSE", f"{info}/licenses/NOTICE"} <= names
    for package in ("rag", "index", "ui", "eval"):
        # Every file of the source, but what Python leaves behind: code, data, py.typed, the texts of licences.
        source = {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / package).rglob("*")
            if path.is_file() and not {"__pycache__", "training"} & set(path.parts)
        }
        assert source - names == set()
        assert f"{package}/py.typed" in names
    assert {
        f"index/encoders/embedded/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json")
    } <= names
    assert {"rag/phrases/en.toml", "rag/prompts/answer.txt", "ui/samples/questions.jsonl"} <= names
    assert len([name for name in names if name.startswith("ui/samples/articles/")]) == 30
    assert not [name for name in names if "/training/" in name]  # of a checkout only
    assert not [name for name in names if "test" in name.rsplit("/", 1)[-1] and name != "rag/testing.py"]


def test_the_wheel_needs_neither_torch_nor_a_test_tool(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode("utf-8").split("\n\n")[0].splitlines()
    wanted = [Requirement(line.split(": ", 1)[1]) for line in lines if line.startswith("Requires-Dist: ")]
    plain = {item.name for item in wanted if item.marker is None or item.marker.evaluate({"extra": ""})}
    assert {"faiss-cpu", "numpy", "tokenizers", "typer"} <= plain
    assert plain & {"torch", "sentence-transformers", "model2vec", "pytest", "hypothesis", "ruff", "mypy"} == set()


def test_the_wheel_answers_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=60)
    python = venv / "bin" / "python"
    install = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, *install], check=True, timeout=120)
    # The dependencies of the test environment, without its own .pth files: the checkout is not seen.
    (site,) = (venv / "lib").glob("python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DRAGOMAN"))}

    where = "import rag, index, ui, eval; print(*(m.__path__[0] for m in (rag, index, ui, eval)), sep='\\n')"
    seen = subprocess.run(
        [python, "-I", "-c", where],
        capture_output=True,
        text=True,
        check=True,
        cwd=elsewhere,
        env=environment,
        timeout=60,
    )
    assert seen.stdout.split("\n")[:-1] == [str(site / name) for name in ("rag", "index", "ui", "eval")]

    demo = subprocess.run(
        [venv / "bin" / "dragoman", "demo"],
        capture_output=True,
        text=True,
        cwd=elsewhere,
        env=environment,
        timeout=120,
        check=False,
    )
    assert demo.returncode == 0, demo.stderr
    assert "Traceback" not in demo.stderr
    assert "30 articles" in demo.stdout
    assert demo.stdout.count("[1]") >= 4  # a marker and its citation for at least two of the questions
    assert str(ROOT) not in demo.stdout  # the samples it quotes are those of the wheel
    assert list(elsewhere.iterdir()) == []
