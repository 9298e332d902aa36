"""`python -m rag.training COMMAND`: prepare, train or export the reader; export the contextual encoder."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from index.encoders.contextual import CONTEXTUAL
from index.encoders.transformer import TokenVectors
from rag.reader.onnx import EMBEDDED, LAYERS
from rag.training.base import N_LAYERS, base_model
from rag.training.export import export, export_encoder, load_exported
from rag.training.prepare import Prepared, collect, prepare
from rag.training.train import TrainSettings, evaluate, load_trained, train


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status."""
    given = _parser().parse_args(arguments)
    given.run(given)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rag.training", description=__doc__)
    commands = parser.add_subparsers(required=True)
    preparing = commands.add_parser("prepare", help="write the examples into the work folder")
    preparing.add_argument("--data", type=Path, required=True, help="folder with natural-train, qa and qp")
    preparing.set_defaults(run=_prepare)
    training = commands.add_parser("train", help="train, from the checkpoint in the work folder; then measure")
    training.add_argument("--steps", type=int, default=20_000, help="steps of 2,048 tokens in all")
    training.add_argument("--from-shipped", action="store_true", help="begin with the weights of the package")
    training.set_defaults(run=_train)
    exporting = commands.add_parser("export", help="write the checkpoint as the model of the package")
    exporting.add_argument("--out", type=Path, default=EMBEDDED / LAYERS, help="file of the model")
    exporting.set_defaults(run=_export)
    for command in (preparing, training, exporting):
        command.add_argument("--work", type=Path, required=True, help="folder of the examples and the checkpoint")
    for command in (training, exporting):
        command.add_argument("--layers", type=int, default=8, help="layers of the base model that are kept")
    commands.add_parser("encoder", help="write the contextual encoder of the package").set_defaults(run=_encoder)
    return parser


def _prepare(given: argparse.Namespace) -> None:
    given.work.mkdir(parents=True, exist_ok=True)
    prepared = prepare(collect(given.data), TokenVectors().tokenizer)
    np.savez_compressed(given.work / "examples.npz", **prepared._asdict())
    _say(f"{len(prepared.first):,} examples, {int(prepared.natural.sum()):,} of them natural")


def _train(given: argparse.Namespace) -> None:
    with np.load(given.work / "examples.npz") as arrays:
        prepared = Prepared(**{name: arrays[name] for name in Prepared._fields})
    torch.manual_seed(0)
    model = base_model(given.layers)
    if given.from_shipped:
        load_exported(model, EMBEDDED / LAYERS)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    train(model, prepared, given.work, TrainSettings(n_steps=given.steps), _say)
    sys.stdout.write(json.dumps(evaluate(model, prepared)) + "\n")


def _export(given: argparse.Namespace) -> None:
    model = base_model(given.layers)
    load_trained(model, given.work)
    export(model, given.out)


def _encoder(given: argparse.Namespace) -> None:
    export_encoder(base_model(N_LAYERS), CONTEXTUAL)


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
