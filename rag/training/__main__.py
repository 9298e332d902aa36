"""`python -m rag.training COMMAND`: prepare, train, evaluate or export the reader; export the contextual encoder."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch

from index.encoders.contextual import CONTEXTUAL
from index.encoders.transformer import SHARED, TOKENIZER, WORDS
from rag.reader.onnx import EMBEDDED
from rag.training.base_model import base_model_file, read_base_model, unigram_tokenizer
from rag.training.evaluate import evaluate
from rag.training.export import export, export_encoder
from rag.training.model import ReaderModel
from rag.training.prepare import Prepared, collect, kept_pieces, openings, prepare, summary
from rag.training.train import TrainSettings, load_trained, train


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    given = _parser().parse_args(arguments)
    commands = {
        "prepare": _prepare,
        "train": _train,
        "evaluate": _evaluate,
        "export": _export,
        "encoder": _export_encoder,
    }
    return commands[given.command](given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rag.training", description=__doc__)
    parser.add_argument("command", choices=("prepare", "train", "evaluate", "export", "encoder"))
    parser.add_argument("--data", type=Path, help="prepare: folder with natural-train, qa, qp, parallel")
    parser.add_argument("--work", type=Path, required=True, help="folder of the prepared examples and checkpoints")
    parser.add_argument("--out", type=Path, default=EMBEDDED, help="export: folder of the model")
    parser.add_argument("--layers", type=int, default=8, help="layers of the base model that are kept")
    parser.add_argument("--steps", type=int, default=20_000, help="steps of 2,048 tokens in all")
    parser.add_argument("--threads", type=int, default=0, help="threads on a CPU; 0 takes them all")
    return parser


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()


def _prepare(given: argparse.Namespace) -> int:
    """Write examples.npz, pieces.json and tokenizer.json into the work folder."""
    given.work.mkdir(parents=True, exist_ok=True)
    examples = list(collect(given.data))
    for line in summary(examples):
        _say(line)
    base = read_base_model(base_model_file())
    if (given.work / "pieces.json").exists():  # of a model that goes on learning
        kept = json.loads((given.work / "pieces.json").read_text("utf-8"))
    else:
        texts = (text for one, _ in examples for text in (one.text, one.passage, one.title))
        kept = kept_pieces(base, chain(texts, openings(given.data)))
    tokenizer = unigram_tokenizer([base.pieces[i] for i in kept], [float(base.scores[i]) for i in kept])
    np.savez_compressed(given.work / "examples.npz", **prepare(examples, tokenizer)._asdict())
    (given.work / "pieces.json").write_text(json.dumps(kept), "utf-8")
    tokenizer.save(str(given.work / "tokenizer.json"))
    _say(f"wrote {given.work / 'examples.npz'}: {(given.work / 'examples.npz').stat().st_size / 2**20:.0f} MiB")
    return 0


def _model(given: argparse.Namespace) -> ReaderModel:
    kept = json.loads((given.work / "pieces.json").read_text("utf-8"))
    if given.threads:
        torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    model = ReaderModel(read_base_model(base_model_file()), kept, given.layers)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return model


def _train(given: argparse.Namespace) -> int:
    prepared = _prepared(given.work)
    model = _model(given)
    done = train(model, prepared, given.work, TrainSettings(n_steps=given.steps), _say)
    _say(f"{done} steps done: {json.dumps(evaluate(model, prepared))}")
    return 0


def _evaluate(given: argparse.Namespace) -> int:
    """Measure the newest checkpoint on the held-out examples."""
    sys.stdout.write(json.dumps(evaluate(_trained(given), _prepared(given.work))) + "\n")
    return 0


def _export(given: argparse.Namespace) -> int:
    """Write the newest checkpoint as the model that the product reads with."""
    export(_trained(given), given.out)
    if (SHARED / TOKENIZER).read_bytes() == (given.work / TOKENIZER).read_bytes():
        (given.out / WORDS).unlink()  # it has the vocabulary of the contextual encoder
    else:
        shutil.copy(given.work / TOKENIZER, given.out / TOKENIZER)
    return 0


def _export_encoder(given: argparse.Namespace) -> int:
    """Write the base model as the contextual encoder."""
    given.layers = read_base_model(base_model_file()).n_layers
    export_encoder(_model(given), CONTEXTUAL)
    return 0


def _trained(given: argparse.Namespace) -> ReaderModel:
    model = _model(given)
    load_trained(model, given.work / "model.safetensors")
    return model


def _prepared(work: Path) -> Prepared:
    with np.load(work / "examples.npz") as arrays:
        return Prepared(**{name: arrays[name] for name in Prepared._fields})


if __name__ == "__main__":
    sys.exit(main())
