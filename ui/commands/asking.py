"""Commands that ask: search, ask, serve, demo."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ui.commands.opening import open_chain
from ui.commands.options import (
    IndexOption,
    JsonOption,
    KOption,
    LanguageOption,
    ModelOption,
    SinceOption,
    SourceOption,
    TagOption,
    UntilOption,
    filter_of,
)
from ui.config import load_config
from ui.terminal import out, say, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from index.store.base import Filter
    from rag.answer import Answer
    from rag.answerers.base import Turn
    from rag.chain import Chain

QuestionArgument = Annotated[str, typer.Argument(help="The question, in any language.")]


def search(
    question: QuestionArgument,
    k: KOption = None,
    language: LanguageOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    source: SourceOption = None,
    tag: TagOption = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also show what brought each passage to its place.")
    ] = False,
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find passages, best first."""
    from ui.render import explanation_lines, passage_lines, search_json

    config = load_config(index=index, k=k)
    where = filter_of(language, since, until, source, tag)
    with closing(open_chain(config)) as chain:
        found = chain.retrieve(question, config.k, where)
    for warning in found.warnings if not as_json else ():
        say(f"warning: {warning}")
    blocks = [
        [*passage_lines(rank, item), *(explanation_lines(found, item) if explain else ())]
        for rank, item in enumerate(found.passages, 1)
    ]
    text = "\n\n".join("\n".join(lines) for lines in blocks)
    out(search_json(found, explain=explain), as_json, text or "no passages")


def ask(
    question: Annotated[
        str | None, typer.Argument(help="The question, in any language; without one, a conversation begins.")
    ] = None,
    model: ModelOption = None,
    k: KOption = None,
    language: LanguageOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    source: SourceOption = None,
    tag: TagOption = None,
    index: IndexOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question from the articles, with citations."""
    from rag.answer import answer_json

    if question is None and as_json:
        raise typer.BadParameter("--json needs a question")
    where = filter_of(language, since, until, source, tag)
    with closing(open_chain(load_config(index=index, model=model, k=k))) as chain:
        if question is None:
            from ui.commands.conversation import converse

            converse(chain, where)
        elif as_json:
            out(answer_json(chain.invoke(question, where=where, interface=_interface())), True, "")
        else:
            show_answer(chain, question, where)


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; only this machine by default.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that serve, each with its own index, queue and rates.")
    ] = 1,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="The HTTP API without the chat page.")] = False,
    model: ModelOption = None,
    index: IndexOption = None,
) -> None:
    """Serve the chat page and the HTTP API; dragoman.toml has the other settings."""
    from ui.server.run import run

    run(load_config(index=index, model=model, host=host, port=port), with_page=not no_ui, workers=workers)


def demo(
    model: ModelOption = None,
    keep: Annotated[
        Path | None,
        typer.Option("--index", metavar="DIR", help="Keep the demo's index here; a temporary folder by default."),
    ] = None,
) -> None:
    """Index the sample articles and ask a few questions in other languages."""
    from ui.commands.demo import run_demo

    run_demo(keep, load_config(model=model))


def show_answer(
    chain: Chain, question: str, where: Filter | None = None, history: Sequence[Turn] = ()
) -> Answer | None:
    """Print an answer as it comes, then its citations, and return it; warnings go to stderr."""
    from index.store.base import EVERYTHING
    from rag.events import Delta, Done, Failed, Warned
    from ui.render import citation_lines

    for event in chain.stream(question, history, where or EVERYTHING, _interface()):
        if isinstance(event, Delta):
            write(event.text)
        elif isinstance(event, Warned):
            say(f"warning: {event.message}")
        elif isinstance(event, Failed):
            raise event.error
        elif isinstance(event, Done):
            write("\n")
            for line in citation_lines(event.answer):
                write(f"{line}\n")
            return event.answer
    return None


def _interface() -> str:
    """The language of the terminal's locale (POSIX order of the variables), empty for `C`."""
    from rag.phrases import best_language

    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return best_language([locale.partition(".")[0].partition("@")[0]], fallback="")
