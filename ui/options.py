"""The flags that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

IndexOption = Annotated[
    str | None,
    typer.Option(
        "--index",
        metavar="PLACE",
        help="The index folder, or postgresql://... ; ./.dragoman or $DRAGOMAN_INDEX by default.",
    ),
]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        "--encoder", metavar="NAME", help="embedded, a sentence-transformers model, or langchain:PROVIDER:MODEL."
    ),
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="PROVIDER:NAME",
        help="A LangChain chat model, as in openai:gpt-5-mini or ollama:llama3.2; none by default.",
    ),
]
FallbackOption = Annotated[
    str | None,
    typer.Option("--fallback-model", metavar="PROVIDER:NAME", help="Asked where --model fails; none by default."),
]
JudgeOption = Annotated[
    str | None,
    typer.Option(
        "--judge",
        metavar="NAME",
        help="Also looks whether each sentence of --model follows from what it cites: a cross-encoder of natural"
        " language inference, or a chat model as PROVIDER:NAME; none by default.",
    ),
]
RerankerOption = Annotated[
    str | None,
    typer.Option(
        "--reranker", metavar="NAME", help="A sentence-transformers cross-encoder for a second look; none by default."
    ),
]
AliasesOption = Annotated[
    Path | None,
    typer.Option("--aliases", metavar="FILE", help="Names that are one; aliases.toml, where there is one."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
LanguageOption = Annotated[
    list[str] | None, typer.Option("--language", metavar="TAG", help="Only passages in this language; may be repeated.")
]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="DATE", help="Only articles of this day or later: YYYY[-MM[-DD]].")
]
UntilOption = Annotated[
    str | None, typer.Option("--until", metavar="DATE", help="Only articles of this day or earlier: YYYY[-MM[-DD]].")
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="SOURCE", help="Only this source, folder, or pattern with *; may be repeated."),
]
TagOption = Annotated[
    list[str] | None, typer.Option("--tag", metavar="TAG", help="Only articles with this tag; may be repeated.")
]
KOption = Annotated[int | None, typer.Option("-k", min=1, max=1000, help="Passages to find; 10 by default.")]
