"""Commands that ask: search, ask, serve, demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.config import load_config
from ui.opening import open_chain
from ui.options import (
    AliasesOption,
    EncoderOption,
    FallbackOption,
    IndexOption,
    JsonOption,
    JudgeOption,
    KOption,
    LanguageOption,
    ModelOption,
    RerankerOption,
    SinceOption,
    SourceOption,
    TagOption,
    UntilOption,
)
from ui.terminal import out, say

if TYPE_CHECKING:
    from index.store.base import Filter
    from rag.answer import Answer
    from rag.chain import Chain


def search(
    question: Annotated[str, typer.Argument(help="The question, in any language.")],
    k: KOption = None,
    language: LanguageOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    source: SourceOption = None,
    tag: TagOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also tell what brought each passage to its place.")
    ] = False,
    reranker: RerankerOption = None,
    aliases: AliasesOption = None,
    index: IndexOption = None,
    encoder: EncoderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find passages, best first."""
    from ui.render import explanation_lines, passage_lines, search_json

    config = load_config(index=index, encoder=encoder, reranker=reranker, aliases=aliases, k=k)
    where = filter_of(language, since, until, source, tag)
    found = open_chain(config).retrieve(question, config.k, where)
    for warning in found.warnings if not as_json else ():
        say(f"warning: {warning}")
    blocks = [
        [*passage_lines(rank, item), *(explanation_lines(found, item) if explain else ())]
        for rank, item in enumerate(found.passages, 1)
    ]
    text = "\n\n".join("\n".join(lines) for lines in blocks)
    out(search_json(found, explain=explain), as_json, text or "no passages")


def filter_of(
    languages: list[str] | None, since: str | None, until: str | None, sources: list[str] | None, tags: list[str] | None
) -> Filter:
    """The filter that the flags make."""
    from index.store.base import Filter

    return Filter(
        languages=tuple(languages or ()),
        since=since or "",
        until=until or "",
        sources=tuple(sources or ()),
        tags=tuple(tags or ()),
    )


def ask(
    question: Annotated[str, typer.Argument(help="The question, in any language.")],
    model: ModelOption = None,
    fallback_model: FallbackOption = None,
    judge: JudgeOption = None,
    k: KOption = None,
    language: LanguageOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    source: SourceOption = None,
    tag: TagOption = None,
    reranker: RerankerOption = None,
    aliases: AliasesOption = None,
    index: IndexOption = None,
    encoder: EncoderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question from the articles, with citations."""
    from ui.render import answer_json

    config = load_config(
        index=index,
        encoder=encoder,
        model=model,
        fallback_model=fallback_model,
        judge=judge,
        reranker=reranker,
        aliases=aliases,
        k=k,
    )
    where = filter_of(language, since, until, source, tag)
    chain = open_chain(config)
    if as_json:
        out(answer_json(chain.invoke(question, where=where)), True, "")
        return
    show_answer(chain, question, where)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; only this machine by default.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that serve, each with its own index, queue and rates.")
    ] = 1,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="The HTTP API without the chat page.")] = False,
    model: ModelOption = None,
    fallback_model: FallbackOption = None,
    judge: JudgeOption = None,
    reranker: RerankerOption = None,
    aliases: AliasesOption = None,
    index: IndexOption = None,
    encoder: EncoderOption = None,
) -> None:
    """Serve the chat page and the HTTP API."""
    from ui.server.run import run

    config = load_config(
        index=index,
        encoder=encoder,
        model=model,
        fallback_model=fallback_model,
        judge=judge,
        reranker=reranker,
        aliases=aliases,
        host=host,
        port=port,
    )
    run(config, with_page=not no_ui, workers=workers)


def demo(
    model: ModelOption = None,
    keep: Annotated[
        Path | None,
        typer.Option("--index", metavar="DIR", help="Keep the demo's index here; a temporary folder by default."),
    ] = None,
) -> None:
    """Index the sample articles and ask a few questions in other languages."""
    from ui.demo import run_demo

    run_demo(keep, load_config(model=model))


def show_answer(chain: Chain, question: str, where: Filter | None = None) -> Answer:
    """Print an answer as it comes, then its citations; warnings go to stderr."""
    from index.store.base import EVERYTHING
    from rag.events import Delta, Done, Failed, Warned
    from ui.render import citation_lines, nearest_lines, without_controls

    for event in chain.stream(question, where=where or EVERYTHING):
        if isinstance(event, Delta):
            sys.stdout.write(without_controls(event.text))
            sys.stdout.flush()
        elif isinstance(event, Warned):
            say(f"warning: {event.message}")
        elif isinstance(event, Failed):
            raise event.error
        elif isinstance(event, Done):
            sys.stdout.write("\n")
            for line in (*citation_lines(event.answer), *nearest_lines(event.answer)):
                sys.stdout.write(without_controls(line) + "\n")
            return event.answer
    raise AssertionError("a stream ends with Done or Failed")  # pragma: no cover
