"""`dragoman demo`: the sample articles, indexed, and questions in languages other than theirs."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, closing
from importlib.resources import as_file, files
from pathlib import Path

from ui.commands.asking import show_answer
from ui.commands.opening import open_chain
from ui.config import Config
from ui.terminal import progress, say, write

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
    from index.contextual import add_contextual
    from index.encoders import load_encoder
    from index.ingest import ingest

    with ExitStack() as stack:
        samples = stack.enter_context(as_file(files("ui").joinpath("samples", "articles")))
        folder = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dragoman-"))) / "index"
        # Citations show the shorter path.
        source = min(os.path.relpath(samples), str(samples), key=len)
        encoder = load_encoder("embedded")
        report = ingest(folder, [source], encoder)
        with progress("contextual vectors") as update:
            add_contextual(folder, encoder, lambda done, total, _: update(done, total))
        chain = stack.enter_context(
            closing(open_chain(config.model_copy(update={"index": folder, "encoder": "embedded"})))
        )
        languages = sorted({document.language for document in chain.backend.documents()})
        n_documents = report.n_documents
        say(f"{n_documents} sample articles in {report.seconds:.1f} s")
        write(f"{n_documents} articles in {len(languages)} languages: {', '.join(languages)}\n")
        for question in QUESTIONS:
            write(f"\n> {question}\n")
            show_answer(chain, question)
    if keep:
        write(f'\nThe index is kept. Ask it: dragoman ask --index {keep} "..."\n')
