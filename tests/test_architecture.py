"""Imports run one way, `index` <- `rag` <- `eval` <- `ui`, and every third party has one owner."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("index", "rag", "eval", "ui")  # each may import those before it
PEER = "eval/peers/worker.py"  # other libraries, run by another interpreter
OWNERS = {
    "faiss": ("index",),
    "sentence_transformers": ("index", "rag/reader/cross_encoders.py"),
    "model2vec": ("index",),
    "langchain": ("rag", "index/encoders/others.py"),
    "langchain_core": ("rag", "index/encoders/others.py", PEER),
    "langchain_community": (PEER,),  # its FAISS wrapper returns wrong texts after a delete
    "psycopg": ("index/store/postgres",),
    "pgvector": ("index/store/postgres",),
    "ray": ("index/ray.py",),
    "gradio": ("ui",),
    "fastapi": ("ui",),
    "starlette": ("ui",),
    "typer": ("ui",),
}


def imported(source: str) -> set[str]:
    """Top-level names of all that a module imports, at any depth of it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add("." if node.level else (node.module or "").split(".")[0])
    return names


def violations(path: str, source: str) -> list[str]:
    """What the module at `path`, relative to the repository, must not import and does."""
    package = path.split("/")[0]
    found = []
    for name in sorted(imported(source)):
        if name == ".":
            found.append(f"{path} imports relatively")
        elif name in PACKAGES and PACKAGES.index(name) > PACKAGES.index(package):
            found.append(f"{path} imports {name}, which stands to its right")
        elif name in OWNERS and not any(path == owner or path.startswith(f"{owner}/") for owner in OWNERS[name]):
            found.append(f"{path} imports {name}, which belongs to {' and '.join(OWNERS[name]) or 'nobody'}")
    return found


def test_every_import_runs_from_right_to_left_and_every_third_party_stays_with_its_owner() -> None:
    modules = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    assert len(modules) > 60
    found = [
        line for path in modules for line in violations(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("path", "source", "complaint"),
    [
        ("index/x.py", "import rag", "index/x.py imports rag, which stands to its right"),
        ("index/x.py", "def f():\n    from ui.render import g", "index/x.py imports ui, which stands to its right"),
        ("rag/x.py", "from eval.run import evaluate", "rag/x.py imports eval, which stands to its right"),
        ("eval/x.py", "import ui.cli as c", "eval/x.py imports ui, which stands to its right"),
        ("rag/x.py", "import faiss", "rag/x.py imports faiss, which belongs to index"),
        ("eval/x.py", "from model2vec import StaticModel", "eval/x.py imports model2vec, which belongs to index"),
        (
            "ui/x.py",
            "import sentence_transformers",
            "ui/x.py imports sentence_transformers, which belongs to index and rag/reader/cross_encoders.py",
        ),
        ("rag/x.py", "import gradio as gr", "rag/x.py imports gradio, which belongs to ui"),
        ("rag/x.py", "from fastapi import FastAPI", "rag/x.py imports fastapi, which belongs to ui"),
        ("eval/x.py", "if True:\n    import typer", "eval/x.py imports typer, which belongs to ui"),
        (
            "index/encoders/base.py",
            "from langchain_core.embeddings import Embeddings",
            "index/encoders/base.py imports langchain_core, which belongs to rag and index/encoders/others.py"
            f" and {PEER}",
        ),
        (
            "ui/x.py",
            "from langchain.chat_models import init_chat_model",
            "ui/x.py imports langchain, which belongs to rag and index/encoders/others.py",
        ),
        (
            "index/x.py",
            "import langchain_community",
            "index/x.py imports langchain_community, which belongs to eval/peers/worker.py",
        ),
        ("index/move.py", "import psycopg", "index/move.py imports psycopg, which belongs to index/store/postgres"),
        ("index/x.py", "from . import y", "index/x.py imports relatively"),
    ],
)
def test_the_check_catches_a_new_arrow(path: str, source: str, complaint: str) -> None:
    assert violations(path, source) == [complaint]


def test_the_check_lets_the_right_directions_pass() -> None:
    source = (
        "import json, index.search\nfrom rag.chain import Chain\nfrom eval import run\nimport gradio, fastapi, typer"
    )
    assert violations("ui/x.py", source) == []
    assert violations("index/encoders/others.py", "from langchain.embeddings import init_embeddings") == []
    assert violations("rag/answerers/x.py", "from langchain_core.messages import HumanMessage\nimport index") == []


HEAVY = (
    "torch",
    "sentence_transformers",
    "gradio",
    "langchain",
    "langchain_core",
    "trafilatura",
    "pypdf",
    "fastapi",
    "docx",
    "psycopg",
    "eval",
    "ir_measures",
)


def test_answering_from_the_command_line_imports_nothing_heavy(sample_index: Path) -> None:
    question = "When did the Webb telescope leave Earth?"
    command = ["-X", "importtime", "-m", "ui.cli", "ask", "--json", "--index", str(sample_index), question]
    ran = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ran.stdout)["abstained"] is False
    loaded = {line.split("|")[-1].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}
    assert {"index.search", "faiss", "rag.chain"} <= loaded  # it is the list of what answering needed
    assert [name for name in HEAVY if name in loaded] == []
