"""The flags that several commands share. What is set once for a project belongs in dragoman.toml (ui/config.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from index.store.base import Filter

IndexOption = Annotated[
    str | None,
    typer.Option(
        "--index",
        metavar="PLACE",
        help="The index folder, or postgresql://... ; ./.dragoman or $DRAGOMAN_INDEX by default.",
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
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")]
KOption = Annotated[int | None, typer.Option("-k", min=1, max=1000, help="Passages to find; 10 by default.")]
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


def filter_of(
    languages: list[str] | None, since: str | None, until: str | None, sources: list[str] | None, tags: list[str] | None
) -> Filter:
    """The filter of the flags."""
    from index.store.base import Filter

    return Filter(
        languages=tuple(languages or ()),
        since=since or "",
        until=until or "",
        sources=tuple(sources or ()),
        tags=tuple(tags or ()),
    )
