"""`dragoman demo`: the sample articles, indexed, and questions in languages other than theirs."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path

from ui.config import Config

# Each is answered from an article in another language (named after it).
QUESTIONS = (
    "Hoe groot is het nationale park van het Dongsha-atol in Taiwan?",  # from Chinese
    "¿Cuánto mide el túnel ferroviario más largo de Alemania?",  # from German
    "墨西哥地震预警系统1991年启用时，在格雷罗州沿海设有多少个监测站？",  # from Spanish
    "Güney Kore’de Kimchi Günü hangi tarihte kutlanıyor?",  # from Korean
    "У якому році відкрили маяк на острові Санта-Барбара в архіпелазі Аброльос?",  # from Portuguese
    "Wer hat die Fußball-Weltmeisterschaft 1954 gewonnen?",  # in none of them
)


def run_demo(keep: Path | None, config: Config) -> None:
    """Index the samples into `keep` or a temporary folder, ask, and print cited answers."""
    from dataclasses import replace

    from index.encoders import load_encoder
    from index.ingest import ingest
    from ui.commands.asking import show_answer
    from ui.opening import open_chain

    with ExitStack() as stack:
        samples = stack.enter_context(as_file(files("ui").joinpath("samples", "articles")))
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dragoman-"))) / "index"
        encoder = load_encoder("embedded")
        started = time.perf_counter()
        report = ingest(folder, [_shown(samples)], encoder)
        n_documents = report.added + report.replaced + report.unchanged
        sys.stderr.write(f"{n_documents} sample articles in {time.perf_counter() - started:.1f} s\n")
        chain = open_chain(replace(config, index=folder, encoder="embedded"))
        languages = sorted({document.language for document in chain.backend.documents()})
        sys.stdout.write(f"{n_documents} articles in {len(languages)} languages: {', '.join(languages)}\n")
        for question in QUESTIONS:
            sys.stdout.write(f"\n> {question}\n")
            show_answer(chain, question)
        chain.backend.close()
    if keep:
        sys.stdout.write(f'\nThe index is kept. Ask it: dragoman ask --index {keep} "..."\n')


def _shown(path: Path) -> str:
    """The path as a reader would rather see it in citations: relative where that is shorter."""
    try:
        relative = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return min(relative, str(path), key=len)
