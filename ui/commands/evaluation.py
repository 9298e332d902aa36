"""Commands that measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ui.config import load_config
from ui.opening import open_chain
from ui.options import AliasesOption, EncoderOption, IndexOption, JsonOption, ModelOption, RerankerOption
from ui.terminal import counter, out


def evaluate(
    gold: Annotated[Path, typer.Argument(metavar="GOLD.jsonl", help="Gold questions, one JSON object a line.")],
    index: IndexOption = None,
    encoder: EncoderOption = None,
    model: ModelOption = None,
    reranker: RerankerOption = None,
    aliases: AliasesOption = None,
    retrieval_only: Annotated[
        bool, typer.Option("--retrieval-only", help="Measure the passages, not the answers.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure an index against gold questions."""
    from eval.gold import read_gold
    from eval.report import as_table
    from eval.run import evaluate

    config = load_config(index=index, encoder=encoder, model=model, reranker=reranker, aliases=aliases)
    items = read_gold(gold)
    with counter(len(items)) as tick:
        result = evaluate(open_chain(config), items, retrieval_only=retrieval_only, on_item=tick)
    out(result, as_json, as_table(result))
